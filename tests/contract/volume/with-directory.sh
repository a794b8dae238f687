#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with-directory.sh SUITE: runs the volume contract on the hostpath driver, in a new directory; then, as root,
# again on a file system that shares blocks between files (XFS on a loop device), where snapshots are reflinks.
set -eu
suite=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/nacre-hostpath.XXXXXX")
mounted=
finish() {
    [ -z "$mounted" ] || umount "$dir/xfs" || umount -l "$dir/xfs"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

check_empty() { # nothing is left but the lock
    left=$(find "$1" -mindepth 1 ! -name +lock)
    [ -z "$left" ] || { echo "left behind in $1: $left" >&2; exit 1; }
}

mkdir "$dir/plain"
"$suite" hostpath "" cluster=test "path=$dir/plain"
"$suite" --expect absent hostpath x cluster=test "path=$dir/plain"
check_empty "$dir/plain"
"$suite" --expect absent hostpath x cluster=test "path=$dir/nowhere"
"$suite" --expect invalid hostpath x cluster=test

if [ "$(id -u)" = 0 ]; then
    truncate -s 1G "$dir/image"
    mkfs.xfs -q -m reflink=1 "$dir/image"
    mkdir "$dir/xfs"
    mount -o loop "$dir/image" "$dir/xfs"
    mounted=1
    mkdir "$dir/xfs/volumes"
    "$suite" hostpath "" cluster=test "path=$dir/xfs/volumes"
    "$suite" --expect absent hostpath x cluster=test "path=$dir/xfs/volumes"
    check_empty "$dir/xfs/volumes"
else
    echo "not root: the suite was not run on a file system with reflinks"
fi
