#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stores_random.sh azure|s3|gcs [RUNS [PERCENT [SEED]]]: requests to a store fail at random, in every way.
#
# RUNS (20) times a small volume changes, is backed up and restored through a proxy that fails PERCENT (5) of all
# requests: every backup and every restore succeeds, what comes back is the same. Twenty runs share a repository,
# which is made through the proxy too; at its end it is whole to its last byte, read without the proxy. A flipped bit
# is not among the ways: these servers speak without TLS, which is what would tell one in a listing.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/stores.sh
. "$(dirname "$0")/stores.sh"

runs=${2:-20} percent=${3:-5} seed=${4:-$RANDOM}
start_store "$1"
kinds=503,429,reset-before,reset-middle,reset-after,truncate,stall,checksum,lost-answer,503-after
volume=hostpath/local/disk data=$work/volumes/disk/data
all_requests=0 all_faulted=0

must() { # must WHAT COMMAND...: exits with 0
	local what=$1
	shift
	run "$@"
	[ "$status" -eq 0 ] || {
		last_output
		tail -n 200 "$work/proxy.log"
		fail "$what: exit code $status"
	}
}

end_repository() {
	end_faults
	all_requests=$((all_requests + requests)) all_faulted=$((all_faulted + faulted))
	rm -rf "$NACRE_CACHE_DIR"
	expect 0 "$NACRE" repo check --read-data
	echo "$i of $runs runs: $all_faulted of $all_requests requests failed"
}

step "$runs backups and restores, $percent % of the requests fail, seed $seed"
expect 0 "$NACRE" volume create "$volume" --size 16MiB
image fill "$data" 1 0:8388608
for ((i = 0; i < runs; i++)); do
	if [ $((i % 20)) -eq 0 ]; then
		[ "$i" -eq 0 ] || end_repository
		store_url=${store_url%/run*}/run$i
		write_config
		begin_faults --fail-percent "$percent" --fail-kind "$kinds" --fail-seed $((seed + i))
		must "making repository $i" "$NACRE" repo init
	fi
	image scatter "$data" $((seed + i)) 2 65536
	must "backup $i" "$NACRE" backup create "b-$i" --volume "$volume"
	[ $((i % 2)) -eq 0 ] || rm -rf "$NACRE_CACHE_DIR" # nothing but the store knows then
	must "restore $i" "$NACRE" restore create "r-$i" --from-backup "b-$i" --volume-mapping "$volume=hostpath/local/back"
	cmp "$data" "$work/volumes/back/data" || fail "run $i: what was backed up is not what comes back"
	expect 0 "$NACRE" volume delete --yes hostpath/local/back
done
end_repository
at_least 1 "$all_faulted" "requests that failed"
