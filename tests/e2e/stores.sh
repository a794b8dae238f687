# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# SPDX-License-Identifier: Apache-2.0
# stores.sh: location `default` in a real object store on this machine. To be sourced after lib.sh.
#
#   start_store file|azure|s3|gcs [CLUSTER]
#                         starts the server, makes the bucket and its credentials, writes the configuration. s3 is the
#                         radosgw of CLUSTER, which was started with --rgw (or of a cluster "store" of its own)
#                         GCS_OPTIONS: further ones of the GCS server, such as --anonymous. $server_pid: of azure, gcs
#   stop_store            stops the server of azure or gcs; what it holds stays in $work/azurite, $work/gcs
#   fetch_repository      the repository into the directory $fetched, by a program of another hand (rclone), or what
#                         is one already
#   begin_faults OPTION.. from here on the store lies behind a proxy that fails as the options say (tests/servers/fault.h)
#   end_faults            not any more; $requests and $faulted are what it saw, $work/proxy.log has them one a line
#   store_secrets         the secrets of the store, one a line: what must be seen nowhere
#
# The prefix is pre/fix: a store is shared with others.
store=file store_prefix=pre/fix fetched= server_pid= proxy_pid= requests=0 faulted=0

start_azure() {
	local try
	for ((try = 0; try < 20; try++)); do
		port=$((10000 + RANDOM % 22000))
		if GUARD=$$ "$TOP/dev/azurite" start "$work/azurite" "$port" >"$work/azurite.out" 2>&1; then
			finally stop_store
			server_pid=$(cat "$work/azurite/pid")
			store_url=azblob://backups/$store_prefix
			store_options=", account: nacre, account-key-file: $work/azurite/account.key, endpoint: \"$(cat "$work/azurite/endpoint")\""
			return 0
		fi
		grep -q EADDRINUSE "$work/azurite.out" || break
	done
	fail "Azurite did not start: $(cat "$work/azurite.out")"
}

key_of() { sed -n "s/^$1 = //p" "$work/s3.keys"; }

# The keys go by standard input, not by the command line.
make_bucket() {
	printf 'user = "%s:%s"\n' "$(key_of aws_access_key_id)" "$(key_of aws_secret_access_key)" |
		curl -sS -K - --fail-with-body --noproxy '*' --aws-sigv4 aws:amz:us-east-1:s3 -X PUT \
			-H "x-amz-content-sha256: $(printf '' | sha256sum | cut -d ' ' -f 1)" "$s3_endpoint/$1" >"$work/out" ||
		fail "no bucket $1: $(cat "$work/out")"
}

start_s3() {
	local cluster=${1:-store}
	[ -n "${1:-}" ] || start_cluster store --rgw
	cp "$work/$cluster/$cluster.s3" "$work/s3.keys"
	s3_endpoint=$(sed -n 's|^rgw_frontends = beast endpoint=|http://|p' "$work/$cluster/$cluster.conf")
	make_bucket backups
	store_url=s3://backups/$store_prefix
	store_options=", endpoint: \"$s3_endpoint\", credentials-file: $work/s3.keys"
}

# A service account as Google makes them, but with its tokens from our server.
make_service_account() {
	local email=nacre@test.iam.gserviceaccount.com
	(umask 077 && openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/account.pem" 2>/dev/null)
	openssl pkey -in "$work/account.pem" -pubout -out "$work/account.pub"
	echo "$email=$work/account.pub"
}

# The key reaches jq by a file: a command line can be seen.
write_service_account() {
	(umask 077 && jq -n --rawfile key "$work/account.pem" --arg token "$1/token" '{type: "service_account",
		project_id: "test", private_key_id: "1", private_key: $key, client_id: "1", token_uri: $token,
		client_email: "nacre@test.iam.gserviceaccount.com"}' >"$work/account.json")
}

start_gcs() {
	local server=${BUILD:-$TOP/build/gcc}/tests/servers/gcs pid i account
	[ -x "$server" ] || "$TOP/dev/build" gcc >"$work/build.out" 2>&1 || fail "no test server: $(tail "$work/build.out")"
	[ -x "$server" ] || server=$TOP/build/gcc/tests/servers/gcs
	account=$(make_service_account)
	mkdir "$work/gcs"
	"$server" --bucket backups --directory "$work/gcs" --service-account "$account" --guard "$@" >"$work/gcs.out" 2>&1 &
	pid=$!
	server_pid=$pid
	finally stop_store
	for ((i = 0; i < 100; i++)); do
		grep -q '^listening on' "$work/gcs.out" && break
		sleep 0.1
	done
	gcs_endpoint=http://$(sed -n 's/^listening on //p' "$work/gcs.out")
	[ "$gcs_endpoint" != http:// ] || fail "the test server did not start: $(cat "$work/gcs.out")"
	write_service_account "$gcs_endpoint"
	store_url=gs://backups/$store_prefix
	store_options=", credentials: $work/account.json, endpoint: \"$gcs_endpoint\""
}

stop_store() {
	case ${server_pid:+$store} in
	azure) "$TOP/dev/azurite" stop "$work/azurite" ;;
	gcs) kill "$server_pid" && wait "$server_pid" ;;
	esac
	server_pid=
}

