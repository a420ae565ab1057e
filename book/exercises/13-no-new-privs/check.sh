#!/bin/sh
# An image whose su is set-user-id, and looks from outside at a program that runs in it.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
image=$(mktemp -d)
trap 'rm -rf "$image"' EXIT
cp -a "$ROOTFS/." "$image"
chmod 755 "$image"
chmod u+s "$image/bin/busybox"
sed -i 's/^root:[^:]*:/root::/' "$image/etc/passwd"
ROOTFS=$image
became=$("$PROGRAM" "$image" su -c 'id -u' 2>/dev/null)
[ "$became" != 0 ] || missing "a fence: su has made user 1000 root"
begin sleep 30
bit=$(status NoNewPrivs)
[ "$bit" = 1 ] || missing "the process's bit: NoNewPrivs is $bit"
options=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \/ \([^ ]*\) .*/\1/p' "/proc/$child/mountinfo")
case ,$options, in
*,nosuid,*) ;;
*) missing "the mount's attribute: the container's root is mounted $options, without nosuid" ;;
esac
end
