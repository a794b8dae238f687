#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scale_incremental.sh [GIB]: an image written all over, then random 4 KiB writes into 1 % of it. The second backup
# reads at most the chunks that were touched, uploads none that was not, and says so. 1 GiB by default; 10 to be
# sure. How many chunks were touched is asked of librbd, by another program than nacre.
. "$(dirname "$0")/lib.sh"

gib=${1:-1}
bytes=$((gib << 30))
mib=1048576
# A few chunks more than their data each: sealing, the pack's header, index and tree of the whole volume.
overhead=$((2 * mib + gib * 1024 * 256))

figures() { # figures BACKUP: the details of its one volume, in shell variables
	expect 0 "$NACRE" -o json backup describe "$1" --details
	eval "$(json '.volumes[0] | to_entries[] | select(.value | type == "number") | "\(.key)=\(.value)"')"
	: "${bytesRead:?}" "${bytesUploaded:?}" "${bytesNew:?}" "${chunksNew:?}" "${chunksReused:?}" "${chunksRead:?}" \
		"${chunksTotal:?}" "${chunksUnchanged:?}" "${chunkSize:?}"
}

SIZE=$(((gib * 4 + 4) << 30)) start_cluster east
volume=rbd/east/rbd/disk data=$(rbd_image east rbd/disk)
expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$volume" --size "$bytes"

step "writing $gib GiB, backing up"
image fill "$data" 1 "0:$bytes"
measure "$NACRE" -o json backup create full --volume "$volume"
is 0 "$status" "exit code of the first backup"
figures full
is "$mib" "$chunkSize" "chunk size"
is "$((gib * 1024))" "$chunksNew" "new chunks of the first backup"
is "$bytes" "$bytesRead" "bytes read by the first backup"
echo "full: $((bytesRead / mib)) MiB read, $((bytesUploaded / mib)) MiB uploaded, $millis ms, peak $((peak_kib / 1024)) MiB"

step "writing 1 % at random, backing up"
in_cluster east rbd snap create --no-progress rbd/disk@before
image scatter "$data" 2 $((bytes / 100 / 4096)) 4096
touched=$(image touched "$data" before $mib)
measure "$NACRE" -o json backup create incremental --volume "$volume"
is 0 "$status" "exit code of the second backup"
figures incremental
is true "$(json '.volumes[0].incremental')" incremental
at_most "$touched" "$chunksRead" "chunks read"
at_most $((touched * mib)) "$bytesRead" "bytes read"
at_most "$touched" "$chunksNew" "chunks uploaded"
is "$((chunksTotal - chunksNew))" "$chunksReused" "chunks reused"
is "$((chunksTotal - chunksRead))" "$chunksUnchanged" "chunks not read"
at_most $((chunksNew * mib + overhead)) "$bytesUploaded" "bytes uploaded"
echo "incremental: $touched of $chunksTotal chunks touched; $((bytesRead / mib)) MiB read," \
	"$((bytesUploaded / mib)) MiB uploaded, $millis ms"

step "100 writes in one place, backing up"
in_cluster east rbd snap create --no-progress rbd/disk@again
image fill "$data" 3 $((bytes / 2)):$((3 * mib))
measure "$NACRE" -o json backup create small --volume "$volume"
is 0 "$status" "exit code of the third backup"
figures small
is 3 "$chunksNew" "chunks uploaded"
is 3 "$chunksRead" "chunks read"
at_most $((3 * mib + overhead)) "$bytesUploaded" "bytes uploaded"
echo "small: $((bytesRead / mib)) MiB read, $((bytesUploaded / mib)) MiB uploaded, $millis ms"

step "nothing written, backing up"
measure "$NACRE" -o json backup create none --volume "$volume"
figures none
is 0 "$chunksRead" "chunks read"
at_most $((2 * mib)) "$bytesUploaded" "bytes uploaded"
echo "none: $millis ms"

step "comparing"
expect 0 "$NACRE" restore create back --from-backup small --volume-mapping "$volume=rbd/east/rbd/back"
image same "$data" "$(rbd_image east rbd/back)"
expect 0 restic014 check --read-data
