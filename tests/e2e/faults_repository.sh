#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# faults_repository.sh: a wrong password; no repository; one from the future; bytes flipped, cut off or missing in
# every kind of file; locks, stale and foreign. Each has its exit code and a message that names the culprit, and
# when the damage is undone all is as before.
. "$(dirname "$0")/lib.sh"

volume=hostpath/local/disk data=$work/volumes/disk/data
seal() { "$TOP/tests/e2e/seal.py" "$repository" "$work/password" "$@"; }

# The largest file of a kind, where damage cannot be in a corner that nobody looks at.
file_of() { find "$repository/$1" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-; }

# damage FILE: puts a copy aside; mend puts it back.
damaged=
damage() {
	damaged=$1
	cp -p "$damaged" "$work/whole"
	chmod u+w "$damaged"
	rm -rf "$NACRE_CACHE_DIR"
}
mend() {
	cp -p "$work/whole" "$damaged"
	rm -rf "$NACRE_CACHE_DIR"
}

flip() { # flip FILE OFFSET: one bit of one byte
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

middle() { echo $(($(stat -c %s "$1") / 2)); }

restore_fails() { # restore_fails CODE TEXT: and what it left is not taken for a volume that was restored
	expect "$1" "$NACRE" restore create damaged --from-backup one --volume-mapping "$volume=hostpath/local/damaged"
	says "$2"
	run "$NACRE" -o json restore describe damaged
	! grep -q '"Completed"' "$work/out" || fail "a failed restore is Completed"
}

restore_works() {
	expect 0 "$NACRE" restore create "$1" --from-backup one --volume-mapping "$volume=hostpath/local/$1"
	image same "$work/one" "$work/volumes/$1/data"
}

step "no repository"
expect 4 "$NACRE" repo info
says 'nacre repo init'
expect 4 "$NACRE" backup create x --volume "$volume"

expect 0 "$NACRE" repo init
expect 1 "$NACRE" repo init
expect 0 "$NACRE" volume create "$volume" --size 40MiB
image fill "$data" 1 0:30000000
cp --sparse=always "$data" "$work/one"
expect 0 "$NACRE" backup create one --volume "$volume"
expect 0 "$NACRE" repo check --read-data

step "wrong password"
echo wrong >"$work/wrong"
expect 6 "$NACRE" repo info --password-file "$work/wrong"
says 'wrong password'
expect 6 "$NACRE" backup create two --volume "$volume" --password-file "$work/wrong"
expect 6 "$NACRE" dump one --password-file "$work/wrong" -O "$work/dump"
[ ! -e "$work/dump" ] || fail "a dump that failed left a file"

step "a repository of a future version"
damage "$repository/config"
seal open "$repository/config" | sed 's/"version":2/"version":3/' | seal config >/dev/null
expect 1 "$NACRE" repo info
says 'version 3'
expect 1 "$NACRE" backup create two --volume "$volume"
mend

step "config: altered, cut off, empty"
damage "$repository/config"
flip "$damaged" 40
expect 7 "$NACRE" repo info
says config
mend
truncate -s 20 "$damaged"
expect 7 "$NACRE" repo info
: >"$damaged"
expect 7 "$NACRE" repo info
mend

step "key: altered, cut off, costing more than can be paid"
damage "$(file_of keys)"
sed -i 's/"data":"A/"data":"B/; t; s/"data":"./"data":"A/' "$damaged"
run "$NACRE" repo info
[ "$status" -eq 6 ] || [ "$status" -eq 7 ] || fail "exit code $status of an altered key"
mend
truncate -s 100 "$damaged"
run "$NACRE" repo info
[ "$status" -eq 6 ] || [ "$status" -eq 7 ] || fail "exit code $status of half a key"
says "$(basename "$damaged" | cut -c 1-8)"
mend
sed -i 's/"N": *[0-9]*/"N":1073741824/' "$damaged"
run timeout 20 "$NACRE" repo info
case $status in 0 | 124 | 139) fail "exit code $status of a key that is too dear" ;; esac
says scrypt
mend
restore_works after-keys
echo second >"$work/second"
expect 0 "$NACRE" key add --new-password-file "$work/second"
for key in "$repository"/keys/*; do
	damage "$key"
	for size in 100 0; do
		truncate -s $size "$damaged"
		codes=
		for password in password second; do
			run "$NACRE" repo check --password-file "$work/$password"
			codes+=$status
			says "$(basename "$damaged" | cut -c 1-8)"
			! grep -q 'line -1' "$work/err" || fail "a key file of $size bytes: $(cat "$work/err")"
		done
		# Its own password does not open the repository any more; the other one finds the damage.
		case $codes in 67 | 76) ;; *) fail "exit codes $codes of checks with a key file of $size bytes" ;; esac
	done
	mend
done
expect 0 "$NACRE" repo check

step "config, with two key files: not the keys are to blame"
damage "$repository/config"
truncate -s 20 "$damaged"
expect 7 "$NACRE" repo info
says 'the config has 20 bytes'
! grep -q 'key file' "$work/err" || fail "the key file is blamed for the config: $(cat "$work/err")"
mend

step "snapshot: altered"
damage "$(file_of snapshots)"
flip "$damaged" "$(middle "$damaged")"
expect 7 "$NACRE" repo check
restore_fails 7 "$(basename "$damaged" | cut -c 1-8)"
mend
restore_works after-snapshot

step "index: altered, cut off"
for how in flip cut; do
	damage "$(file_of index)"
	if [ "$how" = flip ]; then flip "$damaged" "$(middle "$damaged")"; else truncate -s 50 "$damaged"; fi
	expect 7 "$NACRE" repo check
	restore_fails 7 "$(basename "$damaged" | cut -c 1-8)"
	mend
done
restore_works after-index

step "pack: altered, cut off, missing"
damage "$(file_of data)"
pack=$(basename "$damaged" | cut -c 1-8)
flip "$damaged" "$(middle "$damaged")"
expect 7 "$NACRE" repo check --read-data
grep -q "$pack" "$work/out" "$work/err" || fail "check does not name pack $pack"
restore_fails 7 "$pack"
expect 7 "$NACRE" dump one -O "$work/dump"
[ ! -e "$work/dump" ] || fail "a dump that failed left a file"
mend
truncate -s 1000000 "$damaged"
expect 7 "$NACRE" repo check
restore_fails 7 "$pack"
mend
rm "$damaged"
expect 7 "$NACRE" repo check
restore_fails 7 "$pack"
mend
expect 0 "$NACRE" repo check --read-data
expect 0 "$NACRE" restore create damaged --from-backup one --volume-mapping "$volume=hostpath/local/damaged"
image same "$work/one" "$work/volumes/damaged/data"

step "a snapshot whose tree is not there"
# Sealed as it should be, and pointing nowhere.
gone=$(printf 'f%.0s' {1..64})
seal snapshots >"$work/name" <<-EOS
	{"time":"2026-01-01T00:00:00Z","tree":"$gone","paths":["/x"],"hostname":"h"}
EOS
expect 7 "$NACRE" repo check
expect 7 "$NACRE" restore create x --from-backup "$(cat "$work/name")" --volume-mapping "*=hostpath/local/x"
says "$(echo "$gone" | cut -c 1-8)"
rm "$repository/snapshots/$(cat "$work/name")"

step "locks: another's exclusive one, a stale one, one of a process that is gone"
lock() { # lock HOST PID TIME
	seal locks <<-EOS
		{"time":"$3","exclusive":true,"hostname":"$1","username":"somebody","pid":$2,"uid":1,"gid":1}
	EOS
}
now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
id=$(lock elsewhere.example 4711 "$now")
expect 5 "$NACRE" backup create two --volume "$volume"
says 'elsewhere.example'
says 4711
[ -e "$repository/locks/$id" ] || fail "a lock that holds was removed"
expect 0 "$NACRE" -o json repo list locks
grep -q elsewhere.example "$work/out" || fail "repo list locks does not show it"
expect 0 "$NACRE" repo unlock
[ -e "$repository/locks/$id" ] || fail "unlock removed a lock that is not stale"
expect 0 "$NACRE" repo unlock --remove-all
[ ! -e "$repository/locks/$id" ] || fail "unlock --remove-all left a lock"
id=$(lock elsewhere.example 4711 2026-01-01T00:00:00Z)
touch -d '40 minutes ago' "$repository/locks/$id"
expect 0 "$NACRE" backup create two --volume "$volume"
id=$(lock "$(hostname)" 4194303 "$now") # beyond any pid that the kernel gives out by default
expect 0 "$NACRE" backup create three --volume "$volume"
[ ! -e "$repository/locks/$id" ] || fail "the lock of a process that is gone stays"
is 0 "$(find "$repository/locks" -type f | wc -l)" "locks left"
expect 0 "$NACRE" repo check --read-data
expect 0 restic014 check --read-data
