#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# restore_rbd.sh: images come back as they were: size, features, object size, striping, user metadata, thinness; and
# what a restore says when the cluster cannot make such an image.
. "$(dirname "$0")/lib.sh"

mib=1048576
SIZE=$((8 << 30)) start_cluster east
src=rbd/east/rbd/src
for pool in other fast; do
	in_cluster east ceph osd pool create "$pool" 8 >"$work/ceph.out" 2>&1
	in_cluster east rbd pool init "$pool"
done
expect 0 "$NACRE" repo init

info() { in_cluster east rbd info --format json "$1" | jq -Sc '{size, object_size, features: (.features | sort), data_pool, stripe_unit, stripe_count}'; }
allocated() { in_cluster east rbd diff "$1" --format json | jq '[.[] | select(.exists == "true") | .length] | add // 0'; }

step "as it was"
expect 0 "$NACRE" volume create "$src" --size 200MiB --property object-size=1048576 \
	--property features=layering,exclusive-lock,object-map --property stripe-unit=65536 --property stripe-count=4 \
	--metadata owner=somebody --metadata conf_rbd_qos_iops_limit=100000
image fill "$(rbd_image east rbd/src)" 1 "0:$((3 * mib))" "$((100 * mib)):$mib"
image scatter "$(rbd_image east rbd/src)" 2 20 4096
expect 0 "$NACRE" backup create one --volume "$src"
expect 0 "$NACRE" restore create r1 --from-backup one --volume-mapping "rbd/east/rbd=rbd/east/other"
image same "$(rbd_image east rbd/src)" "$(rbd_image east other/src)"
is "$(info rbd/src)" "$(info other/src)" "the restored image"
is somebody "$(in_cluster east rbd image-meta get other/src owner)" "user metadata"
is 100000 "$(in_cluster east rbd image-meta get other/src conf_rbd_qos_iops_limit)" "user metadata"
# 64 KiB pieces that are not zeros are written, nothing else.
at_most $(($(allocated rbd/src) + 24 * 65536)) "$(allocated other/src)" "bytes allocated in the restored image"

step "over itself, after changes: only what differs is written"
image fill "$(rbd_image east other/src)" 3 "$mib:4096" "$((50 * mib + 12345)):100000"
expect 1 "$NACRE" restore create r2 --from-backup one --volume-mapping "$src=rbd/east/other/src"
says 'rbd/east/other/src exists already; pass --overwrite'
expect 0 "$NACRE" -o json restore create r2 --from-backup one --volume-mapping "$src=rbd/east/other/src" --overwrite
written=$(json '.volumes[0].bytesWritten')
is "$mib" "$written" "bytes written over a changed image: one chunk; the other place is a hole again"
image same "$(rbd_image east rbd/src)" "$(rbd_image east other/src)"

step "between drivers: the size and the content"
expect 0 "$NACRE" restore create r3 --from-backup one --volume-mapping "$src=hostpath/local/copy"
image same "$(rbd_image east rbd/src)" "$work/volumes/copy/data"
expect 0 "$NACRE" backup create two --volume hostpath/local/copy
expect 0 "$NACRE" restore create r4 --from-backup two --volume-mapping "hostpath/local/copy=rbd/east/other/back"
image same "$(rbd_image east rbd/src)" "$(rbd_image east other/back)"
is 4194304 "$(info other/back | jq .object_size)" "object size of an image that was none before"

step "a data pool that is not there"
expect 0 "$NACRE" volume create rbd/east/rbd/split --size 8MiB --property data-pool=fast
image fill "$(rbd_image east rbd/split)" 4 "0:$mib"
expect 0 "$NACRE" backup create three --volume rbd/east/rbd/split
expect 0 "$NACRE" restore create r5 --from-backup three --volume-mapping rbd/east/rbd=rbd/east/other
is fast "$(info other/split | jq -r .data_pool)" "data pool"
expect 0 "$NACRE" dump three -O "$work/split"
expect 0 "$NACRE" volume delete rbd/east/rbd/split --yes
expect 0 "$NACRE" volume delete rbd/east/other/split --yes
in_cluster east ceph config set mon mon_allow_pool_delete true
in_cluster east ceph osd pool delete fast fast --yes-i-really-really-mean-it >"$work/ceph.out" 2>&1
run "$NACRE" restore create r6 --from-backup three
[ "$status" -ne 0 ] || fail "restored into a pool that does not exist"
says 'data pool "fast".*--property data-pool='
expect 4 "$NACRE" volume describe rbd/east/rbd/split
expect 0 "$NACRE" restore create r6 --from-backup three --property data-pool=other
is other "$(info rbd/split | jq -r .data_pool)" "data pool"
image same "$work/split" "$(rbd_image east rbd/split)"
expect 0 "$NACRE" restore create r7 --from-backup three --property data-pool= --volume-mapping rbd/east/rbd/split=rbd/east/rbd/whole
is null "$(info rbd/whole | jq -r .data_pool)" "data pool"
image same "$work/split" "$(rbd_image east rbd/whole)"
