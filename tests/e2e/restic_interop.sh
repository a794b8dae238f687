#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# restic_interop.sh hostpath|rbd: what nacre writes restic reads, 0.14 and 0.18, every byte; what restic writes
# nacre reads, versions 1 and 2; and both may work in one repository in turns.
. "$(dirname "$0")/lib.sh"

kind=${1:?hostpath or rbd}
size=$((150 * 1048576 + 4096)) # the last chunk is a short one
if [ "$kind" = rbd ]; then
	start_cluster east
	volume=rbd/east/rbd/disk data=$(rbd_image east rbd/disk)
else
	volume=hostpath/local/disk data=$work/volumes/disk/data
fi

# SHA-256 of the volume by a tool that is not ours: of rbd's own export, or of the file.
truth() {
	if [ "$kind" = rbd ]; then in_cluster east rbd export --no-progress rbd/disk - | sha256sum; else sha256sum <"$data"; fi
}

agree() { # agree RESTIC WHAT
	expect 0 "$1" check --read-data
	grep -q 'no errors were found' "$work/out" || fail "$1 check of $2: $(cat "$work/out")"
	is "$(truth)" "$("$1" dump latest disk.img | sha256sum)" "$1 dump latest disk.img of $2"
}

step "a new repository, empty"
expect 0 "$NACRE" repo init
for restic in restic014 restic018; do
	expect 0 "$restic" check --read-data
	expect 0 "$restic" snapshots --json
	is 0 "$(json length)" "snapshots in an empty repository"
done

step "first backup: data, zeros, holes, text that compresses"
expect 0 "$NACRE" volume create "$volume" --size "$size"
image fill "$data" 7 0:5000000 70000001:9999999 $((size - 4096)):4096
truncate -s "$size" "$work/text"
head -c 8388608 < <(yes 'all work and no play makes jack a dull boy') |
	dd of="$work/text" bs=1M seek=20 conv=notrunc iflag=fullblock status=none
dd if=/dev/zero of="$work/text" bs=1M seek=40 count=4 conv=notrunc status=none # zeros that are allocated
image copy "$work/text" "$data"
expect 0 "$NACRE" -o json backup create one --volume "$volume"
agree restic014 one
agree restic018 one
first=$(truth)

step "second backup: an incremental"
image scatter "$data" 8 60 4096
expect 0 "$NACRE" -o json backup create two --volume "$volume"
expect 0 "$NACRE" -o json backup describe two --details
is true "$(json '.volumes[0].incremental')" "the second backup is incremental"
agree restic014 two
agree restic018 two
[ "$first" != "$(truth)" ] || fail "the writes changed nothing"

step "restic finds what it expects of a snapshot"
expect 0 restic018 snapshots --json --tag backup=one
is 1 "$(json length)" "snapshots tagged backup=one"
id=$(json '.[0].id')
is "$first" "$(restic018 dump "$id" disk.img | sha256sum)" "the first backup, after the second"
expect 0 restic018 ls --json "$id"
is "$size" "$(jq -r 'select(.name == "disk.img") | .size' "$work/out")" "size of disk.img"
expect 0 restic018 restore latest --sparse --target "$work/out.d"
is "$(truth)" "$(sha256sum <"$work/out.d/disk.img")" "restic restore"

step "restic writes into the same repository, forgets and prunes; nacre goes on"
expect 0 restic018 backup --tag theirs "$work/text"
expect 0 restic014 forget --tag backup=one --keep-last 1 --group-by tags --prune
expect 0 restic014 forget "$id" --prune
expect 0 "$NACRE" repo check --read-data
image scatter "$data" 9 10 4096
expect 0 "$NACRE" -o json backup create three --volume "$volume"
agree restic014 three
expect 0 "$NACRE" restore create three --from-backup three --volume-mapping "$volume=hostpath/local/three"
is "$(truth)" "$(sha256sum <"$work/volumes/three/data")" "nacre's own restore after restic's prune"
expect 0 restic018 check --read-data

step "repositories of restic's own: versions 1 and 2, 0.14 and 0.18"
dd if="$work/text" of="$work/disk.img" bs=1M conv=sparse status=none
image fill "$work/disk.img" 10 1000000:30000000
for restic in restic014 restic018; do
	for version in 1 2; do
		name=$restic-v$version repository=$work/theirs/$name
		expect 0 "$restic" init --repository-version "$version"
		expect 0 "$restic" backup "$work/disk.img"
		there=(--location "file://$repository" --password-file "$work/password")
		expect 0 "$NACRE" repo check --read-data "${there[@]}"
		expect 0 "$NACRE" restore create "$name" --from-backup latest "${there[@]}" \
			--volume-mapping "*=hostpath/local/$name"
		image same "$work/disk.img" "$work/volumes/$name/data"
		"$NACRE" dump latest "${there[@]}" -O - | cmp - "$work/disk.img" || fail "nacre dump of $name"
	done
done
