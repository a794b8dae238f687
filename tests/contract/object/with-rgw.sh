#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with-rgw.sh STARTER SUITE: starts a Ceph cluster with radosgw (STARTER is dev/ceph) and runs the object contract on
# the store s3 in it: by path and in parts, below a prefix; by host name, in a whole bucket, trusting the service's
# conditional writes. Then what the store says of a missing bucket, wrong keys, a reader, a full quota.
set -eu
starter=$1 suite=$2
dir=$(mktemp -d /tmp/nr.XXXX) # short: sockets lie below it
finish() {
    "$starter" stop "$dir/c" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
unset AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
export HOME="$dir" # no files of whoever runs this
umask 077

# shellcheck source=tests/contract/ports.sh
. "$(dirname "$0")/../ports.sh"

key() { sed -n "s/^$1 = //p" "$2"; }

# s3 KEYS METHOD PATH [DATA]: one request as the owner of KEYS; the keys go by standard input, not by argv.
s3() {
    sum=$(printf %s "${4:-}" | sha256sum | cut -d' ' -f1)
    printf 'user = "%s:%s"\n' "$(key aws_access_key_id "$1")" "$(key aws_secret_access_key "$1")" |
        curl -sS -K - --fail-with-body --noproxy '*' --aws-sigv4 aws:amz:us-east-1:s3 -H "x-amz-content-sha256: $sum" \
            -X "$2" ${4:+--data-raw "$4" -H "Content-Type: application/json"} "$endpoint/$3"
}

# user NAME: another user, with the keys in $dir/NAME.
user() {
    radosgw-admin -n client.rgw -c "$conf" user create --uid "$1" --display-name "$1" 2>/dev/null |
        jq -r '.keys[0] | "[default]\naws_access_key_id = \(.access_key)\naws_secret_access_key = \(.secret_key)"' \
            >"$dir/$1"
    [ -s "$dir/$1" ]
}

# expect CALL CODE WORDS URL [KEY=VALUE…]: what one call says.
expect() {
    call=$1 code=$2 words=$3
    shift 3
    said=$("$suite" --probe "$call" "$@" "endpoint=$endpoint")
    case $said in
    "$code"*"$words"*) echo "$call: $said" ;;
    *)
        echo "$call: expected $code with \"$words\", got: $said" >&2
        exit 1
        ;;
    esac
}

base=$(port_base 31000)
GUARD=$$ "$starter" start "$dir/c" t "$base" --rgw
conf=$dir/c/t.conf keys=$dir/c/t.s3 endpoint=http://127.0.0.1:$((base + 2))
[ "$(stat -c %a "$keys")" = 600 ] || { echo "the file of keys can be read by others" >&2; exit 1; }
s3 "$keys" PUT parts
s3 "$keys" PUT whole
"$suite" --processes s3://parts/pre/fix "endpoint=$endpoint" "credentials-file=$keys" part-size=5MiB
AWS_SHARED_CREDENTIALS_FILE=$keys "$suite" --processes s3://whole "endpoint=http://localhost:$((base + 2))" \
    path-style=false conditional-writes=true

# By environment, and what comes of it.
AWS_ACCESS_KEY_ID=$(key aws_access_key_id "$keys") AWS_SECRET_ACCESS_KEY=$(key aws_secret_access_key "$keys")
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
expect put ok "" s3://parts/environment
expect put-if-absent exists "exists already" s3://parts/environment
expect get ok "" s3://parts/environment
expect get absent "no such object" s3://parts/nothing
expect remove ok "" s3://parts/environment
expect remove absent "no such object" s3://parts/environment
for call in put put-if-absent get stat list remove; do
    expect $call failed "there is no bucket none" s3://none/x
done

# Keys that are not those of the service.
secret=$AWS_SECRET_ACCESS_KEY
AWS_SECRET_ACCESS_KEY=wrong
for call in put get stat list; do
    expect $call denied "the secret key is not the one" s3://parts/x
done
AWS_ACCESS_KEY_ID=NOBODY AWS_SECRET_ACCESS_KEY=$secret
expect put denied "does not know the access key" s3://parts/x
expect stat denied "does not know the access key" s3://parts/x
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
AWS_EC2_METADATA_DISABLED=true expect put denied "no credentials: set AWS_ACCESS_KEY_ID" s3://parts/x

# A user who may read only.
user reader
s3 "$keys" PUT 'parts?policy=' '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
  "Principal": {"AWS": ["arn:aws:iam:::user/reader"]}, "Action": ["s3:GetObject", "s3:ListBucket"],
  "Resource": ["arn:aws:s3:::parts", "arn:aws:s3:::parts/*"]}]}'
expect put ok "" s3://parts/shared "credentials-file=$keys"
expect get ok "" s3://parts/shared "credentials-file=$dir/reader"
expect list ok "" s3://parts/shared "credentials-file=$dir/reader"
expect put denied "must allow s3:PutObject on parts" s3://parts/shared "credentials-file=$dir/reader"
expect remove denied "must allow s3:DeleteObject on parts" s3://parts/shared "credentials-file=$dir/reader"
expect get denied "must allow s3:GetObject" s3://parts/shared anonymous=true

# A user whose quota is used up.
user small
s3 "$dir/small" PUT small
radosgw-admin -n client.rgw -c "$conf" quota set --quota-scope=user --uid small --max-objects 1 >/dev/null 2>&1
radosgw-admin -n client.rgw -c "$conf" quota enable --quota-scope=user --uid small >/dev/null 2>&1
expect put ok "" s3://small/a "credentials-file=$dir/small"
tries=0
until "$suite" --probe put "s3://small/b$tries" "endpoint=$endpoint" "credentials-file=$dir/small" | grep -q '^no space: '; do
    tries=$((tries + 1)) # the service counts now and then
    [ $tries -lt 100 ] || { echo "the quota is not felt" >&2; exit 1; }
    sleep 0.2
done
expect put "no space" "the quota of user or bucket is used up" s3://small/c "credentials-file=$dir/small"

# The service goes away.
"$starter" stop "$dir/c"
expect get transient "s3://parts/x/probe" s3://parts/x "credentials-file=$keys"
