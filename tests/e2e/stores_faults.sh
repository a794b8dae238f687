#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stores_faults.sh azure|s3|gcs [all|N]: requests to a store fail, each in its turn and in every way.
#
# A proxy stands before the store. It counts the requests of a backup and of a restore; then for each way to fail
# (tests/servers/fault.h) the i-th request of a backup and of a restore fails, for N indexes spread over all of them
# (default 2; "all" takes a while): the job succeeds, what comes back is the same, and the repository is whole to its
# last byte. KINDS names other ways, or none. At the end every request fails, without end: the job ends with an error that says why, and succeeds
# when the faults are over.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/stores.sh
. "$(dirname "$0")/stores.sh"

nacre() { "$NACRE" "$@"; }
start_store "$1"
sample=${2:-2}
volume=hostpath/local/disk data=$work/volumes/disk/data
# shellcheck disable=SC2206 # words
kinds=(${KINDS-503 429 reset-before reset-middle reset-after truncate flip stall checksum lost-answer 503-after})

# Whether a bit flipped where nothing can tell it, such as in a name of a listing (these servers speak without TLS,
# which would): then the job may fail, with a reason, and is run again.
unseen() {
	[ "$kind" = flip ] && [ "$status" -ne 0 ] || return
	[ -s "$work/err" ] || fail "flip: no reason is given"
	echo "flipped where it cannot be told: $(tail -n 1 "$work/err" | cut -c 1-200)"
}

# indexes TOTAL: those of 1 … TOTAL that are tried.
indexes() {
	local i
	if [ "$sample" = all ] || [ "$sample" -ge "$1" ]; then
		seq "$1"
	else
		for ((i = 0; i < sample; i++)); do
			echo $((1 + (RANDOM % ($1 / sample)) + i * $1 / sample))
		done
	fi
}

# Each backup has something new to write.
change() { image scatter "$data" "$((++seed))" 3 1048576; }
seed=1

check_whole() { # check_whole WHAT NAME: the backup NAME, and all that lies in the repository
	rm -rf "$NACRE_CACHE_DIR"
	expect 0 nacre dump "$2" -O "$work/dump" --overwrite
	cmp "$data" "$work/dump" || fail "$1: what was backed up is not what comes back"
	expect 0 nacre repo check --read-data
}

restore_once() {
	rm -rf "$NACRE_CACHE_DIR" "$work/volumes/back"
	run nacre restore create "$1" --from-backup first --volume-mapping "$volume=hostpath/local/back"
}

expect 0 nacre repo init
expect 0 nacre volume create "$volume" --size 48MiB
image fill "$data" 1 0:33554432

step "counting"
cp --sparse=always "$data" "$work/first"
expect 0 nacre backup create first --volume "$volume"
change
begin_faults
expect 0 nacre backup create counted --volume "$volume"
end_faults
backup_requests=$requests
at_least 5 "$backup_requests" "requests of a backup"
begin_faults
restore_once counted
is 0 "$status" "exit code of a restore"
end_faults
restore_requests=$requests
at_least 3 "$restore_requests" "requests of a restore"
echo "a backup makes $backup_requests requests, a restore $restore_requests"

for kind in "${kinds[@]+"${kinds[@]}"}"; do
	step "$kind"
	hit=0
	for i in $(indexes "$backup_requests"); do
		change
		begin_faults --fail-nth "$i" --fail-kind "$kind"
		run nacre backup create "b-$kind-$i" --volume "$volume"
		end_faults
		! unseen || run nacre backup create "b-$kind-$i" --volume "$volume"
		[ "$status" -eq 0 ] || {
			last_output
			cat "$work/proxy.log"
			fail "backup, request $i, $kind: exit code $status"
		}
		hit=$((hit + faulted))
	done
	check_whole "after $kind" "b-$kind-$i"
	for i in $(indexes "$restore_requests"); do
		begin_faults --fail-nth "$i" --fail-kind "$kind"
		restore_once "r-$kind-$i"
		end_faults
		! unseen || restore_once "r-$kind-$i-again"
		[ "$status" -eq 0 ] || {
			last_output
			cat "$work/proxy.log"
			fail "restore, request $i, $kind: exit code $status"
		}
		image same "$work/first" "$work/volumes/back/data"
		hit=$((hit + faulted))
	done
	at_least 1 "$hit" "requests that failed by $kind"
done

step "without end, from the first request on and from the middle of the job"
for how in 1/503 12/reset-before; do
	kind=${how#*/}
	change
	begin_faults --fail-nth "${how%/*}" --fail-every 1 --fail-kind "$kind"
	run timeout 600 "$NACRE" backup create "endless-$kind" --volume "$volume"
	end_faults
	case $status in 0 | 124) fail "$kind without end: exit code $status of a backup" ;; esac
	[ -s "$work/err" ] || fail "$kind without end: no reason is given"
	echo "$kind: exit code $status, $requests requests: $(tail -n 1 "$work/err" | cut -c 1-300)"
	expect 0 nacre backup create "again-$kind" --volume "$volume"
	check_whole "after endless $kind" "again-$kind"
done
