#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# secrets.sh azure|s3|gcs: no secret gets out. A backup and a restore at the highest verbosity, under strace for all
# programs that are run; then the password, the store's keys and its tokens are looked for in command lines, logs,
# messages, and what is kept on this machine. No core is dumped, another process of the user cannot read memory, and
# memory does not hold what is not needed any more.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/stores.sh
. "$(dirname "$0")/stores.sh"

start_store "$1"
volume=hostpath/local/disk
cp "$work/password" "$work/secrets"
store_secrets >>"$work/secrets"
[ "$(grep -c . "$work/secrets")" -ge 2 ] || fail "there are no secrets to look for"

# Every command line that is run below, whole; the seen ones of /proc as well, often.
traced() { # traced CMD...
	local pid line
	strace -f -qq -s 65536 -v -e trace=execve -o "$work/trace" -- "$@" >"$work/out" 2>"$work/err" </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		for line in $(pgrep -P "$pid"); do
			tr '\0' ' ' 2>/dev/null <"/proc/$line/cmdline" >>"$work/cmdlines" || true
		done
		sleep 0.05
	done
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 0 ] || {
		last_output
		fail "$*"
	}
	# Of execve the arguments count: the environment is its owner's, who put secrets there or not.
	sed 's/\], \[".*$/]/' "$work/trace" >>"$work/argv"
	cat "$work/out" "$work/err" >>"$work/said"
}

step "backup and restore, saying all there is to say"
expect 0 "$NACRE" volume create "$volume" --size 32MiB
image fill "$work/volumes/disk/data" 1 0:16777216
v=("$NACRE" -v -v -v)
traced "${v[@]}" backup-location check
traced "${v[@]}" repo init
NACRE_PASSWORD=$(cat "$work/password") traced "${v[@]}" backup create one --volume "$volume"
traced "${v[@]}" backup create two --volume "$volume" --password-command "cat $work/password"
traced "${v[@]}" restore create back --from-backup two --volume-mapping "$volume=hostpath/local/back"
traced "${v[@]}" backup logs two
traced "${v[@]}" restore logs back
traced "${v[@]}" -o json backup describe two --details
traced "${v[@]}" -o json backup-location describe default
traced "${v[@]}" repo check --read-data
traced "${v[@]}" repo cat config
cmp "$work/volumes/disk/data" "$work/volumes/back/data"
[ "$(wc -l <"$work/argv")" -ge 11 ] || fail "strace saw too little: $(cat "$work/argv")"
grep -q 'backup create two' "$work/cmdlines" || fail "no command line was seen in /proc"
grep -q '^debug: ' "$work/said" || fail "this was not the highest verbosity"

step "failures, saying why"
# In a copy of the configuration, with keys that are wrong: they are secrets, too.
echo "0123456789 not the password" >"$work/wrong"
cat "$work/wrong" >>"$work/secrets"
run "$NACRE" -v -v repo info --password-file "$work/wrong"
is 6 "$status" "exit code for a wrong password"
cat "$work/out" "$work/err" >>"$work/said"
case $store in
azure) key=$work/wrong.key && openssl rand -base64 64 | tr -d '\n' >"$key" ;;
s3) key=$work/wrong.key && sed 's/^\(aws_secret_access_key = \).*/\1aWrongKeyThatIsASecretNonetheless/' "$work/s3.keys" >"$key" ;;
gcs) key=$work/wrong.key && openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/wrong.pem" 2>/dev/null &&
	jq --rawfile key "$work/wrong.pem" '.private_key = $key' "$work/account.json" >"$key" ;;
esac
case $store in
azure) cat "$key" && echo ;;
s3) echo aWrongKeyThatIsASecretNonetheless ;;
gcs) grep -v -e '-----' "$work/wrong.pem" ;;
esac >>"$work/secrets"
sed "s#$work/azurite/account.key#$key#; s#$work/s3.keys#$key#; s#$work/account.json#$key#" "$config" >"$work/wrong.yaml"
run "$NACRE" -v -v --config "$work/wrong.yaml" backup-location check default
[ "$status" -ne 0 ] || fail "wrong credentials were taken"
cat "$work/out" "$work/err" >>"$work/said"

step "looking for $(grep -c . "$work/secrets") secrets"
mkdir "$work/catalogue"
fetch_repository
cp -r "$NACRE_CACHE_DIR" "$work/catalogue/cache"
for place in argv cmdlines said; do
	[ -s "$work/$place" ] || fail "nothing was recorded in $place"
	! grep -nF -f "$work/secrets" "$work/$place" | cut -c 1-200 | grep . || fail "a secret is in $place"
done
! grep -rlF -f "$work/secrets" "$work/catalogue" "$fetched" "$config" || fail "a secret was stored"
# A token begins with ya29. here, as Google's do; signatures and bearer tokens have these words before them.
! grep -nE 'ya29\.|[Bb]earer +[A-Za-z0-9]|SharedKey +[a-z]+:|[?&]sig=[A-Za-z0-9%]|Signature=[0-9a-f]|Authorization:' "$work/said" "$work/argv" | cut -c 1-200 | grep . ||
	fail "a token or a signature is in a log"

step "no core, no look into memory, nothing in memory that was used and is not needed any more"
case $store in
azure) cat "$work/azurite/account.key" && echo ;;
gcs) grep -v -e '-----' "$work/account.pem" ;;
s3) ;; # its key is needed for every request
esac >"$work/used"
cat "$work/password" >>"$work/used"
/usr/bin/python3 - "$NACRE" "$work" <<'EOP'
import os, resource, signal, subprocess, sys, time
nacre, work = sys.argv[1:]
used = [line for line in open(f"{work}/used", "rb").read().split(b"\n") if len(line) > 15]
assert used
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
# Standard output is a pipe that nobody reads: the dump stays in the middle, with password and keys in use.
p = subprocess.Popen([nacre, "dump", "two"], stdout=subprocess.PIPE, cwd=work)
limits = lambda: [l.split()[4:6] for l in open(f"/proc/{p.pid}/limits") if l.startswith("Max core file size")][0]
first = os.read(p.stdout.fileno(), 1)
assert len(first) == 1, "the dump wrote nothing"
assert limits() == ["1", "1"] or limits() == ["0", "0"], limits()
found = set()
with open(f"/proc/{p.pid}/mem", "rb", 0) as memory: # as root: nobody else may
    for line in open(f"/proc/{p.pid}/maps"):
        begin, end = (int(x, 16) for x in line.split()[0].split("-"))
        if not line.split()[1].startswith("rw") or "[v" in line:
            continue
        for at in range(begin, end, 1 << 24):
            try:
                memory.seek(at)
                part = memory.read(min(end, at + (1 << 24) + 4096) - at)
            except OSError:
                continue
            found.update(f"{line.rstrip()}: {s[:4]}..." for s in used if s in part)
if found:
    p.kill()
    sys.exit(f"still in memory: {found}")
p.send_signal(signal.SIGABRT)
_, status = os.waitpid(p.pid, 0)
assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT, status
assert not os.WCOREDUMP(status), "a core was dumped"
EOP
! compgen -G "$work/core*" >/dev/null || fail "there is a core file"
echo "done"
