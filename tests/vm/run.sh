#!/bin/bash
# The tests of cgroups, and of what stands on them, on a machine with cgroup v2 alone, and on one with v1 alone, with
# Debian's kernel: guests in software emulation. `tests/vm/run.sh [CACHE]`; nothing is installed, packages are unpacked in CACHE (default
# target/vm) and kept there. Needs apt with a network the first time, busybox-static, and root for apt.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$(realpath -m "${1:-target/vm}")
mkdir -p "$cache/archives/partial" "$cache/host"

if [ ! -e "$cache/unpacked" ]; then
    apt-get update -q >/dev/null
    apt-get -o APT::Sandbox::User=root -o Dir::Cache::archives="$cache/archives" install -qy --download-only \
        --no-install-recommends --reinstall qemu-system-x86 linux-image-cloud-amd64 >/dev/null
    for package in "$cache"/archives/*.deb; do dpkg-deb -x "$package" "$cache/host"; done
    touch "$cache/unpacked"
fi

# Programs of the tests, with the libraries that they load.
root=$cache/root
rm -rf "$root"
mkdir -p "$root"/{bin,etc,dev,proc,sys,tmp,t,new,root,lib64,usr/bin}
busybox=$(command -v busybox)
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
tests=()
while read -r package target; do
    program=$(cargo test --locked -q --no-run --message-format=json -p "$package" --test "$target" |
        sed -n 's/.*"executable":"\([^"]*\/deps\/'"$target"'-[^"]*\)".*/\1/p' | tail -1)
    cp "$program" "$root/t/$target"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root/$(dirname "$library")"
        cp -Ln "$library" "$root/$library"
    done
    tests+=("$target")
done <tests/vm/tests

cat >"$root/init" <<INIT
#!/bin/sh
export PATH=/bin RUST_BACKTRACE=0
if [ ! -e /moved ]; then
    # pivot_root(2) refuses the first filesystem of all: the tests run in one that is mounted.
    mount -t tmpfs -o size=700m none /new
    cp -a /bin /etc /init /lib* /t /tmp /usr /root /new 2>/dev/null
    mkdir -p /new/proc /new/sys /new/dev /new/new; touch /new/moved; chmod 1777 /new/tmp
    exec switch_root /new /init
fi
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts none /dev/pts; mount -t tmpfs none /dev/shm
if grep -q only_v1 /proc/cmdline; then
    mount -t tmpfs none /sys/fs/cgroup
    for names in cpu,cpuacct memory pids freezer cpuset blkio devices; do
        mkdir /sys/fs/cgroup/\$names; mount -t cgroup -o \$names none /sys/fs/cgroup/\$names
    done
else
    mount -t cgroup2 none /sys/fs/cgroup
fi
ip link set lo up; uname -r; grep cgroup /proc/mounts
failed=0
for test in ${tests[*]}; do
    echo "== \$test"
    # Those of the binaries want programs that this guest does not have.
    timeout 240 /t/\$test --test-threads 2 --skip the_binary 2>&1 || failed=1
done
find /sys/fs/cgroup -name 'mini-docker-test*' | sed 's/^/left behind: /'
[ -z "\$(find /sys/fs/cgroup -name 'mini-docker-test*')" ] || failed=1
echo "== the guest is done: \$failed"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$cache/initramfs"

kernel=("$cache"/host/boot/vmlinuz-*)
data=$cache/host/usr/share
for only in only_v2 only_v1; do
    log=$cache/$only.log
    LD_LIBRARY_PATH=$cache/host/usr/lib/x86_64-linux-gnu:$cache/host/lib/x86_64-linux-gnu timeout 300 \
        "$cache/host/usr/bin/qemu-system-x86_64" -accel tcg -cpu max -smp 2 -m 2048 -nodefaults -no-reboot \
        -display none -L "$data/qemu" -L "$data/seabios" -serial stdio -kernel "${kernel[0]}" \
        -initrd "$cache/initramfs" -append "console=ttyS0 quiet panic=-1 $only" </dev/null | tr -d '\r' | tee "$log"
    grep -q '== the guest is done: 0' "$log"
done
