# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lib.sh: what the e2e scripts share. A script sources it first; then it has a directory $work of its own, a
# configuration, a password, and whatever it starts through these functions ends with it, however it ends.
#
# From meson: NACRE (the program), NACRE_PLUGIN_PATH, TOP (the source tree). By hand:
#   NACRE=build/gcc/cli/nacre tests/e2e/cli_hostpath.sh
#
#   run CMD...            runs it; output in $work/out and $work/err, exit code in $status
#   expect CODE CMD...    the same, and the exit code must be CODE
#   says TEXT             the last command's message (stderr) contains TEXT (an extended regular expression)
#   json FILTER           jq -r FILTER of the last command's standard output
#   is WANTED GOT WHAT    equal, or the script fails saying WHAT
#   at_most LIMIT GOT WHAT
#   start_cluster NAME [--rgw]
#                         a real Ceph cluster (dev/ceph) that the configuration knows; $work/NAME/NAME.conf
#   in_cluster NAME CMD.. runs rbd, rados or ceph as its admin
#   measure CMD...        as run; then $peak_kib and $millis
#   restic014, restic018  the two versions, on the repository of location `default`
#
# The cluster "local" is of hostpath, its volumes are in $work/volumes. Location `default` is $bucket.
set -euo pipefail

TOP=${TOP:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
NACRE=$(realpath "${NACRE:-$TOP/build/gcc/cli/nacre}")
export NACRE
work=$(mktemp -d /tmp/nXXXXXX)
config=$work/config.yaml
bucket=$work/bucket
repository=$bucket/restic/default
store_url=file://$bucket store_options='' # of location default; stores.sh has others
status=0 peak_kib=0 millis=0 port=0
clusters=() undo=()

export NACRE_CONFIG=$config NACRE_CACHE_DIR=$work/cache
export RESTIC_PASSWORD_FILE=$work/password RESTIC_CACHE_DIR=$work/restic-cache
unset NACRE_PASSWORD NACRE_PASSWORD_FILE

end() {
	local code=$? i
	trap - EXIT INT TERM
	set +e
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}"
	done
	for i in "${clusters[@]+"${clusters[@]}"}"; do
		"$TOP/dev/ceph" stop "$work/$i"
	done
	if [ "$code" -eq 0 ] || [ -z "${KEEP:-}" ]; then rm -rf "$work"; else echo "kept: $work" >&2; fi
	exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# finally CODE: shell code that runs at the end, the last one first.
finally() { undo+=("$1"); }

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

step() { echo "--- $*"; }

run() {
	status=0
	"$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

last_output() {
	sed 's/^/    out: /' "$work/out" | tail -n 20 | cut -c 1-400
	sed 's/^/    err: /' "$work/err" | tail -n 20 | cut -c 1-400
}

expect() {
	local wanted=$1
	shift
	run "$@"
	[ "$status" -eq "$wanted" ] || {
		last_output
		fail "exit code $status, not $wanted, of: $*"
	}
}

says() {
	grep -qE -- "$1" "$work/err" || {
		last_output
		fail "the message does not say: $1"
	}
}

json() { jq -er "$1" "$work/out" || {
	last_output
	fail "no $1 in the output"
}; }

is() { [ "$1" = "$2" ] || fail "$3: wanted $1, got $2"; }

at_most() { [ "$2" -le "$1" ] || fail "$3: at most $1, got $2"; }

at_least() { [ "$2" -ge "$1" ] || fail "$3: at least $1, got $2"; }

# Runs a command and says how much memory it took at its peak, itself and not the shell, and how long. Without the
# MALLOC_PERTURB_ of meson test, which writes to all that is allocated, used or not.
measure() {
	run env -u MALLOC_PERTURB_ /usr/bin/python3 -c '
import os, sys, time
began = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as f:
    f.write(f"{usage.ru_maxrss} {int((time.monotonic() - began) * 1000)}\n")
sys.exit(os.waitstatus_to_exitcode(status) & 255)' "$work/usage" "$@"
	# shellcheck disable=SC2034 # for the script that sources this
	read -r peak_kib millis <"$work/usage"
}

write_config() {
	{
		echo "clusters:"
		echo "  local: {driver: hostpath, path: $work/volumes}"
		[ -z "${EXTRA_CLUSTERS:-}" ] || echo "$EXTRA_CLUSTERS"
		local name
		for name in "${clusters[@]+"${clusters[@]}"}"; do
			echo "  $name: {conf: $work/$name/$name.conf, keyring: $work/$name/$name.keyring, user: admin, timeout: ${CEPH_TIMEOUT:-30}}"
		done
		echo "locations:"
		echo "  default: {url: \"$store_url\", password-file: $work/password$store_options}"
		[ -z "${EXTRA_LOCATIONS:-}" ] || echo "$EXTRA_LOCATIONS"
	} >"$config"
}

# The base of its ports is then $port. Ports are below those that the kernel gives to clients; a base that someone else has is passed over.
start_cluster() {
	local name=$1 try
	shift
	for ((try = 0; try < 20; try++)); do
		port=$((10000 + RANDOM % 220 * 100))
		if GUARD=$$ "$TOP/dev/ceph" start "$work/$name" "$name" "$port" "$@" >"$work/ceph.out" 2>&1; then
			clusters+=("$name")
			write_config
			return 0
		fi
		grep -q 'is in use' "$work/ceph.out" || break
	done
	cat "$work/ceph.out" >&2
	fail "cluster $name did not start"
}

in_cluster() {
	local name=$1 tool=$2
	shift 2
	"$tool" -c "$work/$name/$name.conf" "$@"
}

image() { "$TOP/tests/e2e/image.py" "$@"; }

# The rbd image of image.py for CLUSTER POOL/NAME[@SNAP].
rbd_image() { echo "rbd:$work/$1/$1.conf:$2"; }

restic014() { "${RESTIC:-/usr/bin/restic}" -r "$repository" "$@"; }

restic018() {
	local restic=${RESTIC_018:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nacre/restic-0.18/usr/bin/restic}
	[ -x "$restic" ] || fail "restic 0.18 is not there ($restic); run dev/setup"
	"$restic" -r "$repository" "$@"
}

mkdir "$work/volumes" "$RESTIC_CACHE_DIR"
echo "correct horse battery staple" >"$work/password"
chmod 600 "$work/password"
write_config
