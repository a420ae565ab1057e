#!/bin/sh
# rootfs-fetch.sh: make a root filesystem for a container (see --help).
#
# Every kind of root filesystem first becomes one archive, $work/rootfs.tar;
# `publish` then delivers it as a directory, an archive or an imported image.

set -eu

# --- What is fetched, and the SHA-256 it must have ---------------------------

# Sums from the .sha256 files that Alpine publishes beside the archives.
alpine_version=3.24.1
alpine_mirror=https://dl-cdn.alpinelinux.org/alpine
alpine_sha256_x86_64=41f73e3cf5fa919b8aa5ca6b30dc48f0da2720776d7423e2a7748211456fe081
alpine_sha256_aarch64=f55a90f69052c5bd6f92cb09a8f47065970830b194c917a006fb94028e721259

# For hosts without apt; sums from the signed package index of Debian 12.
# The pool keeps a package only until a security update takes its place;
# snapshot.debian.org keeps every state of the archive, so the pin stays good.
busybox_deb=pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1
busybox_pool=https://deb.debian.org/debian
busybox_snapshot=https://snapshot.debian.org/archive/debian/20260801T000000Z
busybox_sha256_x86_64=3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744
busybox_sha256_aarch64=732c9135564fc71337e0e05fb4da4d11e6c28c1834bce3e405e575afef2a52f5

# Sum from the signed statement (.sign) beside the release.
buildroot_version=2025.02.16
buildroot_site=https://buildroot.org/downloads
buildroot_sha256=15305e3d366eeaf4a5ecaf2ed42f685fd6af7fe5dbf1f62e1de5f46ee83225e2

debian_mirror=http://deb.debian.org/debian

usage() {
    cat <<END
Usage: rootfs-fetch.sh [busybox|debian|alpine|buildroot] [OPTIONS] [OUTPUT]

Make a root filesystem for a container.

  busybox    Debian's busybox-static and a link for each applet (the default)
  debian     a minimal Debian, made by mmdebstrap or debootstrap
  alpine     Alpine's minirootfs $alpine_version
  buildroot  BusyBox and musl, built from source by Buildroot $buildroot_version

OUTPUT ending in .tar or .tar.gz is an archive, and replaces one of that name.
Any other OUTPUT is a directory, which must be missing or empty.
Default: rootfs-KIND, a directory. Its path is printed when it is there.

Options:
  --import NAME[:TAG]  hand the archive to 'mini-docker import'; no OUTPUT
  --mini-docker PATH   the mini-docker to import with; default: \$MINI_DOCKER,
                       target/release/mini-docker beside this script, PATH
  --from FILE          use a file downloaded before, checked all the same
                       (busybox: the .deb; alpine: the .tar.gz)
  --mirror URL         download from another mirror (debian, alpine)
  --suite SUITE        release of Debian; default: bookworm (debian)
  --buildroot DIR      use this Buildroot tree, download none (buildroot)
  --help               show this text

Environment:
  SOURCE_DATE_EPOCH    date of the files in an archive of busybox or debian;
                       busybox has its package's own date otherwise
  BR2_DL_DIR           where Buildroot keeps the sources that it downloads

busybox, alpine and buildroot need no root.
Exit status: 0 done, 1 failed, 2 usage; interrupted: 128 + signal.
END
}

# --- Helpers -----------------------------------------------------------------