start_store() {
	store=$1
	case $store in
	file) store_url=file://$bucket store_options='' ;;
	azure) start_azure ;;
	s3) start_s3 "${2:-}" ;;
	gcs)
		# shellcheck disable=SC2086 # several words
		start_gcs ${GCS_OPTIONS:-}
		;;
	*) fail "no store $store" ;;
	esac
	write_config
}

store_secrets() {
	case $store in
	azure) cat "$work/azurite/account.key" && echo ;;
	s3) key_of aws_secret_access_key ;;
	gcs) grep -v -e '-----' "$work/account.pem" ;;
	esac
}

# rclone's configuration by the environment, which other users do not see.
rclone_copy() {
	local from=$1
	shift
	# shellcheck disable=SC2163 # NAME=VALUE words
	(unset AWS_CA_BUNDLE && export "$@" && exec rclone --config /dev/null --retries 1 copy "store:backups/$from" "$fetched") >"$work/rclone.out" 2>&1 ||
		fail "rclone: $(tail -n 5 "$work/rclone.out")"
}

fetch_repository() {
	fetched=$work/fetched
	[ "$store" != file ] || {
		fetched=$repository
		return 0
	}
	rm -rf "$fetched"
	case $store in
	azure) rclone_copy "$store_prefix/restic/default" RCLONE_CONFIG_STORE_TYPE=azureblob \
		RCLONE_CONFIG_STORE_SAS_URL="$(cat "$work/azurite/endpoint")?$("$TOP/dev/azurite" sas "$work/azurite" rl)" ;;
	s3) rclone_copy "$store_prefix/restic/default" RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Ceph \
		RCLONE_CONFIG_STORE_ENDPOINT="$s3_endpoint" RCLONE_CONFIG_STORE_ACCESS_KEY_ID="$(key_of aws_access_key_id)" \
		RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY="$(key_of aws_secret_access_key)" ;;
	gcs) rclone_copy "$store_prefix/restic/default" "RCLONE_CONFIG_STORE_TYPE=google cloud storage" \
		RCLONE_CONFIG_STORE_SERVICE_ACCOUNT_FILE="$work/account.json" RCLONE_CONFIG_STORE_ENDPOINT="$gcs_endpoint/storage/v1/" ;;
	esac
}

begin_faults() {
	local i target
	cp "$config" "$config.direct"
	target=$(sed -n 's|.*endpoint: "http://\([0-9.:]*\).*|\1|p' "$config.direct")
	: >"$work/proxy.out"
	"${BUILD:-$TOP/build/gcc}/tests/servers/fault_proxy" --guard --log --to "$target" --stall-seconds 3 "$@" \
		>"$work/proxy.out" 2>"$work/proxy.log" &
	proxy_pid=$!
	for ((i = 0; i < 100; i++)); do
		[ ! -s "$work/proxy.out" ] || break
		sleep 0.05
	done
	sed "s|endpoint: \"http://$target|endpoint: \"http://$(sed -n 's/^listening on //p' "$work/proxy.out")|; s|endpoint: |stall-timeout: 2, endpoint: |" \
		"$config.direct" >"$config"
}

end_faults() {
	kill "$proxy_pid"
	wait "$proxy_pid" || true
	proxy_pid=
	read -r requests faulted < <(sed -n 's/^\([0-9]*\) requests, \([0-9]*\) faults$/\1 \2/p' "$work/proxy.out")
	mv "$config.direct" "$config"
}
# shellcheck disable=SC2016 # for the end
finally '[ -z "$proxy_pid" ] || kill "$proxy_pid"'

# restic on the repository in the store: where it can speak to it itself (S3), else on a copy of it.
restic_store() {
	if [ "$store" = s3 ]; then
		AWS_ACCESS_KEY_ID=$(key_of aws_access_key_id) AWS_SECRET_ACCESS_KEY=$(key_of aws_secret_access_key) \
			restic -r "s3:$s3_endpoint/backups/$store_prefix/restic/default" "$@"
	else
		[ -n "$fetched" ] || fetch_repository
		restic -r "$fetched" "$@"
	fi
}
