#!/bin/bash
# The workspace's tests on machines of their own: Debian's kernel for clouds, with cgroup v2 alone, and (long) with v1 alone,
# in software emulation. `tests/vm/run.sh short|long [CACHE]`; tests/vm/tests says which tests, and CHOICE, a regular
# expression for its lines (such as '^long v2 mini-docker'), which of them. Nothing is installed: packages
# are unpacked in CACHE (default target/vm) and kept there. Needs apt with a network the first time, e2fsprogs, jq,
# busybox-static, and root.
set -euo pipefail
cd "$(dirname "$0")/../.."
form=$1
cache=$(realpath -m "${2:-target/vm}")
mkdir -p "$cache/archives/partial" "$cache/host"

if [ ! -e "$cache/unpacked" ]; then
    # By name what is to be unpacked: of what they depend on, apt gets only what this machine does not have.
    if ! { apt-get update -q && kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2 }') &&
        apt-get -o APT::Sandbox::User=root -o Dir::Cache::archives="$cache/archives" install -qy --download-only \
            --no-install-recommends --reinstall qemu-system-x86 qemu-system-common qemu-system-data seabios "$kernel"; } \
        >"$cache/apt.log" 2>&1; then
        echo "skipped: tests on cgroup v2 in a virtual machine: apt cannot get QEMU and a kernel: $(tail -1 "$cache/apt.log")"
        exit 0
    fi
    for package in "$cache"/archives/*.deb; do dpkg-deb -x "$package" "$cache/host"; done
    touch "$cache/unpacked"
fi

# Copies a program to where it is on this machine, with the libraries that it loads.
copy() {
    mkdir -p "$root/$(dirname "$1")"
    cp -L --preserve=mode --remove-destination "$1" "$root/$1"
    { ldd "$1" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r library; do
        mkdir -p "$root/$(dirname "$library")"
        cp -Ln "$library" "$root/$library"
    done
}

root=$cache/root
rm -rf "$root"
mkdir -p "$root"/{dev,proc,sys,tmp,t,root,run,var/lib,var/tmp,etc,usr/bin,usr/sbin,usr/lib/modules,usr/lib64}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
busybox=$(command -v busybox)
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
# The kernel starts it where it lacks a module.
ln -s ../bin/busybox "$root/usr/sbin/modprobe"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
touch "$root/etc/subuid" "$root/etc/subgid"
kernel=("$cache"/host/boot/vmlinuz-*)
version=${kernel[0]##*/vmlinuz-}
tar -c -C "$cache/host/lib" modules/"$version"/modules.order modules/"$version"/modules.builtin{,.modinfo} \
    modules/"$version"/kernel/{net,lib,crypto,arch,fs/overlayfs,drivers/net,drivers/block} | tar -x -C "$root/usr/lib"
"$busybox" depmod -b "$root" "$version"
while read -r program; do
    # In the place of busybox's of the same name, which may do less.
    found=$(realpath "$(type -P "$program")") || { echo "tests/vm/programs: there is no $program"; exit 1; }
    copy "$found"
    [ "$found" = "/usr/bin/$program" ] || ln -sf "$found" "$root/usr/bin/$program"
done <tests/vm/programs

# All that cargo makes: the tests, and the programs that they start where they were built.
cargo test --workspace --locked -q --no-run --message-format=json |
    jq -r 'select(.executable) | [(.manifest_path | split("/")[-2]), .target.kind[0], .target.name, .executable] | @tsv' >"$cache/built"
while IFS=$'\t' read -r _ kind _ executable; do
    [ "$kind" != bin ] || [ ! -e "$executable" ] || copy "$executable"
done <"$cache/built"
# FORM HIERARCHIES PACKAGE TARGET [ARGUMENTS]: what the guest runs, a line each.
while read -r when where package target arguments; do
    [ "$when" = both ] || [ "$when" = "$form" ] || continue
    [[ "$when $where $package $target $arguments" =~ ${CHOICE:-.} ]] || continue
    program=$(awk -F'\t' -v p="$package" -v t="$target" '$1 == p && $3 == t && $2 == (t == "lib" ? "lib" : "test") { print $4 }' "$cache/built" | tail -1)
    [ -n "$program" ] || { echo "tests/vm/tests: there is no test $target of $package"; exit 1; }
    if [ ! -e "$root/t/$package-$target" ]; then
        copy "$program"
        mv "$root/$program" "$root/t/$package-$target"
        strip --strip-debug "$root/t/$package-$target"
    fi
    echo "$where $package-$target $arguments" >>"$root/t/list"
done < <(grep -v '^#' tests/vm/tests)
install -m 755 tests/vm/init "$root/init"
# What tests look for beside their sources.
mkdir -p "$root$PWD/mini-docker"
cp -r mini-docker/plugins "$root$PWD/mini-docker/"
rm -f "$cache/disk"
truncate -s "$(($(du -sm "$root" | cut -f1) + 2048))M" "$cache/disk"
mkfs.ext4 -q -F -O ^has_journal -d "$root" "$cache/disk"
cp "$root/t/list" "$cache/list"
rm -rf "$root"

data=$cache/host/usr/share
failed=0
hierarchies=(v2 v1) limit=7200
[ "$form" = long ] || hierarchies=(v2) limit=1500
for only in "${hierarchies[@]}"; do
    # Nothing for it in the list.
    grep -Eq "^(both|$only) " "$cache/list" || continue
    log=$cache/$form-$only.log
    LD_LIBRARY_PATH=$cache/host/usr/lib/x86_64-linux-gnu:$cache/host/lib/x86_64-linux-gnu timeout "${LIMIT:-$limit}" \
        "$cache/host/usr/bin/qemu-system-x86_64" -accel tcg -cpu max -smp 2 -m 2048 -nodefaults -no-reboot \
        -display none -L "$data/qemu" -L "$data/seabios" -serial stdio -kernel "${kernel[0]}" \
        -drive "file=$cache/disk,if=none,id=root,format=raw,cache=unsafe,snapshot=on" -device nvme,serial=root,drive=root \
        -append "console=ttyS0 quiet panic=-1 root=/dev/nvme0n1 rw init=/init hierarchies=$only" </dev/null |
        sed -u 's/\r//g' | tee "$log" || failed=1
    grep -q '^== the guest is done: 0$' "$log" || failed=1
done
rm -f "$cache/disk"
exit "$failed"