say() { printf 'rootfs-fetch: %s\n' "$*" >&2; }
die() { say "$kind: $*"; exit 1; }
misuse() { say "$*; see rootfs-fetch.sh --help"; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

cleanup() {
    trap '' HUP INT TERM
    if [ -n "$child" ]; then
        # Both: the child leads no group yet if the signal came right away.
        kill -s TERM -- "-$child" "$child" 2>/dev/null || :
        wait "$child" 2>/dev/null || :
    fi
    # Twice, for what was stopped may still have been writing.
    [ -z "$work" ] || rm -rf -- "$work" 2>/dev/null || rm -rf -- "$work"
}

# Whatever may take long runs here. A shell acts on a signal only when its
# foreground command has ended, but `wait` returns at once; and a session of
# its own lets cleanup stop the command together with all that it started.
run() {
    setsid "$@" <"$stdin" &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# The first error in the log, so that a failure says why in one line.
reason() {
    sed -n 's/^[EW]: *//p; s/^curl: ([0-9]*) //p; s/^wget: *//p' "$work/log" | head -n 1
}

unreachable() {
    why=$(reason)
    die "cannot reach $1${why:+ ($why)}: check the network, or $2"
}

# fetch URL FILE
fetch() {
    if have curl; then
        run curl -fsSL --connect-timeout 20 --speed-limit 1 --speed-time 60 \
            -o "$2" "$1" 2>"$work/log"
    elif have wget; then
        run wget -q -T 60 -O "$2" "$1" 2>"$work/log"
    else
        die "curl or wget is needed to download $1"
    fi
}

# check_sum FILE SHA256 NAME
check_sum() {
    got=$(sha256sum <"$1")
    got=${got%% *}
    [ "$got" = "$2" ] ||
        die "$3 has the wrong SHA-256, refused: expected $2, got $got"
}

# Copied first: what is checked and what is used must be the same bytes.
take_from() {
    [ -f "$from" ] || die "--from $from: no such file"
    cp -- "$from" "$1" || die "--from $from: cannot be read"
}

# pick_arch X86_64-VALUE AARCH64-VALUE: sets arch and its value, pinned.
pick_arch() {
    arch=$(uname -m)
    case $arch in
        x86_64) pinned=$1 ;;
        aarch64) pinned=$2 ;;
        *) die "unknown architecture $arch, only x86_64 and aarch64 are pinned" ;;
    esac
}

# pack TREE [TAR-OPTION...]: the same tree gives the same bytes. /dev stays
# empty: the runtime mounts its own, and only root can make device nodes.
pack() {
    tree=$1
    shift
    case $(tar --version 2>/dev/null) in
        *"GNU tar"*) ;;
        *) die "GNU tar is needed to write the archive: install the package tar" ;;
    esac
    run tar --create --file="$work/rootfs.tar" --directory="$tree" \
        --format=gnu --sort=name --numeric-owner --exclude='./dev/*' "$@" . ||
        die "tar cannot write the archive"
}

# --- busybox -----------------------------------------------------------------

# The working directory is empty, for apt says nothing about a package that
# it finds there already.
apt_download() {
    # What apt takes as trusted must not depend on how the host is configured.
    run env -C "$work" apt-get -q -o APT::Get::AllowUnauthenticated=false \
        -o Acquire::AllowInsecureRepositories=false \
        -o Acquire::ForceHash=SHA256 -o APT::Sandbox::User=root \
        download "$@" busybox-static
}

# Sets sum from apt's index, whose signature apt has checked; empty: no index.
apt_sum() {
    apt_download --print-uris >"$work/uris" 2>/dev/null || :
    sum=$(sed -n 's/.* SHA256:\([0-9a-f]*\)$/\1/p' "$work/uris")
}

apt_lists() {
    is_root || die "apt has no package lists:" \
        "run 'apt-get update' as root, or give the .deb with --from"
    say "$kind: apt has no package lists, running apt-get update"
    run apt-get -q update >/dev/null 2>"$work/log" || :
}

