#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Backup locations: made, changed and removed in a configuration that somebody wrote and commented; which one is
# the default; what a read-only one refuses, and what it still does; a check finds what is wrong and says so.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

volume=hostpath/local/disk
nacre() { "$NACRE" "$@"; }

step "create, in a file with comments"
cat >"$config" <<EOC
# the cellar's machine
clusters:
  local: {driver: hostpath, path: $work/volumes} # volumes

locations:
  # the first
  one: {url: "file://$work/one", password-file: $work/password}
  # nothing below
EOC
chmod 640 "$config"
cp "$config" "$work/before"
expect 0 nacre backup-location create two --url "file://$work/two" --set "password-file=$work/password" --default
expect 0 nacre backup-location create three --provider azure --bucket box --prefix a/b --access-mode ReadOnly
is 640 "$(stat -c %a "$config")" "mode of the configuration"
diff "$work/before" "$config" >"$work/diff" && fail "nothing was added"
! grep -q '^<' "$work/diff" || fail "lines of the configuration were changed: $(cat "$work/diff")"
expect 1 nacre backup-location create two --url file:///x
says 'is in .*config.yaml:[0-9]+ already'
expect 2 nacre backup-location create four
says '--url is missing'
expect 2 nacre backup-location create four --url "s3://KEY:geheim@bucket"
says 'credentials do not belong into a URL'
! grep -q geheim "$work/err" || fail "the message shows the secret"
expect 2 nacre backup-location create four --url s3://bucket --set secret-key=geheim
says 'can be seen by every user'
! grep -q geheim "$work/err" || fail "the message shows the secret"
expect 2 nacre backup-location create no/name --url s3://bucket

step "get, describe"
expect 0 nacre -o json backup-location get
is "one two three" "$(json '[.items[].name] | join(" ")')" "the locations"
is "two" "$(json '.items[] | select(.default) | .name')" "the default"
is "azblob://box/a/b" "$(json '.items[2].url')" "the URL from provider, bucket and prefix"
is "azure ReadOnly" "$(json '.items[2] | .provider + " " + .accessMode')" "provider and access mode"
sed -i "s|  one: {|  one: {account-key: geheim, password-x: geheim, |; s|\"file://$work/one\"|\"azblob://u:geheim@box/one?sig=geheim\"|" "$config"
for form in table json yaml; do
	expect 0 nacre -o "$form" -v -v backup-location describe one
	! grep -q geheim "$work/out" "$work/err" || fail "describe shows a secret"
	grep -q 'not shown' "$work/out" || fail "describe does not say that something is not shown"
done
cp "$work/before" "$config"
expect 0 nacre backup-location create two --url "file://$work/two" --set "password-file=$work/password" --default
expect 4 nacre backup-location describe nothing
says 'which has one, two'

step "the default"
expect 0 nacre repo init
[ -f "$work/two/restic/default/config" ] || fail "the default location was not used"
expect 0 nacre backup-location set one --default
is one "$(nacre -o json backup-location get | jq -r '.items[] | select(.default) | .name')" "the default"
is 1 "$(grep -c 'default: true' "$config")" "default marks"
expect 0 nacre backup-location set one --default=false
expect 2 nacre backup get
says 'no default location: it has one, two'

step "set, unset, delete"
expect 0 nacre backup-location set two --set repository=here --set limit-upload=1000000 --set connections=3
is "here 3" "$(nacre -o json backup-location describe two | jq -r '.options | .repository + " " + .connections')" "set"
expect 0 nacre backup-location set two --unset repository --unset limit-upload --unset connections
expect 0 nacre -o json backup-location describe two
is "password-file" "$(json '.options | keys | join(" ")')" "keys that are left"
expect 2 nacre backup-location set two
expect 2 nacre backup-location set two --unset url
says 'needs a url'
expect 2 nacre backup-location delete two
says 'pass --yes'
expect 0 nacre backup-location delete two --yes
cmp "$config" "$work/before" || fail "create and delete did not give the configuration back byte for byte"
expect 4 nacre backup-location delete two --yes
[ -f "$work/two/restic/default/config" ] || fail "delete touched what is stored"

