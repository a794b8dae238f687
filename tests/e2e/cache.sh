#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cache.sh: what the cache of a location is for and what not. A second look needs no trees from the store; damage of the
# cache is not noticed; damage of the store is noticed by a check, whatever the cache has.
. "$(dirname "$0")/lib.sh"

export NACRE_CACHE_DIR=$work/caches
sed -i "s|default: {url: \"file://$bucket\", |&cache-size: 100MiB, |" "$config"
grep -q cache-size "$config" || fail "no cache-size in the configuration"
cached() { find "$work/caches/objects" -type f; }

expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create hostpath/local/v --size 8MiB
image fill "$work/volumes/v/data" 1 0:8388608
expect 0 "$NACRE" -o json backup create first --volume hostpath/local/v
expect 0 "$NACRE" -o json backup create second --volume hostpath/local/v

step "the tree, the index and the snapshots of what was written are there, and no data"
at_least 4 "$(cached | wc -l)" "files in the cache"
at_most 1048576 "$(cached | xargs cat | wc -c)" "bytes in the cache"

step "a restore takes the tree from there"
tree=$(find "$repository/data" -type f -size -100k | head -n 1)
mv "$tree" "$work/tree"
expect 0 "$NACRE" restore create back --from-backup first --volume-mapping hostpath/local/v=hostpath/local/v-2
image same "$work/volumes/v/data" "$work/volumes/v-2/data"

step "a check does not"
run "$NACRE" repo check
[ "$status" -ne 0 ] || fail "the check did not notice that a pack is gone"
mv "$work/tree" "$tree"
expect 0 "$NACRE" repo check --read-data

step "a snapshot that is damaged in the store"
snapshot=$(find "$repository/snapshots" -type f | head -n 1)
cp "$snapshot" "$work/snapshot"
printf x | dd of="$snapshot" bs=1 seek=40 conv=notrunc status=none
run "$NACRE" repo check
[ "$status" -ne 0 ] || fail "the check did not notice a damaged snapshot"
cp "$work/snapshot" "$snapshot"

step "every file of the cache damaged"
cached | while read -r file; do printf x | dd of="$file" bs=1 seek=40 conv=notrunc status=none; done
expect 0 "$NACRE" restore create again --from-backup second --volume-mapping hostpath/local/v=hostpath/local/v-3
image same "$work/volumes/v/data" "$work/volumes/v-3/data"
expect 0 "$NACRE" -o json backup create third --volume hostpath/local/v

step "no cache at all"
rm -rf "$work/caches"
expect 0 "$NACRE" -o json backup create fourth --no-cache --volume hostpath/local/v
[ ! -e "$work/caches/objects" ] || fail "--no-cache made a cache"
expect 0 "$NACRE" repo check --read-data
