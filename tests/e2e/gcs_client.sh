#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gcs_client.sh: Google's own client vouches for the test server, and for nacre: it does on the server all that it can
# do; what nacre wrote it reads, and restic finds it whole; what it wrote nacre restores.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/stores.sh
. "$(dirname "$0")/stores.sh"

nacre() { "$NACRE" "$@"; }
modules=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nacre/google-storage-7.17.3
[ -d "$modules/node_modules/@google-cloud/storage" ] || fail "Google's client is not there ($modules); run dev/setup"
start_store gcs
curl -sS --noproxy '*' -H 'Metadata-Flavor: Google' \
	"$gcs_endpoint/computeMetadata/v1/instance/service-accounts/default/token" | jq -er .access_token >"$work/token"
client() { node "$TOP/tests/servers/gcs_client.mjs" "$modules" "$gcs_endpoint" "$work/token" backups "$@"; }

step "Google's client on the server"
expect 0 client proof
for part in written conditions joined listed removed; do
	grep -q "^$part: good" "$work/out" || fail "no $part"
done

step "what nacre writes, it reads"
volume=hostpath/local/disk
expect 0 nacre repo init
expect 0 nacre volume create "$volume" --size 24MiB
image fill "$work/volumes/disk/data" 1 0:20971520
expect 0 nacre backup create one --volume "$volume"
expect 0 client names "$store_prefix/"
cp "$work/out" "$work/names"
at_least 5 "$(wc -l <"$work/names")" "objects"
while read -r name; do
	mkdir -p "$work/read/$(dirname "$name")"
	expect 0 client get "$name" "$work/read/$name"
done <"$work/names"
expect 0 restic -r "$work/read/$store_prefix/restic/default" check --read-data

step "what it writes, nacre reads"
while read -r name; do
	expect 0 client put "moved/$name" "$work/read/$name"
done <"$work/names"
sed "s|gs://backups/|gs://backups/moved/|" "$config" >"$work/moved.yaml"
rm -rf "$NACRE_CACHE_DIR"
expect 0 nacre --config "$work/moved.yaml" repo check --read-data
expect 0 nacre --config "$work/moved.yaml" restore create back --from-backup one --volume-mapping "$volume=hostpath/local/back"
cmp "$work/volumes/disk/data" "$work/volumes/back/data"