# Leaves the checked package in $work/busybox.deb.
get_deb() {
    deb=$work/busybox.deb
    sum=
    if have apt-get; then
        apt_sum
        if [ -z "$sum$from" ]; then
            apt_lists
            apt_sum
            [ -n "$sum" ] || unreachable "Debian's archive" \
                "look at apt's sources, or give the .deb with --from"
        fi
    fi
    if [ -n "$sum" ] && [ -z "$from" ]; then
        apt_download >/dev/null 2>"$work/log" ||
            unreachable "Debian's archive" \
                "refresh the lists with apt-get update, or give the .deb with --from"
        mv -- "$work"/busybox-static_*.deb "$deb"
        check_sum "$deb" "$sum" busybox-static.deb
        return
    fi
    if [ -z "$sum" ]; then
        pick_arch "amd64 $busybox_sha256_x86_64" "arm64 $busybox_sha256_aarch64"
        path=${busybox_deb}_${pinned% *}.deb
        sum=${pinned#* }
    fi
    if [ -n "$from" ]; then
        take_from "$deb"
        check_sum "$deb" "$sum" "$from"
    else
        fetch "$busybox_pool/$path" "$deb" || fetch "$busybox_snapshot/$path" "$deb" ||
            unreachable "$busybox_pool" "give the .deb with --from"
        check_sum "$deb" "$sum" "${path##*/}"
    fi
}

# A .deb is an ar archive whose member data.tar.* is the file tree.
unpack_deb() {
    mkdir "$work/deb"
    if have dpkg-deb; then
        dpkg-deb -x "$work/busybox.deb" "$work/deb"
    elif have ar; then
        (cd "$work/deb" && ar x ../busybox.deb && tar -xf data.tar.*)
    elif have busybox; then
        (cd "$work/deb" && busybox ar x ../busybox.deb && tar -xf data.tar.*)
    else
        die "dpkg-deb or ar is needed to unpack the package"
    fi || die "the package cannot be unpacked"
}

make_busybox() {
    get_deb
    unpack_deb
    # /bin is /usr/bin from Debian 13 on.
    binary=$work/deb/bin/busybox
    [ -f "$binary" ] || binary=$work/deb/usr/bin/busybox

    tree=$work/tree
    mkdir "$tree"
    (
        cd "$tree"
        mkdir bin dev etc home proc root run sbin sys tmp usr usr/bin usr/sbin \
            var var/log var/spool var/tmp
        chmod 700 root
        chmod 1777 tmp var/tmp
        ln -s ../run var/run
        cp -- "$binary" bin/busybox
        chmod 755 bin/busybox

        # Symbolic, for a hard link would break as soon as a layer changed one
        # name of the file; relative, so that they hold seen from outside too,
        # where /bin/busybox would be the host's.
        bin/busybox --list-full | while read -r applet; do
            case $applet in
                bin/busybox) ;;
                bin/*) ln -s busybox "$applet" ;;
                usr/*/*) ln -s ../../bin/busybox "$applet" ;;
                */*) ln -s ../bin/busybox "$applet" ;;
                *) ln -s bin/busybox "$applet" ;;
            esac
        done

        cat >etc/passwd <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
END
        cat >etc/group <<'END'
root:x:0:
daemon:x:1:
nogroup:x:65534:
END
    )
    [ -L "$tree/bin/sh" ] || die "the package's busybox does not run on this host"
    pack "$tree" --owner=0 --group=0 \
        --mtime="@${SOURCE_DATE_EPOCH:-$(stat -c %Y "$binary")}"
}

# --- debian ------------------------------------------------------------------

make_debian() {
    date=${SOURCE_DATE_EPOCH:+--mtime=@$SOURCE_DATE_EPOCH}
    if have mmdebstrap; then
        say "$kind: mmdebstrap makes $suite, this takes a minute"
        # Without a mirror mmdebstrap adds the security updates by itself.
        run mmdebstrap --variant=minbase --format=tar --skip=output/dev \
            "$suite" "$work/rootfs.tar" ${mirror:+"$mirror"} \
            >"$work/log" 2>&1 || no_debian mmdebstrap
        # It leaves /dev out as a whole; the runtime mounts its own there.
        mkdir "$work/dev"
        run tar --append --file="$work/rootfs.tar" --directory="$work" \
            --owner=0 --group=0 --numeric-owner ${date:+"$date"} ./dev ||
            die "tar cannot add /dev to the archive"
    elif have debootstrap; then
        is_root || die "debootstrap needs root, mmdebstrap does not: install it"
        say "$kind: debootstrap makes $suite, this takes some minutes"
        # What debootstrap mounts inside the tree ends with its mount
        # namespace, so that cleanup cannot reach the host's /proc through it.
        # Without --force-check-gpg it goes on when it has no key to check by.
        run unshare --mount debootstrap --variant=minbase --force-check-gpg \
            "$suite" "$work/tree" "${mirror:-$debian_mirror}" \
            >"$work/log" 2>&1 || no_debian debootstrap
        pack "$work/tree" ${date:+"$date"}
    else
        die "install the package mmdebstrap (or debootstrap) to make one"
    fi
}

no_debian() {
    why=$(reason)
    die "$1 cannot make $suite from ${mirror:-the archive}${why:+ ($why)}:" \
        "check the network, the suite and the mirror"
}

# --- alpine ------------------------------------------------------------------

make_alpine() {
    pick_arch "$alpine_sha256_x86_64" "$alpine_sha256_aarch64"
    file=alpine-minirootfs-$alpine_version-$arch.tar.gz
    mirror=${mirror:-$alpine_mirror}
    if [ -n "$from" ]; then
        take_from "$work/$file"
        check_sum "$work/$file" "$pinned" "$from"
    else
        fetch "$mirror/v${alpine_version%.*}/releases/$arch/$file" "$work/$file" ||
            unreachable "$mirror" "give the archive with --from, or another --mirror"
        check_sum "$work/$file" "$pinned" "$file"
    fi
    gunzip -c "$work/$file" >"$work/rootfs.tar" || die "$file cannot be unpacked"
}

# --- buildroot ---------------------------------------------------------------

# Leaves a checked release of Buildroot in $buildroot.
get_buildroot() {
    file=buildroot-$buildroot_version.tar.xz
    fetch "$buildroot_site/$file" "$work/$file" ||
        unreachable "$buildroot_site" "give a Buildroot tree with --buildroot"
    check_sum "$work/$file" "$buildroot_sha256" "$file"
    tar -xf "$work/$file" -C "$work" || die "$file cannot be unpacked"
    buildroot=$work/${file%.tar.xz}
}

# Buildroot refuses to start where PATH or LD_LIBRARY_PATH could bring the
# current directory or a blank into its commands, and GNU tar's configure
# refuses root unless told that this is meant.
buildroot_make() {
    unsafe=
    ! is_root || unsafe=1
    run env -u LD_LIBRARY_PATH ${unsafe:+FORCE_UNSAFE_CONFIGURE=1} \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        make -C "$buildroot" O="$work/build" BR2_DEFCONFIG="$work/defconfig" "$@" >&2
}

make_buildroot() {
    kept=$here/stages/01-rootfs/buildroot/mini_docker_defconfig
    [ -f "$kept" ] || die "$kept is missing"
    pick_arch BR2_x86_64 BR2_aarch64
    have make || die "install the package make (Buildroot says what else it needs)"
    case $work in
        *[@:[:space:]]*) die "Buildroot cannot work in a path with a blank, '@' or ':': $work" ;;
    esac
    [ -n "$buildroot" ] || get_buildroot

    sed "s/^BR2_x86_64=y/$pinned=y/" "$kept" >"$work/defconfig"
    buildroot_make defconfig || die "make defconfig failed in $buildroot"
    # kconfig drops a symbol that it does not know without a word.
    lost=$(grep -E '^(# )?BR2_' "$work/defconfig" |
        grep -vxF -f "$work/build/.config" | head -n 1) || :
    [ -z "$lost" ] || die "this Buildroot does not take '$lost' of the defconfig:" \
        "use release $buildroot_version"

    say "$kind: building, this takes half an hour or more"
    buildroot_make || die "make failed, its messages are above"
    [ -f "$work/build/images/rootfs.tar" ] || die "the build has left no images/rootfs.tar"
    mv -- "$work/build/images/rootfs.tar" "$work/rootfs.tar"
}

# --- Where it goes -----------------------------------------------------------

# The work is done beside the output: only within one filesystem does a rename
# make the finished thing appear at once and whole.
prepare_output() {
    case $output in
        *.tar) format=tar ;;
        *.tar.gz) format=tar.gz ;;
        *) format=directory ;;
    esac
    target=$(readlink -f -- "$output") ||
        die "the directory to put $output in does not exist"
    if [ "$format" != directory ]; then
        [ ! -d "$target" ] || die "$output is a directory, its name says archive"
    elif [ -e "$target" ]; then
        [ -d "$target" ] || die "$output exists and is no directory"
        [ -z "$(ls -A -- "$target")" ] || die "$output is not empty"
    fi
    work=$(mktemp -d "${target%/*}/.rootfs-fetch.XXXXXX" 2>/dev/null) ||
        die "cannot write in ${target%/*}/"
}

prepare_import() {
    format=import
    if [ -z "$mini_docker" ]; then
        mini_docker=$here/target/release/mini-docker
        [ -x "$mini_docker" ] || mini_docker=mini-docker
    fi
    have "$mini_docker" ||
        die "there is no $mini_docker to import with: build it, or name it with --mini-docker"
    work=$(mktemp -d "${TMPDIR:-/tmp}/rootfs-fetch.XXXXXX" 2>/dev/null) ||
        die "cannot write in ${TMPDIR:-/tmp}"
}

publish() {
    result=$work/rootfs.tar
    case $format in
        import)
            # From a file, not a pipe: an archive that breaks off half way
            # must not become an image.
            stdin=$result
            run "$mini_docker" import - "$import" >"$work/id" ||
                die "mini-docker import failed"
            say "$kind: imported as $import $(cat "$work/id")"
            return
            ;;
        directory)
            result=$work/rootfs
            mkdir "$result"
            run tar -x -p --numeric-owner --exclude='./dev/*' \
                -f "$work/rootfs.tar" -C "$result" ||
                die "the archive cannot be unpacked"
            ;;
        tar.gz)
            stdin=$result
            result=$work/rootfs.tar.gz
            run gzip -n >"$result" || die "gzip failed"
            ;;
    esac
    mv -T -- "$result" "$target" || die "$output cannot be put in place"
    printf '%s\n' "$output"
}

# --- Command line ------------------------------------------------------------

operand() {
    if [ -n "$kind" ]; then
        [ -z "$output" ] || misuse "unexpected argument '$1'"
        [ -n "$1" ] || misuse "OUTPUT is empty"
        output=$1
    else
        case $1 in
            busybox | debian | alpine | buildroot) kind=$1 ;;
            *) misuse "unknown root filesystem '$1'" ;;
        esac
    fi
}

option() {
    case $1 in
        --import) import=$2 ;;
        --mini-docker) mini_docker=$2 ;;
        --from) from=$2 ;;
        --mirror) mirror=${2%/} ;;
        --suite) suite=$2 ;;
        --buildroot) buildroot=$2 ;;
        *) misuse "unknown option '$1'" ;;
    esac
    [ -n "$2" ] || misuse "option $1 needs a value"
    given="$given $1"
}

kind='' output='' given=''
import='' from='' mirror='' suite='' buildroot='' mini_docker=${MINI_DOCKER:-}
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit ;;
        --) shift; break ;;
        --*=*) option "${1%%=*}" "${1#*=}"; shift ;;
        -*) option "$1" "${2:-}"; shift 2 ;;
        *) operand "$1"; shift ;;
    esac
done
for operand; do
    operand "$operand"
done

kind=${kind:-busybox}
for name in $given; do
    case "$name $kind" in
        "--import "* | "--mini-docker "*) ;;
        "--from busybox" | "--from alpine") ;;
        "--mirror debian" | "--mirror alpine") ;;
        "--suite debian" | "--buildroot buildroot") ;;
        *) misuse "option $name does not go with $kind" ;;
    esac
done
[ -z "$import" ] || [ -z "$output" ] ||
    misuse "--import and OUTPUT do not go together"
[ -z "$buildroot" ] || [ -f "$buildroot/Makefile" ] ||
    die "--buildroot $buildroot: no Buildroot tree, it has no Makefile"

suite=${suite:-bookworm}
output=${output:-rootfs-$kind}
here=$(dirname -- "$(readlink -f -- "$0")")
work='' child='' stdin=/dev/null
export LC_ALL=C
umask 022

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$import" ]; then prepare_import; else prepare_output; fi
"make_$kind"
publish
