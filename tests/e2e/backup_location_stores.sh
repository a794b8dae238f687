#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# backup_location_stores.sh azure|s3|gcs: a backup location in a real object store, from its check to restic: access end to
# end, a missing bucket and wrong credentials with the reason, the prefix that is shared with others, a backup and a
# restore with the cache and without, and what lies there read by programs of other hands.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/stores.sh
. "$(dirname "$0")/stores.sh"

nacre() { "$NACRE" "$@"; }
start_store "$1"
volume=hostpath/local/disk

step "check"
expect 0 nacre -o json backup-location check default
is "passed 8" "$(json '.result + " " + (.steps | length | tostring)')" "check"
expect 0 nacre backup-location describe default
while IFS= read -r secret; do
	! grep -qF -- "$secret" "$work/out" || fail "describe shows a secret"
done < <(store_secrets)
sed "s|://backups/|://no-such-bucket/|" "$config" >"$work/missing.yaml"
run nacre --config "$work/missing.yaml" backup-location check default
[ "$status" -ne 0 ] || fail "check finds a bucket that is not there"
says 'no-such-bucket'
is ok "$(awk '$1 == "open" { print $2 }' "$work/out")" "the step open"
is failed "$(tail -n 1 "$work/out" | awk '{ print $(NF - 2) }')" "the last step"

step "backup, restore"
expect 0 nacre repo init
expect 0 nacre volume create "$volume" --size 64MiB
image fill "$work/volumes/disk/data" 1 0:33554432
expect 0 nacre backup create one --volume "$volume"
image scatter "$work/volumes/disk/data" 2 50 4096
expect 0 nacre backup create two --volume "$volume" --connections 3
expect 0 nacre restore create back --from-backup two --volume-mapping "$volume=hostpath/local/back"
cmp "$work/volumes/disk/data" "$work/volumes/back/data"
[ -n "$(find "$NACRE_CACHE_DIR/objects" -type f 2>/dev/null | head -n 1)" ] || fail "nothing is cached"
rm -rf "$NACRE_CACHE_DIR"
expect 0 nacre dump two -O "$work/dump" --no-cache
cmp "$work/volumes/disk/data" "$work/dump"
expect 0 nacre repo check --read-data

step "read-only, and beside others"
expect 0 nacre backup-location create other --url "${store_url%/*}/fixture" --access-mode ReadOnly
sed "s|default: {url: \"[^\"]*\"|default: {url: \"${store_url}ture\"|" "$config" >"$work/beside.yaml"
expect 4 nacre --config "$work/beside.yaml" repo info
expect 0 nacre --config "$work/beside.yaml" repo init
expect 0 nacre --config "$work/beside.yaml" backup get
is 1 "$(wc -l <"$work/out")" "lines of an empty list beside the other prefix"
expect 0 nacre backup-location set default --access-mode ReadOnly
expect 0 nacre backup-location check default
expect 1 nacre backup create three --volume "$volume"
expect 0 nacre repo check

step "restic"
restic_store check --read-data >"$work/out" 2>&1 || { last_output; fail "restic check"; }
restic_store dump latest disk.img | cmp - "$work/volumes/disk/data"
echo "done"
