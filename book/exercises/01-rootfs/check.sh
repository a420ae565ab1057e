#!/bin/sh
# Asks PROGRAM for files of a tree whose links lead out of it.
here=$(mktemp -d)
trap 'rm -r "$here"' EXIT
tree=$here/tree
mkdir -p "$tree/etc" "$tree$here"
echo plain >"$tree/etc/plain"
echo "the host's" >"$here/secret"
echo "the tree's" >"$tree/secret"
echo "the tree's" >"$tree$here/secret"
ln -s "$here/secret" "$tree/etc/absolute"
ln -s ../../secret "$tree/etc/climbing"
ln -s "$here" "$tree/directory"
code=0
expect() {
    said=$("$PROGRAM" "$tree" "$1" 2>&1)
    [ "$said" = "$2" ] && return
    echo "missing: $1 is \"$said\", and in a container it would be \"$2\"$3"
    code=1
}
expect /etc/plain plain
expect /etc/absolute "the tree's" ": an absolute link began at the host's root"
expect /etc/climbing "the tree's" ": a link's .. led out of the tree"
expect /directory/secret "the tree's" ": a directory on the way was a link"
expect /../secret "the tree's" ": the path's own .. led out of the tree"
if "$PROGRAM" "$tree" /nothing >"$here/said" 2>&1; then
    echo "missing: a file that is not there is no error"
    code=1
fi
exit $code
