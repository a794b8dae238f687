#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with-ceph.sh STARTER SUITE WRITER: starts a Ceph cluster of its own with STARTER (dev/ceph), runs the volume
# contract on its rbd driver, in a pool and in a namespace, then checks that the cluster's background task
# emptied the trash, and what the driver says of a cluster that is not there any more.
set -eu
starter=$1 suite=$2 writer=$3
dir=$(mktemp -d /tmp/nv.XXXX) # short: sockets lie below it
conf=$dir/t.conf
finish() {
    "$starter" stop "$dir/c" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# shellcheck source=tests/contract/ports.sh
. "$(dirname "$0")/../ports.sh"

rbd() { command rbd -c "$conf" "$@"; }

GUARD=$$ "$starter" start "$dir/c" t "$(port_base 21000)"
# A client that was killed is given up after this many seconds (30 by default), so the others must show that they
# live more often than every 5 s.
sed 's/^\[client\]/[client]\nobjecter_tick_interval = 0.5/' "$dir/c/t.conf" >"$conf"
ceph -c "$conf" config set osd osd_client_watch_timeout 3
rbd namespace create rbd/space
export CEPH_CONF="$conf" NACRE_TEST_WRITER="$writer"
NACRE_TEST_KILLS=${NACRE_TEST_KILLS:-5} "$suite" rbd rbd/ cluster=t "conf=$conf"
NACRE_TEST_KILLS=1 "$suite" rbd rbd/space/ cluster=t "conf=$conf"

# What a killed process can leave, made by hand: a hidden image of old; one whose renaming was cut off after the
# new name led to it; one that was moved to the trash and not handed on. The next calls mend all of it. An image
# that somebody else keeps in the trash stays.
rbd create --size 8M rbd/.nacre-new-1-0123456789abcdef-gone
rbd create --size 8M rbd/.nacre-new-1-0123456789abcdef-half
rados -c "$conf" -p rbd get rbd_id..nacre-new-1-0123456789abcdef-half "$dir/id"
rados -c "$conf" -p rbd put rbd_id.half "$dir/id"
rbd create --size 8M rbd/lost
rbd image-meta set rbd/lost nacre.deleting "$(date +%s)"
rbd trash mv rbd/lost
# Another: the name is free, but the directory and the state "moving" are left.
rbd create --size 8M rbd/moving
rbd image-meta set rbd/moving nacre.deleting "$(date +%s)"
rados -c "$conf" -p rbd get rbd_id.moving "$dir/id"
moving=$(tail -c +5 "$dir/id")
rbd trash mv rbd/moving
omap() { rados -c "$conf" -p rbd "$@" >/dev/null; }
printf '\006\000\000\000moving' >"$dir/name"
omap setomapval rbd_directory name_moving --input-file "$dir/id"
omap setomapval rbd_directory "id_$moving" --input-file "$dir/name"
omap getomapval rbd_trash "id_$moving" "$dir/spec" # its last byte is the state
head -c -1 "$dir/spec" >"$dir/spec.moving"
printf '\001' >>"$dir/spec.moving"
omap setomapval rbd_trash "id_$moving" --input-file "$dir/spec.moving"
! rbd trash rm --no-progress "rbd/$moving" 2>/dev/null || { echo "the state is not as intended" >&2; exit 1; }
"$suite" --child create rbd rbd/moving -- cluster=t "conf=$conf"
# A group that was being made: it lists an image that does not know of it yet.
group=nacre-0123456789abcdef
rbd create --size 8M rbd/group-a
rbd create --size 8M rbd/group-b
rbd group create rbd/$group
rbd group image add rbd/$group rbd/group-a
rbd image-meta set rbd/group-a nacre.pending.g $group
rbd image-meta set rbd/group-b nacre.pending.g $group
rados -c "$conf" -p rbd get rbd_id.group-a "$dir/id"
omap rmomapkey "rbd_header.$(tail -c +5 "$dir/id")" rbd_group_ref
"$suite" --child group rbd g rbd/group-a rbd/group-b -- cluster=t "conf=$conf"
[ -z "$(rbd group ls rbd)" ] || { echo "the group that was being made is left" >&2; exit 1; }
"$suite" --child remove rbd rbd/group-a -- cluster=t "conf=$conf"
"$suite" --child remove rbd rbd/group-b -- cluster=t "conf=$conf"
# Two in the making of one name, of calls that were killed just now: a clone, for whose sake its source would stay in
# the trash, and an image. The call that is repeated removes them.
making=.nacre-new-$(printf %x "$(date +%s)")
rbd create --size 8M rbd/origin
rbd snap create --no-progress rbd/origin@s
rbd clone --rbd-default-clone-format 2 rbd/origin@s "rbd/$making-0123456789abcdef-twice"
rbd create --size 8M "rbd/$making-0123456789abcde0-twice"
"$suite" --child create rbd rbd/twice -- cluster=t "conf=$conf"
[ "$(rbd ls rbd | grep twice)" = twice ] || { echo "in the making still: $(rbd ls rbd | grep twice)" >&2; exit 1; }
"$suite" --child remove rbd rbd/twice -- cluster=t "conf=$conf"
"$suite" --child remove rbd rbd/origin -- cluster=t "conf=$conf"
rbd create --size 8M rbd/kept
rbd trash mv rbd/kept
"$suite" --child create rbd rbd/mending -- cluster=t "conf=$conf"
listed=$(rbd ls rbd | grep -e half -e gone -e mending -e moving | tr '\n' ' ')
[ "$listed" = "half mending moving " ] || { echo "not mended: $listed" >&2; exit 1; }
"$suite" --child remove rbd rbd/moving -- cluster=t "conf=$conf"
"$suite" --child remove rbd rbd/half -- cluster=t "conf=$conf"
"$suite" --child remove rbd rbd/mending -- cluster=t "conf=$conf"
tries=0
while rbd trash ls rbd | grep -q -e lost -e moving; do
    tries=$((tries + 1))
    [ $tries -lt 30 ] || { echo "an image that was left in the trash is not deleted" >&2; exit 1; }
    sleep 1
done
kept=$(rbd trash ls rbd | awk '$2 == "kept" {print $1}')
rbd trash restore rbd/"$kept" || { echo "an image in the trash that is not ours was removed" >&2; exit 1; }
rbd rm --no-progress rbd/kept

# A client that was killed while it opened an image may stay in the cluster's list of those who have it open, until
# the OSD looks at it anew. The task would try again after minutes; here it is done by hand.
busy() {
    ceph -c "$conf" rbd task list | jq -r '.[] | select(.retry_message // "" | test("busy")) | .refs
        | .pool_name + "/" + (if .pool_namespace == "" then "" else .pool_namespace + "/" end) + .image_id'
}
remove_busy() {
    left=$(busy)
    [ -n "$left" ] || return 0
    echo "still listed as open: $left"
    ceph -c "$conf" osd down 0
    sleep 15
    for image in $left; do # the first try makes it look, the second finds it done
        rbd trash rm --no-progress "$image" || { sleep 6; rbd trash rm --no-progress "$image" || true; }
    done
}

# Everything was deleted, so the trash becomes empty: at once, or when the task tries again what clones needed,
# which it does ever more seldom: after minutes on a machine that is busy.
tries=0
while [ -n "$(rbd trash ls rbd)$(rbd trash ls rbd/space)" ]; do
    tries=$((tries + 1))
    [ $((tries % 60)) -ne 0 ] || remove_busy
    [ $tries -lt 600 ] || { echo "the trash is not emptied:"; rbd trash ls -l rbd; rbd trash ls -l rbd/space; ceph -c "$conf" rbd task list; exit 1; } >&2
    sleep 1
done
left=$(rbd group ls rbd; rbd group ls rbd/space)
[ -z "$left" ] || { echo "groups left behind: $left" >&2; exit 1; }
# Nor do calls that were killed and repeated leave anything hidden.
left=$(rbd ls rbd; rbd ls rbd/space)
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }

