#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill_backup.sh [ROUNDS [hostpath|rbd]]: a backup is killed at a random moment, ROUNDS times (20); 200 to be sure.
#
# Each time: the next backup succeeds without being told anything, what it saved is what the volume holds, nothing
# but its one base is left on the volume, and the backups of before are still whole. Now and then, and at the end,
# restic reads every byte of the repository.
. "$(dirname "$0")/lib.sh"

rounds=${1:-20} driver=${2:-hostpath}
mib=1048576 size=$((160 * 1048576))
# Every backup of the tour is kept, so the repository grows by this each round.
written=$((24 * mib))

case $driver in
hostpath) volume=hostpath/local/disk data=$work/volumes/disk/data ;;
rbd)
	SIZE=$((8 << 30)) start_cluster east
	volume=rbd/east/rbd/disk data=$(rbd_image east rbd/disk)
	;;
*) fail "what is a $driver?" ;;
esac

millis_now() { echo $(($(date +%s%N) / 1000000)); }

change() { # change SEED: a large piece somewhere, and small writes all over
	image fill "$data" "$1" "$((RANDOM % ((size - written) / 65536) * 65536)):$written"
	image scatter "$data" "$1" 20 4096
}

# Half of the kills fall anywhere; half after the snapshot was taken, when something can be left behind.
pause() {
	local wait=$1
	if ((round % 2)); then
		while ! grep -q 'backing up the snapshot' "$work/killed" && kill -0 "$pid" 2>/dev/null; do sleep 0.005; done
		wait=$((wait / 4))
	fi
	sleep "$((wait / 1000)).$(printf '%03d' $((wait % 1000)))"
}

bases() { # the snapshots of nacre's on the volume
	expect 0 "$NACRE" -o json snapshot list "$volume"
	json '[.. | objects | select(has("name")) | .name | select(startswith("nacre-"))] | length'
}

verify() { # verify BACKUP: it holds what the volume holds
	expect 0 "$NACRE" dump "$1" -O "$work/dumped"
	image same "$data" "$work/dumped"
	rm "$work/dumped"
}

expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$volume" --size "$size"
image fill "$data" 1 "0:$((size / 2))"
expect 0 "$NACRE" backup create base --volume "$volume"
change 2
measure "$NACRE" backup create timed --volume "$volume"
is 0 "$status" "exit code of an undisturbed backup"
window=$((millis + millis / 8))
step "a backup takes $millis ms; $rounds rounds"

finished=0 left=0
for ((round = 1; round <= rounds; round++)); do
	change $((round + 2))
	began=$(millis_now)
	"$NACRE" -v backup create "killed-$round" --volume "$volume" >"$work/killed" 2>&1 </dev/null &
	pid=$!
	pause $((RANDOM % window))
	kill -9 "$pid" 2>/dev/null || finished=$((finished + 1))
	wait "$pid" 2>/dev/null || true
	at=$(($(millis_now) - began))
	count=$(bases)
	[ "$count" -eq 1 ] || left=$((left + 1))
	at_least 1 "$count" "bases after a kill at $at ms (round $round)"
	at_most 2 "$count" "bases after a kill at $at ms (round $round)"

	run "$NACRE" backup create "after-$round" --volume "$volume"
	[ "$status" -eq 0 ] || {
		last_output
		fail "the backup after a kill at $at ms (round $round) ended with $status"
	}
	! grep -q 'in full' "$work/err" || {
		last_output
		fail "the backup after a kill at $at ms (round $round) found no base"
	}
	is 1 "$(bases)" "bases after the backup of round $round"
	verify "after-$round"
	if ((round % 10 == 0 || round == rounds)); then
		expect 0 restic014 check --read-data
	fi
done
echo "$rounds kills: $left left a snapshot on the volume for the next run, $finished came too late"

step "what was saved before is still whole"
expect 0 "$NACRE" repo check
first=$(restic014 snapshots --json | jq -r '[.[] | select(.tags | index("backup=base"))][0].id')
expect 0 restic014 dump "$first" /disk.img
is "$size" "$(stat -c %s "$work/out")" "bytes of the first backup"
