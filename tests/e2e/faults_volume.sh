#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# faults_volume.sh: volumes that are missing, in use, too small; disks that are full; signals in the middle. Each has
# its exit code and message, loses nothing that was there, and the same command succeeds when the cause is gone.
. "$(dirname "$0")/lib.sh"

volume=hostpath/local/disk data=$work/volumes/disk/data
# A slow location in the same place, so that there is a middle to interrupt.
EXTRA_LOCATIONS="  slow: {url: \"file://$bucket\", password-file: $work/password, limit-upload: 2048, limit-download: 2048}
  full: {url: \"file://$work/small/bucket\", password-file: $work/password}"
EXTRA_CLUSTERS="  small: {driver: hostpath, path: $work/small/volumes}"
write_config

mount_small() { # mount_small SIZE: a file system that fills up
	mkdir -p "$work/small"
	mount -t tmpfs -o "size=$1" nacre-test "$work/small"
	finally "umount $work/small"
	mkdir -p "$work/small/volumes"
}

# started CMD...: runs it in the background until it has done some of its work.
job=0
started() {
	# Not through a function: the signal is for nacre itself.
	"$@" >"$work/out" 2>"$work/err" </dev/null &
	job=$!
	sleep 2
	kill -0 "$job" 2>/dev/null || {
		last_output
		fail "it was over before it could be interrupted: $*"
	}
}

ended() { # ended CODE SECONDS: it ends within SECONDS with CODE
	local i
	for ((i = 0; i < $2 * 10; i++)); do
		kill -0 "$job" 2>/dev/null || break
		sleep 0.1
	done
	! kill -0 "$job" 2>/dev/null || fail "it runs on after $2 s"
	status=0
	wait "$job" || status=$?
	[ "$status" -eq "$1" ] || {
		last_output
		fail "exit code $status, not $1, of the interrupted command"
	}
}

snapshots() { "$NACRE" -o json snapshot list "$1" | jq -r '.. | .name? // empty' | sort; }

expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$volume" --size 64MiB
image fill "$data" 1 0:40000000
cp --sparse=always "$data" "$work/one"
expect 0 "$NACRE" backup create one --volume "$volume"
base=$(snapshots "$volume")

step "a volume that is missing: alone, and beside one that is there"
expect 4 "$NACRE" backup create alone --volume hostpath/local/gone
says 'hostpath/local/gone'
expect 3 "$NACRE" backup create beside --volume hostpath/local/gone --volume "$volume"
expect 0 "$NACRE" -o json backup describe beside
is PartiallyFailed "$(json .phase)" "phase of a backup that lacks a volume"
expect 4 "$NACRE" restore create x --from-backup nothing-of-that-name
expect 4 "$NACRE" backup describe nothing-of-that-name
expect 1 "$NACRE" backup create one --volume "$volume"
says 'one'

step "a target that exists, is too small, is in use"
expect 1 "$NACRE" restore create exists --from-backup one
says 'overwrite'
expect 0 "$NACRE" volume create hostpath/local/little --size 1MiB
run "$NACRE" restore create little --from-backup one --overwrite --volume-mapping "$volume=hostpath/local/little"
[ "$status" -ne 0 ] || fail "restored into a volume that is too small"
says 'expand|larger|smaller'
is 1048576 "$(stat -c %s "$work/volumes/little/data")" "size of the little volume"
expect 0 "$NACRE" volume create hostpath/local/busy --size 64MiB
started "$NACRE" restore create busy --location slow --from-backup one --overwrite --volume-mapping "$volume=hostpath/local/busy"
run "$NACRE" restore create busy-2 --from-backup one --overwrite --volume-mapping "$volume=hostpath/local/busy"
is 1 "$status" "exit code of a restore into a volume in use"
says 'in use|busy'

step "SIGINT in the middle of a restore; then again"
kill -INT "$job"
ended 1 10
expect 0 "$NACRE" -o json volume describe hostpath/local/busy
run "$NACRE" -o json restore describe busy
! grep -q '"Completed"' "$work/out" || fail "an interrupted restore is Completed"
expect 0 "$NACRE" restore create busy --from-backup one --overwrite --volume-mapping "$volume=hostpath/local/busy"
image same "$work/one" "$work/volumes/busy/data"

for signal in INT TERM; do
	step "SIG$signal in the middle of a backup; then again"
	image fill "$data" "$signal" 0:40000000
	before=$(snapshots "$volume")
	started "$NACRE" backup create "interrupted-${signal,,}" --location slow --volume "$volume"
	kill "-$signal" "$job"
	ended 1 10
	says 'interrupt|stopped|cancel|signal'
	expect 4 "$NACRE" backup describe "interrupted-${signal,,}"
	is "$before" "$(snapshots "$volume")" "snapshots on the source after SIG$signal"
	is 0 "$(find "$repository/locks" -type f | wc -l)" "locks left after SIG$signal"
	expect 0 restic014 check
	expect 0 "$NACRE" backup create "interrupted-${signal,,}" --volume "$volume"
	[ "$base" != "$(snapshots "$volume")" ] || fail "the base on the source was not replaced"
done

step "a full disk under the repository"
mount_small 30M
expect 0 "$NACRE" --config "$config" repo init --location full
expect 0 "$NACRE" volume create hostpath/local/small --size 10MiB
image fill "$work/volumes/small/data" 5 0:10000000
expect 0 "$NACRE" backup create small --location full --volume hostpath/local/small
expect 1 "$NACRE" backup create big --location full --volume "$volume"
says '[Nn]o space|full'
expect 0 "$NACRE" repo check --read-data --location full
expect 0 "$NACRE" restore create small --location full --from-backup small --volume-mapping hostpath/local/small=hostpath/local/small-2
image same "$work/volumes/small/data" "$work/volumes/small-2/data"
mount -o remount,size=200M "$work/small"
expect 0 "$NACRE" backup create big --location full --volume "$volume"
expect 0 "$NACRE" repo check --read-data --location full

step "a full disk under the target"
rm -rf "$work/small/bucket"
mount -o remount,size=20M "$work/small"
expect 1 "$NACRE" restore create full --from-backup one --volume-mapping "$volume=hostpath/small/disk"
says '[Nn]o space|full'
mount -o remount,size=200M "$work/small"
expect 0 "$NACRE" restore create full --from-backup one --volume-mapping "$volume=hostpath/small/disk"
image same "$work/one" "$work/small/volumes/disk/data"
expect 0 "$NACRE" repo check --read-data
