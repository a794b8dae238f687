#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill_restore.sh [ROUNDS [hostpath|rbd]]: a restore is killed at a random moment, ROUNDS times (20); 200 to be sure.
#
# Rounds alternate between a volume that is made and one that is restored over. After each kill the volume is absent,
# untouched, whole, or carries the mark of an unfinished restore; then the very same command succeeds, the volume is
# what was backed up, the mark is gone, and the record says Completed.
. "$(dirname "$0")/lib.sh"

rounds=${1:-20} driver=${2:-hostpath}
mib=1048576 size=$((160 * 1048576))
key=nacre.restore-unfinished

case $driver in
hostpath) prefix=hostpath/local source=hostpath/local/disk data=$work/volumes/disk/data ;;
rbd)
	SIZE=$((8 << 30)) start_cluster east
	prefix=rbd/east/rbd source=rbd/east/rbd/disk data=$(rbd_image east rbd/disk)
	;;
*) fail "what is a $driver?" ;;
esac

target_data() { # target_data NAME: for image.py
	if [ "$driver" = rbd ]; then rbd_image east "rbd/$1"; else echo "$work/volumes/$1/data"; fi
}

there() { # there NAME: the volume exists
	if [ "$driver" = rbd ]; then
		in_cluster east rbd info "rbd/$1" >/dev/null 2>&1
	else
		[ -e "$work/volumes/$1/volume.json" ]
	fi
}

mark() { # mark NAME: the mark it carries, or nothing
	if [ "$driver" = rbd ]; then
		in_cluster east rbd image-meta get "rbd/$1" "$key" 2>/dev/null || true
	else
		jq -r --arg key "$key" '.. | objects | .[$key] // empty' "$work/volumes/$1/volume.json"
	fi
}

same() { # same FILE NAME: quietly
	image same "$1" "$(target_data "$2")" >"$work/same" || {
		cat "$work/same" >&2
		fail "$2 is not what was backed up${round:+ (round $round)}"
	}
}

phase() { # phase NAME: what the record of a restore says; "none" without
	run "$NACRE" -o json restore get "$1"
	if [ "$status" -eq 4 ]; then echo none; else json '[.. | .phase? // empty] | .[0]'; fi
}

millis_now() { echo $(($(date +%s%N) / 1000000)); }

expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$source" --size "$size"
image fill "$data" 1 "0:$((40 * mib))" "$((64 * mib)):$((40 * mib))"
image scatter "$data" 2 100 4096
expect 0 "$NACRE" backup create saved --volume "$source"
# A backup is whole without its source: whatever happens to that, what was saved is compared with.
expect 0 "$NACRE" dump saved -O "$work/expected"
measure "$NACRE" restore create timed --from-backup saved --volume-mapping "$source=$prefix/timed"
is 0 "$status" "exit code of an undisturbed restore"
same "$work/expected" timed
window=$((millis + millis / 8))
step "a restore takes $millis ms; $rounds rounds"

declare -A seen=([absent]=0 [untouched]=0 [marked]=0 [whole]=0 [completed]=0)
for ((round = 1; round <= rounds; round++)); do
	name=v$round
	restore=("$NACRE" -v restore create "kill-$round" --from-backup saved
		--volume-mapping "$source=$prefix/$name")
	state=absent
	if ((round % 2 == 0)); then
		# Something else is there: data in other places, some of it right.
		expect 0 "$NACRE" volume create "$prefix/$name" --size "$((size + 4 * mib))"
		image fill "$(target_data "$name")" 1 "0:$((20 * mib))"
		image fill "$(target_data "$name")" "$((round + 5))" "$((50 * mib)):$((30 * mib))" "$size:$mib"
		before=$(image sum "$(target_data "$name")")
		restore+=(--overwrite)
		state=untouched
	fi
	wait=$((RANDOM % window))
	"${restore[@]}" >"$work/killed" 2>&1 </dev/null &
	pid=$!
	# Every other pair waits for the volume's first byte, as most of a short restore is the password.
	if ((round % 4 >= 2)); then
		while ! grep -q 'from repository snapshot' "$work/killed" && kill -0 "$pid" 2>/dev/null; do sleep 0.005; done
		wait=$((wait / 3))
	fi
	sleep "$((wait / 1000)).$(printf '%03d' $((wait % 1000)))"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true

	recorded=$(phase "kill-$round")
	if [ "$recorded" = Completed ]; then
		state=completed
	elif there "$name" && [ -n "$(mark "$name")" ]; then
		state=marked
	elif there "$name" && { [ "$state" = absent ] || [ "$(image sum "$(target_data "$name")")" != "$before" ]; }; then
		state=whole
	fi
	case $state in
	whole | completed)
		is "" "$(mark "$name")" "the mark on a volume that is whole (round $round)"
		expected=$work/expected
		if ((round % 2 == 0)); then
			expected=$work/longer
			cp --sparse=always "$work/expected" "$expected"
			truncate -s "$((size + 4 * mib))" "$expected"
		fi
		same "$expected" "$name"
		;;
	esac
	seen[$state]=$((seen[$state] + 1))
	if [ "$state" != completed ]; then
		run "${restore[@]}"
		[ "$status" -eq 0 ] || {
			last_output
			fail "the restore after a kill that left the volume $state (round $round) ended with $status"
		}
	fi
	is Completed "$(phase "kill-$round")" "the record of round $round"
	is "" "$(mark "$name")" "the mark after round $round"
	if ((round % 2 == 0)); then
		cp --sparse=always "$work/expected" "$work/longer"
		truncate -s "$((size + 4 * mib))" "$work/longer"
		same "$work/longer" "$name"
	else
		same "$work/expected" "$name"
	fi
	expect 0 "$NACRE" volume delete "$prefix/$name" --yes
done
for state in absent untouched marked whole completed; do
	echo "$state after a kill: ${seen[$state]}"
done

step "the repository is as it was"
expect 0 "$NACRE" repo check --read-data
