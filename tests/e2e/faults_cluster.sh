#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# faults_cluster.sh: a Ceph cluster that goes away in the middle of a backup or a restore, or is not there at all; a
# key that it does not accept; an image that somebody else has open. nacre says so in the time that the
# configuration gives it, hangs never, and goes on when the cluster is back.
. "$(dirname "$0")/lib.sh"

CEPH_TIMEOUT=10
EXTRA_LOCATIONS="  slow: {url: \"file://$bucket\", password-file: $work/password, limit-upload: 4096, limit-download: 4096}"
start_cluster east
volume=rbd/east/rbd/disk data=$(rbd_image east rbd/disk)
daemon() { cat "$work/east/run/$1.pid"; }

# More data than a backup has on its way at once, so that it cannot have read everything when the osd dies.
expect 0 "$NACRE" repo init
expect 0 "$NACRE" volume create "$volume" --size 256MiB
image fill "$data" 1 0:220000000
expect 0 "$NACRE" backup create one --volume "$volume"
image fill "$data" 2 0:220000000

job=0
started() {
	"$@" >"$work/out" 2>"$work/err" </dev/null &
	job=$!
	sleep 4
	kill -0 "$job" 2>/dev/null || {
		last_output
		fail "it was over before it could be interrupted: $*"
	}
}
ended() { # within SECONDS, not with success
	local i
	for ((i = 0; i < $1 * 10; i++)); do
		kill -0 "$job" 2>/dev/null || break
		sleep 0.1
	done
	! kill -0 "$job" 2>/dev/null || {
		kill -9 "$job"
		fail "it hangs, $1 s after the cluster went away"
	}
	status=0
	wait "$job" || status=$?
	is 1 "$status" "exit code"
}
# The osd is killed, as by a power cut; `dev/ceph start` brings it back.
osd_dies() {
	local pid
	pid=$(daemon osd.0)
	kill -9 "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}
osd_returns() { "$TOP/dev/ceph" start "$work/east" east "$(sed -n 's/.*for port \([0-9]*\)\..*/\1/p' "$work/east/east.conf")"; }

step "the osd dies in the middle of a backup"
started "$NACRE" backup create two --location slow --volume "$volume"
osd_dies
ended 90
says 'east|rbd'
expect 0 "$NACRE" -o json backup describe two
is Failed "$(json .phase)" "phase of the backup"
osd_returns
expect 0 "$NACRE" backup create two --volume "$volume"
expect 0 restic014 check --read-data

step "the osd dies in the middle of a restore"
started "$NACRE" restore create two --location slow --from-backup two --volume-mapping "$volume=rbd/east/rbd/back"
osd_dies
ended 90
osd_returns
expect 0 "$NACRE" restore create two --from-backup two --volume-mapping "$volume=rbd/east/rbd/back"
image same "$data" "$(rbd_image east rbd/back)"

step "an image that another client has open"
in_cluster east rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 16G --io-pattern rand rbd/back \
	>/dev/null 2>&1 &
bench=$!
finally "kill -9 $bench 2>/dev/null"
sleep 2
run "$NACRE" restore create busy --from-backup two --overwrite --volume-mapping "$volume=rbd/east/rbd/back"
is 1 "$status" "exit code of a restore into an image in use"
says 'in use|open|lock|busy'
# A backup of an image in use is what nacre is for.
expect 0 "$NACRE" backup create live --volume rbd/east/rbd/back
kill -9 "$bench"
wait "$bench" 2>/dev/null || true

step "a key that the cluster does not accept"
sed 's/key = ../key = AB/' "$work/east/east.keyring" >"$work/other.keyring"
EXTRA_CLUSTERS="  other: {conf: $work/east/east.conf, keyring: $work/other.keyring, user: admin, timeout: 10}"
write_config
run timeout 60 "$NACRE" volume list rbd/other/rbd
[ "$status" -eq 1 ] || fail "exit code $status with a wrong key"
says 'other'

step "a cluster that is not there"
"$TOP/dev/ceph" stop "$work/east"
run timeout 60 "$NACRE" volume list rbd/east/rbd
is 1 "$status" "exit code without a cluster"
says 'east'
run timeout 60 "$NACRE" backup create none --volume "$volume"
is 1 "$status" "exit code of a backup without a cluster"
