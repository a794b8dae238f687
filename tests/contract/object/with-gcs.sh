#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# with-gcs.sh SUITE GCS-SERVER HOW [ARGUMENT...]: runs the object store contract on the store gcs against the test
# server, which it starts; ARGUMENTs go to the suite.
#
#   anonymous        without credentials
#   key              with a service account's key, made here; tokens end after 3 seconds, so that many are fetched
#   exchange         a file's token exchanged at the security token service, then a service account impersonated
#   metadata         the metadata server's token
#   resumable        as key, with resumable uploads from 256 KiB on, in chunks of 256 KiB
#   faults           as resumable, with 5 % of all requests failing, each in a way that is drawn; but nothing
#                    wrong in answers: what was handed on cannot be taken back here, and is read anew further up
set -euo pipefail
suite=$(realpath "$1") server=$(realpath "$2") how=$3
shift 3
dir=$(mktemp -d "${TMPDIR:-/tmp}/nacre-gcs.XXXXXX")
pid=
finish() {
	[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

account=nacre@project.example
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/private.pem" 2>/dev/null ||
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/private.pem" 2>/dev/null
openssl pkey -in "$dir/private.pem" -pubout -out "$dir/public.pem"

kinds=503,429,reset-before,reset-middle,reset-after,truncate,lost-answer,503-after
options=(--bucket nacre-contract --service-account "$account=$dir/public.pem" --subject-token outer --token-seconds 3)
case $how in
anonymous) options+=(--anonymous) ;;
faults) options+=(--fail-percent 5 --fail-kind "$kinds" --token-seconds 3600) ;;
esac
"$server" --guard "${options[@]}" >"$dir/server.out" &
pid=$!
for _ in {1..100}; do
	[ ! -s "$dir/server.out" ] || break
	sleep 0.05
done
address=$(sed -n 's/^listening on //p' "$dir/server.out")
[ -n "$address" ] || { echo "the server did not start" >&2; exit 1; }

# No credentials but those of this test.
unset GOOGLE_APPLICATION_CREDENTIALS STORAGE_EMULATOR_HOST GCE_METADATA_HOST
export HOME=$dir CLOUDSDK_CONFIG=$dir
umask 077
service_account_key() {
	jq -n --rawfile key "$dir/private.pem" --arg email "$account" --arg uri "http://$address/token" \
		'{type: "service_account", project_id: "project", private_key_id: "1", private_key: $key,
		  client_email: $email, client_id: "1", token_uri: $uri}'
}
external_account() {
	printf outer >"$dir/subject"
	jq -n --arg file "$dir/subject" --arg at "http://$address" --arg email "$account" \
		'{type: "external_account", audience: "//iam.example/pool", token_url: ($at + "/v1/token"),
		  subject_token_type: "urn:ietf:params:oauth:token-type:jwt", credential_source: {file: $file},
		  service_account_impersonation_url:
		    ($at + "/v1/projects/-/serviceAccounts/" + $email + ":generateAccessToken")}'
}
store=("endpoint=http://$address")
case $how in
anonymous) store+=(anonymous=true) ;;
key | resumable | faults)
	service_account_key >"$dir/credentials.json"
	store+=("credentials=$dir/credentials.json")
	[ "$how" = key ] || store+=(upload-threshold=262144 chunk-size=262144)
	;;
exchange)
	external_account >"$dir/credentials.json"
	export GOOGLE_APPLICATION_CREDENTIALS=$dir/credentials.json
	;;
metadata) export GCE_METADATA_HOST=$address ;;
*)
	echo "with-gcs.sh: $how?" >&2
	exit 2
	;;
esac
"$suite" "$@" gs://nacre-contract/some/prefix "${store[@]}"