step "a configuration that is not there yet"
expect 0 env NACRE_CONFIG="$work/new/dir/c.yaml" "$NACRE" backup-location create default --url "file://$work/one"
is 600 "$(stat -c %a "$work/new/dir/c.yaml")" "mode of a new configuration"
expect 0 env -u NACRE_CONFIG XDG_CONFIG_HOME="$work/xdg" "$NACRE" backup-location create default --url "file://$work/one"
expect 0 env -u NACRE_CONFIG XDG_CONFIG_HOME="$work/xdg" "$NACRE" backup-location check
ln -s "$work/new/dir/c.yaml" "$work/link.yaml"
expect 0 nacre --config "$work/link.yaml" backup-location create more --url "file://$work/one"
[ -L "$work/link.yaml" ] || fail "the link was replaced by a file"
step "what cannot be edited safely"
printf 'locations:\n  a: &x {url: "file:///x"}\n  b: *x\n' >"$work/alias.yaml"
expect 1 nacre --config "$work/alias.yaml" backup-location set b --access-mode ReadOnly
says 'cannot be edited safely; nothing was changed. By hand: set in location b \(line 3\): access-mode: "ReadOnly"'

step "check"
expect 0 nacre backup-location create two --url "file://$work/two" --set "password-file=$work/password" --default
expect 0 nacre -o json backup-location check two
is "passed 8" "$(json '.result + " " + (.steps | length | tostring)')" "check"
expect 0 nacre backup-location get -v
grep -q 'passed 20' "$work/out" || fail "get -v does not show the last check"
[ -z "$(find "$work/two" -name 'nacre-probe*')" ] || fail "the probe was left"
for operation in put get put_if_absent list remove stat; do
	expect 0 nacre backup-location set two --set fault-fail-op=$operation --set fault-fail-every=1 --set fault-code=denied
	run nacre -o json backup-location check two
	[ "$status" -ne 0 ] || fail "check finds nothing wrong when $operation fails"
	says 'location "two" .*step "'
	is failed "$(jq -r '.steps[-1].result' "$work/out")" "the last step"
	expect 0 nacre backup-location set two --unset fault-fail-op --unset fault-fail-every --unset fault-code
	find "$work/two" -name 'nacre-probe*' -delete
done
expect 0 nacre backup-location create gone --url "nowhere://x"
run nacre backup-location check gone
[ "$status" -ne 0 ] || fail "check of an unknown scheme"
says 'nowhere'

step "read-only"
expect 0 nacre volume create "$volume" --size 8MiB
image fill "$work/volumes/disk/data" 1 0:4194304
expect 0 nacre backup create first --volume "$volume"
expect 0 nacre backup-location set two --access-mode ReadOnly
find "$work/two" -type f | sort >"$work/files"
for command in "backup create x --volume $volume" "backup delete first --yes" "repo init" "repo unlock" \
	"key add --new-password-file $work/password" "key remove 0" "key passwd --new-password-file $work/password" \
	"restore delete x"; do
	# shellcheck disable=SC2086
	expect 1 nacre $command
	says 'location "two" is read-only .*, and this command writes'
done
expect 0 nacre backup get
expect 0 nacre backup describe first
expect 0 nacre repo check --read-data
expect 0 nacre repo list snapshots
expect 0 nacre dump first -O "$work/dump"
cmp "$work/dump" "$work/volumes/disk/data"
expect 0 nacre restore create back --from-backup first --volume-mapping "$volume=hostpath/local/back"
says 'keeps no record'
cmp "$work/volumes/back/data" "$work/volumes/disk/data"
expect 0 nacre -o json backup-location check two
is "open list read" "$(json '[.steps[].step] | join(" ")')" "the steps of a read-only check"
find "$work/two" -type f | sort | cmp - "$work/files" || fail "something was written into a read-only location"
echo "done"