"$suite" --expect absent rbd rbd/none cluster=t "conf=$conf"
"$suite" --expect absent rbd no-pool/none cluster=t "conf=$conf"
"$suite" --expect absent rbd rbd/none cluster=t "conf=$dir/none.conf"
"$suite" --expect invalid rbd rbd cluster=t "conf=$conf"
"$suite" --expect denied rbd rbd/none cluster=t "conf=$conf" user=nobody
printf '[client.admin]\n\tkey = %s\n' "$(ceph-authtool --gen-print-key)" >"$dir/wrong.keyring"
"$suite" --expect denied rbd rbd/none cluster=t "conf=$conf" "keyring=$dir/wrong.keyring"
ceph -c "$conf" auth get-or-create client.reader mon 'profile rbd' osd 'profile rbd-read-only' >"$dir/reader.keyring"
"$suite" --expect absent rbd rbd/none cluster=t "conf=$conf" user=reader "keyring=$dir/reader.keyring"

# The cluster goes away below an open volume: an error in bounded time, not a program that hangs.
rbd create --size 1M rbd/outage
mkfifo "$dir/go"
timeout 120 "$suite" --child outage rbd rbd/outage -- cluster=t "conf=$conf" timeout=3 <"$dir/go" >"$dir/out" &
child=$!
exec 3>"$dir/go"
tries=0
until [ "$(cat "$dir/out" 2>/dev/null)" = begin ]; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { echo "the writer did not begin" >&2; exit 1; }
    sleep 0.1
done
"$starter" stop "$dir/c"
echo go >&3
exec 3>&-
wait $child || { echo "a cluster that went away: exit $?" >&2; exit 1; }
"$suite" --expect transient rbd rbd/none cluster=t "conf=$conf" timeout=3
