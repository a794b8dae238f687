#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scale_thin.sh [MIB] [hostpath|rbd]: a thin image of 1 TiB with MIB of data here and there (512 by default; 4096 to be
# sure), against an image of just that size. Backup and restore need at most 200 MiB of memory and read
# the data only; the times are printed, for people.
. "$(dirname "$0")/lib.sh"

data_mib=${1:-512} kind=${2:-rbd}
tib=$((1 << 40)) mib=1048576 pieces=64
limit_kib=$((200 * 1024))

if [ "$kind" = rbd ]; then
	SIZE=$(((data_mib * 6 << 20) + (6 << 30))) start_cluster east
	prefix=rbd/east/rbd
else
	prefix=hostpath/local
fi
data() { if [ "$kind" = rbd ]; then rbd_image east "rbd/$1"; else echo "$work/volumes/$1/data"; fi; }

# Pieces of data from end to end of an image of $2 bytes.
ranges() {
	local i
	for ((i = 0; i < pieces; i++)); do
		echo "$(((($2 / pieces) & ~(mib - 1)) * i)):$((data_mib * mib / pieces))"
	done
}

# measured WHAT CMD...: succeeds, within the limit of memory; says how long it took.
measured() {
	local what=$1
	shift
	measure "$@"
	[ "$status" -eq 0 ] || last_output
	is 0 "$status" "exit code of $what"
	at_most "$limit_kib" "$peak_kib" "peak memory of $what in KiB"
	echo "$what: $millis ms, peak $((peak_kib / 1024)) MiB"
}

expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$prefix/thin" --size "$tib"
expect 0 "$NACRE" volume create "$prefix/thick" --size $((data_mib * mib))
# shellcheck disable=SC2046
image fill "$(data thin)" 1 $(ranges thin "$tib")
# shellcheck disable=SC2046
image fill "$(data thick)" 2 $(ranges thick $((data_mib * mib)))

step "backup"
measured "backup of $data_mib MiB" "$NACRE" -o json backup create thick --volume "$prefix/thick"
measured "backup of 1 TiB with $data_mib MiB in it" "$NACRE" -o json backup create thin --volume "$prefix/thin"
expect 0 "$NACRE" -o json backup describe thin --details
at_most $((data_mib + pieces)) "$(json '.volumes[0].bytesRead / 1048576 | floor')" "MiB read"
measured "backup of it again" "$NACRE" -o json backup create again --volume "$prefix/thin"

step "restore"
measured "restore of $data_mib MiB" "$NACRE" -o json restore create thick --from-backup thick \
	--volume-mapping "$prefix/thick=$prefix/thick-2"
measured "restore of 1 TiB with $data_mib MiB in it" "$NACRE" -o json restore create thin --from-backup thin \
	--volume-mapping "$prefix/thin=$prefix/thin-2"

step "comparing"
image same "$(data thick)" "$(data thick-2)"
image same "$(data thin)" "$(data thin-2)"
if [ "$kind" = hostpath ]; then
	at_most $(((data_mib + pieces) * 1024 + 1024)) "$(du -k "$(data thin-2)" | cut -f 1)" "KiB allocated by the restored volume"
fi
expect 0 restic014 check --read-data
