#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cli_hostpath.sh: the whole command line on sparse files and a directory: every command, every exit code, and
# standard output that holds the result and nothing else.
. "$(dirname "$0")/lib.sh"

EXTRA_CLUSTERS="  west: {driver: hostpath, path: $work/west}"
EXTRA_LOCATIONS="  slow: {url: \"file://$bucket\", password-file: $work/password, limit-upload: 2048, limit-download: 2048}
  open: {url: \"file://$bucket\"}
  broken: {url: \"file://$bucket\", password-file: $work/password, retry-tries: 1, fault-fail-name: backups/, fault-fail-op: put_if_absent, fault-fail-every: 1}
  moody: {url: \"file://$bucket\", password-file: $work/password, retry-base-ms: 1, fault-fail-every: 3}
  wrong: {url: \"file://$bucket\", no-such-option: 1}"
mkdir "$work/west"
write_config
a=hostpath/local/a b=hostpath/local/b
n() { expect 0 "$NACRE" "$@"; }
repositories_snapshots() { find "$repository/snapshots" -type f | wc -l; }

step "version, help, usage"
n version
is "nacre $("$NACRE" -o json version | jq -r .version)" "$(cat "$work/out")" "version"
# The best of many: what else runs on the machine is not nacre's. A sanitizer's start is not either.
best=1000000
for _ in $(seq 50); do
	began=$(date +%s%N)
	"$NACRE" version >/dev/null
	took=$(($(date +%s%N) - began))
	[ "$took" -ge "$((best * 1000))" ] || best=$((took / 1000))
done
grep -qaE "__[at]san_init" "$NACRE" || at_most 20000 "$best" "microseconds of nacre version"
! ldd "$NACRE" | grep -qE 'librados|librbd|libceph' || fail "a Ceph library is loaded at the start"
n --help
n help backup create
grep -q -- --volume "$work/out"
n backup --help
expect 2 "$NACRE"
says 'which command'
expect 2 "$NACRE" backup
expect 2 "$NACRE" backup crate x
says 'did you mean backup create'
expect 2 "$NACRE" backup create x --volumes "$a"
says 'did you mean --volume'
expect 2 "$NACRE" backup get --location nowhere
says 'location "nowhere" is not in .*config.yaml, which has default'
expect 2 "$NACRE" backup get --config "$work/none.yaml"
expect 2 "$NACRE" backup get --location wrong
says 'no-such-option'
printf 'clusters:\n  a: {path: x}\n  a: {path: y}\n' >"$work/bad.yaml"
expect 2 "$NACRE" --config "$work/bad.yaml" backup get
says 'bad.yaml:3:3: name "a" is there twice'
chmod o+w "$work/bad.yaml"
expect 1 "$NACRE" --config "$work/bad.yaml" backup get
says 'can be written by everyone'
# shellcheck disable=SC2016 # the shell that is started expands it
expect 1 bash -c '"$NACRE" help >/dev/full'
says 'standard output'

step "plugins and completion"
n -o json plugin get
json '.items[] | select(.name == "hostpath") | .kind' >/dev/null
is null "$(jq -r '[.items[].problem] | unique | .[0]' "$work/out")" "a plugin's problem"
complete_line() { # the words after nacre, the last one being completed
	bash -c 'source <("$NACRE" completion bash); COMP_WORDS=(nacre "$@"); COMP_CWORD=$#; _nacre; printf "%s " "${COMPREPLY[@]}"' x "$@"
}
is "backup backup-location " "$(complete_line ba)" "completion of ba"
is "create " "$(complete_line backup-location cr)" "completion of backup-location cr"
is "create " "$(complete_line backup cr)" "completion of backup cr"
is "create " "$(complete_line -o json --config x backup cr)" "completion after global options"
is "--volume-mapping " "$(complete_line restore create x --volume-)" "completion of --volume-"
is "json " "$(complete_line -o j)" "completion of -o j"
is "off auto max " "$(complete_line backup create x --compression '')" "completion of --compression"
is "packs " "$(complete_line repo list pa)" "completion of repo list pa"
is "$work/password " "$(complete_line backup create x --password-file "$work/passw")" "completion of a file"
if command -v zsh >/dev/null; then "$NACRE" completion zsh | zsh -n; fi
n completion zsh
grep -q '^#compdef nacre' "$work/out"
"$NACRE" completion bash | bash -n

step "volumes"
expect 4 "$NACRE" volume describe "$a"
expect 2 "$NACRE" volume create "$a"
says '--size is missing'
expect 2 "$NACRE" volume create "$a" --size 10GB
expect 2 "$NACRE" volume create nonsense --size 1G
expect 2 "$NACRE" volume create rbd/local/p/i --size 1G
says 'has driver hostpath, not rbd'
expect 2 "$NACRE" volume create hostpath/nowhere/x --size 1G
n volume create "$a" --size 24MiB --metadata owner=me
expect 1 "$NACRE" volume create "$a" --size 24MiB
n -o json volume describe "$a"
is 25165824 "$(json .bytes)" "size"
is me "$(json .metadata.owner)" "metadata"
n volume expand "$a" --size 32MiB
expect 2 "$NACRE" volume expand "$a" --size 1MiB
n volume create "$b" --size 8MiB
n -o json volume list hostpath/local
is "$a $b" "$(json '[.items[].volume] | join(" ")')" "volumes"
image fill "$work/volumes/a/data" 1 0:9437184 20971520:1048576
image fill "$work/volumes/b/data" 2 0:3145728

step "snapshots"
expect 2 "$NACRE" snapshot create "$a"
says 'VOLUME@SNAP'
n snapshot create "$a@s1"
expect 1 "$NACRE" snapshot create "$a@s1"
image fill "$work/volumes/a/data" 3 1048576:4096 30408704:1048576
n snapshot create "$a@s2"
n -o json snapshot list "$a"
is "s1 s2" "$(json '[.items[].name] | join(" ")')" "snapshots"
n -o json snapshot diff "$a@s1" s2
is 33554432 "$(json .volumeBytes)" "bytes of the volume"
at_least 2097152 "$(json .changedBytes)" "changed in whole chunks"
is 0 "$(json '[.extents[] | .offset % 1048576] | add')" "offsets of whole chunks"
n -o json snapshot diff "$a@s1" s2 --exact
expect 4 "$NACRE" snapshot diff "$a@none" s2
n volume clone "$a@s1" hostpath/local/c
is 33554432 "$(stat -c %s "$work/volumes/c/data")" "size of the clone"
expect 2 "$NACRE" volume clone "$a" hostpath/west/c
says 'a clone stays in its cluster'
expect 2 "$NACRE" volume delete hostpath/local/c
says 'pass --yes'
n volume delete hostpath/local/c --yes
expect 4 "$NACRE" volume delete hostpath/local/c --yes
n snapshot delete "$a@s1"
n snapshot delete "$a@s2"
expect 4 "$NACRE" snapshot delete "$a@s2"

step "repository and passwords"
expect 4 "$NACRE" repo info
expect 4 "$NACRE" backup create one --volume "$a"
says 'no repository at file://.*restic/default; make one with nacre repo init'
n backup get
expect 2 "$NACRE" repo init --location open
says 'this is not a terminal; pass --password-file'
n repo init
expect 1 "$NACRE" repo init
says 'already; nothing was changed'
n -o json repo info
is 2 "$(json .version)" "version"
is 1 "$(json .keys)" "keys"
echo wrong >"$work/wrong"
expect 6 "$NACRE" repo info --password-file "$work/wrong"
says 'wrong password'
n repo info --location open --password-file "$work/password"
n repo info --location open --password-command "cat $work/password"
NACRE_PASSWORD_FILE=$work/password n repo info --location open
NACRE_PASSWORD=$(cat "$work/password") n repo info --location open
NACRE_PASSWORD=wrong expect 6 "$NACRE" repo info
# Prompted on a terminal, without echo.
cat >"$work/prompt.py" <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, sent = b"", False
while True:
    try:
        got = os.read(fd, 4096)
    except OSError:
        got = b""
    if not got:
        break
    seen += got
    if not sent and seen.rstrip().endswith(b":"):
        sent = os.write(fd, sys.argv[1].encode() + b"\n") > 0
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(seen)
sys.exit(code if sent else 99)
PY
expect 0 /usr/bin/python3 "$work/prompt.py" "$(cat "$work/password")" "$NACRE" repo info --location open
grep -q 'password of the repository' "$work/out"
! grep -q 'correct horse' "$work/out" || fail "the password was echoed"
expect 6 /usr/bin/python3 "$work/prompt.py" wrong "$NACRE" repo info --location open
echo second >"$work/second"
expect 2 "$NACRE" key add
n -o json key add --new-password-file "$work/second"
second=$(json .id)
n -o json key list
is 2 "$(json '.items | length')" "keys"
n repo info --location open --password-file "$work/second"
n key remove "${second:0:10}"
expect 6 "$NACRE" repo info --location open --password-file "$work/second"
expect 2 "$NACRE" key remove "$(basename "$repository"/keys/*)"
NACRE_NEW_PASSWORD=third n key passwd
expect 6 "$NACRE" repo info
NACRE_PASSWORD=third NACRE_NEW_PASSWORD=$(cat "$work/password") n key passwd
n repo info

step "backups"
expect 2 "$NACRE" backup create Bad_Name --volume "$a"
expect 2 "$NACRE" backup create one
says '--volume is missing'
expect 2 "$NACRE" backup create one --volume "$a" --volume "$a"
expect 2 "$NACRE" backup create one --volume "$a" --chunk-size 3MiB
cp --sparse=always "$work/volumes/a/data" "$work/a1"
cp --sparse=always "$work/volumes/b/data" "$work/b1"
n -o json backup create one --volume "$a" --volume "$b" --ttl 30d --tag mine
is Completed "$(json .phase)" "phase"
is 2 "$(json '.volumes | length')" "volumes"
is 0 "$(json '[.volumes[] | .chunksTotal - .chunksHole - .chunksUnchanged - .chunksRead] | add')" "chunks"
is 0 "$(json '[.volumes[] | .chunksRead - .chunksZero - .chunksKnown - .chunksNew] | add')" "chunks that were read"
json .expires >/dev/null
expect 1 "$NACRE" backup create one --volume "$a"
says 'there is a backup of this name'
image fill "$work/volumes/a/data" 4 5242880:4096
n backup create two --volume "$a"
n -o json backup describe two --details
is "1 1048576 true" "$(json '.volumes[0] | "\(.chunksRead) \(.bytesRead) \(.incremental)"')" "the second backup read"
is "$(json '.volumes[0] | .chunksUnchanged + .chunksKnown')" "$(json '.volumes[0].chunksReused')" "reused"
expect 3 "$NACRE" -o json backup create part --volume "$a" --volume hostpath/local/none
is "PartiallyFailed Completed Failed" "$(json '"\(.phase) \(.volumes[0].phase) \(.volumes[1].phase)"')" "phases"
says 'nacre: backup "part"'
expect 4 "$NACRE" backup create gone --volume hostpath/local/none
n -o json backup describe gone
is Failed "$(json .phase)" "a backup that failed"
n backup create gone --volume "$b" # its name is free again
n -o json backup get
is "gone one part two" "$(json '[.items[].name] | join(" ")')" "backups"
n backup get one two
expect 4 "$NACRE" backup get none
expect 4 "$NACRE" backup describe none
n backup logs one
grep -q "$a" "$work/out"
expect 4 "$NACRE" backup logs none
# A catalogue that cannot be written is no success; the next try is.
expect 1 "$NACRE" backup create unlisted --location broken --volume "$b"
says 'catalogue'
expect 4 "$NACRE" backup describe unlisted
n backup create unlisted --location moody --volume "$b"

step "in the background, and interrupted"
n backup create behind --volume "$b" --wait=false
is behind "$(cat "$work/out")" "what --wait=false prints"
for ((i = 0; i < 100; i++)); do
	run "$NACRE" backup describe behind
	[ "$status" -ne 0 ] || break
	sleep 0.1
done
n -o json backup describe behind
is Completed "$(json .phase)" "the backup in the background"
expect 6 "$NACRE" backup create behind2 --volume "$b" --wait=false --password-file "$work/wrong"
expect 2 "$NACRE" backup create behind2 --volume "hostpath/none/x" --wait=false
image fill "$work/volumes/b/data" 5 0:8388608
"$NACRE" backup create stopped --volume "$b" --location slow >"$work/out" 2>"$work/err" &
pid=$!
sleep 1.5
kill -INT $pid
status=0
wait $pid || status=$?
is 1 "$status" "exit code of an interrupted backup"
says 'interrupted'
expect 4 "$NACRE" backup describe stopped
is 0 "$(find "$repository/locks" -type f | wc -l)" "locks after an interruption"
n backup create stopped --volume "$b"
expect 2 "$NACRE" backup create latest --volume "$b"
says 'cannot be called "latest"'
run "$NACRE" backup create behind2 --volume "$b" --password-file "$work/wrong"
! grep -q 'backup "behind2": backup "behind2"' "$work/err" || fail "the name is said twice: $(cat "$work/err")"

step "a restore that did not finish shows, and a backup of what it left says so"
"$NACRE" restore create half --from-backup stopped --volume-mapping "$b=hostpath/local/half" --location slow \
	>"$work/out" 2>"$work/err" &
pid=$!
for ((i = 0; i < 100; i++)); do
	grep -qs restore-unfinished "$work/volumes/half/volume.json" && break
	sleep 0.05
done
kill -KILL $pid
wait $pid || true
n -o json volume describe hostpath/local/half
at_least 64 "$(json '.restoreUnfinished | length')" "the mark of an unfinished restore"
n volume describe hostpath/local/half
grep -q '^Unfinished:' "$work/out" || fail "volume describe does not show that a restore did not finish"
n backup create of-half --volume hostpath/local/half
says 'did not finish'
n repo unlock
n backup delete of-half --yes
n volume delete hostpath/local/half --yes
n restore delete half
n -o json volume describe "$b"
is null "$(jq .restoreUnfinished "$work/out")" "the mark of a volume that is whole"

step "restores"
expect 2 "$NACRE" restore create r1
expect 4 "$NACRE" restore create r1 --from-backup none
expect 1 "$NACRE" restore create r1 --from-backup one
says 'overwrite'
n -o json restore describe r1
is Failed "$(json .phase)" "a restore that failed"
expect 2 "$NACRE" restore create r1 --from-backup one --volume-mapping "nothing=hostpath/west/x"
n -o json restore create r1 --from-backup one --volume-mapping hostpath/local=hostpath/west
is "Completed hostpath/west/a hostpath/west/b" "$(json '"\(.phase) \(.volumes[0].target) \(.volumes[1].target)"')" "r1"
image same "$work/a1" "$work/west/a/data"
image same "$work/b1" "$work/west/b/data"
expect 1 "$NACRE" restore create r1 --from-backup one --volume-mapping hostpath/local=hostpath/west
says 'completed already'
n -o json volume describe hostpath/west/a
is me "$(json .metadata.owner)" "metadata after the restore"
n -o json restore create r2 --from-backup two --volume-mapping "a=hostpath/west/a" --overwrite
at_most 1048576 "$(json '.volumes[0].bytesWritten')" "bytes written over what was almost the same"
image same "$work/volumes/a/data" "$work/west/a/data"
expect 3 "$NACRE" -o json restore create r3 --from-backup one --volume-mapping "a=hostpath/west/a" \
	--volume-mapping "b=hostpath/west/b3"
is "PartiallyFailed Failed Completed" "$(json '"\(.phase) \(.volumes[0].phase) \(.volumes[1].phase)"')" "r3"
n restore create r4 --from-backup one --volume b --volume-mapping "*=hostpath/west/b4"
image same "$work/b1" "$work/west/b4/data"
n restore create r5 --from-backup latest --volume-mapping "*=hostpath/west/b5"
image same "$work/volumes/b/data" "$work/west/b5/data"
n -o json repo list snapshots
id=$(json '[.items[] | select(.tags | index("backup=one")) | select(.tags | index("volume=hostpath/local/b"))][0].id')
n restore create r6 --from-backup "${id:0:12}" --volume-mapping "*=hostpath/west/b6"
image same "$work/b1" "$work/west/b6/data"
n restore get
n -o json restore get
is "r1 r2 r3 r4 r5 r6" "$(json '[.items[].name] | join(" ")')" "restores"
n restore logs r1
n restore delete r6
expect 4 "$NACRE" restore describe r6

step "dumps"
expect 2 "$NACRE" dump one
says 'holds 2 volumes; say which'
n dump one a -O "$work/dump"
cmp "$work/a1" "$work/dump"
at_most $((12 << 20)) $(($(stat -c '%b * %B' "$work/dump"))) "space that a sparse dump takes"
expect 1 "$NACRE" dump two -O "$work/dump"
says 'overwrite'
cmp "$work/a1" "$work/dump"
n -o json dump two -O "$work/dump" --overwrite
is 33554432 "$(json .bytes)" "bytes dumped"
cmp "$work/volumes/a/data" "$work/dump"
"$NACRE" dump one b | cmp - "$work/b1"
"$NACRE" dump one b -O - | cmp - "$work/b1"
expect 2 "$NACRE" -o json dump one b
expect 2 /usr/bin/python3 -c 'import pty, os, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
	"$NACRE" dump one b
expect 4 "$NACRE" dump one c -O "$work/dump2"
# shellcheck disable=SC2016 # the shell that is started expands it
expect 1 bash -c '"$NACRE" dump one b >/dev/full'
"$NACRE" dump one a -O "$work/dump2" --location slow >"$work/out" 2>"$work/err" &
pid=$!
sleep 1
kill -TERM $pid
status=0
wait $pid || status=$?
is 1 "$status" "exit code of an interrupted dump"
is "" "$(find "$work" -maxdepth 1 -name 'dump2*')" "what an interrupted dump leaves"

step "machine-readable, and nothing else"
# One that is in use: an interrupted backup leaves others.
pack=$("$NACRE" -o json repo list blobs | jq -r '[.items[] | select(.type == "data")][0].pack')
while read -r line; do
	# shellcheck disable=SC2086
	n -v -o json $line
	jq -e . "$work/out" >/dev/null || fail "nacre -o json $line: not one JSON document"
	# shellcheck disable=SC2086
	n -o yaml $line
	/usr/bin/python3 -c 'import sys; sys.exit("{" == open(sys.argv[1]).read(1))' "$work/out"
done <<-EOS
	version
	plugin get
	volume list hostpath/local
	volume describe $a
	snapshot list $a
	backup get
	backup describe one
	backup describe one --details
	backup logs one
	restore get
	restore describe r1
	restore logs r1
	repo info
	repo check
	repo check --read-data-subset 1/3
	repo check --read-data-subset 50%
	repo unlock
	repo list packs
	repo list blobs
	repo list index
	repo list snapshots
	repo list locks
	repo list keys
	key list
EOS
for what in config "key $(basename "$repository"/keys/*)" "snapshot ${id:0:10}" \
	"index $(find "$repository/index" -type f -printf '%f\n' | head -n 1)"; do
	# shellcheck disable=SC2086
	n repo cat $what
	jq -e . "$work/out" >/dev/null || fail "repo cat $what"
done
n repo cat tree "$("$NACRE" repo cat snapshot "$id" | jq -r .tree)"
is disk.img "$(json '.nodes[0].name')" "the root tree"
blob=$("$NACRE" repo list blobs | awk '$1 == "data" { id = $2 } END { print id }')
is "$blob" "$("$NACRE" repo cat blob "${blob:0:16}" | sha256sum | cut -d ' ' -f 1)" "a blob's SHA-256"
is "$pack" "$("$NACRE" repo cat pack "$pack" | sha256sum | cut -d ' ' -f 1)" "a pack's SHA-256"
expect 2 "$NACRE" repo cat blob 12
expect 4 "$NACRE" repo cat snapshot 0123456789abcdef0123456789abcdef

step "locked, corrupt"
"$TOP/tests/e2e/seal.py" "$repository" "$work/password" locks >"$work/lock" <<-EOS
	{"time":"$(date -u +%Y-%m-%dT%H:%M:%SZ)","exclusive":true,"hostname":"elsewhere.example","username":"u","pid":4711,"uid":0,"gid":0}
EOS
expect 5 "$NACRE" backup create locked --volume "$a"
says 'elsewhere.example'
expect 4 "$NACRE" backup describe locked
expect 5 "$NACRE" restore create locked --from-backup one --volume-mapping hostpath/local=hostpath/west --retry-lock 1s
expect 5 "$NACRE" dump one b -O "$work/dump3"
n repo unlock --remove-all
n repo check --read-data
chmod u+w "$repository/data/${pack:0:2}/$pack"
printf 'altered by a test' | dd of="$repository/data/${pack:0:2}/$pack" bs=1 seek=100 conv=notrunc status=none
expect 7 "$NACRE" -o json repo check --read-data
at_least 1 "$(json .faults)" "faults"
says "${pack:0:8}"

step "deleting"
before=$(repositories_snapshots)
expect 2 "$NACRE" backup delete one
says 'pass --yes'
n -o json backup delete one --yes
is 2 "$(json .snapshotsRemoved)" "snapshots removed"
is $((before - 2)) "$(repositories_snapshots)" "snapshots left"
expect 4 "$NACRE" backup delete one --yes
expect 4 "$NACRE" backup describe one
n -o json backup delete stopped --yes
is 1 "$(json .basesRemoved)" "the base of the volume's latest backup"
echo "all as expected"
