#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
# The container's root should write here, and nowhere else: a directory that is in no other root.
place=check-20-$$
mkdir "$ROOTFS/$place"
becomes='sleep'
begin sh -c "touch /$place/file && chown 33 /$place/file; exec sleep 30" 2>/dev/null
if [ "$(stat -Lc %i "/proc/$child/root")" = "$(stat -c %i "$ROOTFS")" ]; then
    owner=$(stat -c %u "/proc/$child/root/$place")
    [ "$owner" = 300000 ] ||
        missing "seen through the container's root, ROOTFS belongs to $owner, not to 300000, the container's root: the mount is not idmapped"
    owner=$(stat -c %u "$ROOTFS/$place/file" 2>&1)
    [ "$owner" = 33 ] || missing "what the container gives to its user 33 is not 33's on disk: $owner"
else
    missing "the container's root directory is not ROOTFS: there is no mount of it in host.root"
fi
owner=$(stat -c %u "$ROOTFS/$place")
[ "$owner" = 0 ] || missing "on disk ROOTFS belongs to $owner now, and should be as it was"
rm -r "${ROOTFS:?}/$place"
end
