#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# with-azurite.sh STARTER SUITE REFUSED ENTRA: starts an Azurite of its own with STARTER (dev/azurite), runs the object contract
# on it with the account's key and with a shared access signature, then over HTTPS with bearer tokens, and checks
# what is said (REFUSED) of credentials and containers that are not good. ENTRA gives out the tokens.
set -eu
starter=$1 suite=$2 refused=$3 entra=$4 giver=
dir=$(mktemp -d /tmp/nacre-azurite.XXXX)
finish() {
    [ -z "$giver" ] || kill "$giver" 2>/dev/null || true
    "$starter" stop "$dir/plain" >/dev/null 2>&1 || true
    "$starter" stop "$dir/tls" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP
unset AZURE_STORAGE_ACCOUNT AZURE_STORAGE_KEY AZURE_STORAGE_SAS_TOKEN AZURE_STORAGE_CONNECTION_STRING \
    AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_FEDERATED_TOKEN_FILE AZURE_AUTHORITY_HOST

# A port that nobody listens on, from the number given.
free_port() {
    used=$(awk 'NR > 1 {split($2, a, ":"); print a[2]}' /proc/net/tcp /proc/net/tcp6)
    port=$1
    while case $used in *"$(printf %04X "$port")"*) true ;; *) false ;; esac; do
        port=$((port + 1))
    done
    echo "$port"
}

base=$((15000 + $$ % 500 * 10))
GUARD=$$ "$starter" start "$dir/plain" "$(free_port "$base")"
endpoint=$(cat "$dir/plain/endpoint")
key=$dir/plain/account.key

"$suite" --processes azblob://backups/key "account-key-file=$key" "endpoint=$endpoint"
# In blocks, with retries: a racing writer of blocks may drop another's.
"$starter" sas "$dir/plain" rcwdl >"$dir/sas"
"$suite" --processes --wrap retry azure://backups/sas "sas-file=$dir/sas" "endpoint=$endpoint" block-size=1048576

refused() { "$refused" "$@" || exit 1; }
container=azblob://backups/refused
refused failed 'there is no container nobody in account nacre' azblob://nobody/x "account-key-file=$key" "endpoint=$endpoint"
openssl rand -base64 64 | tr -d '\n' >"$dir/wrong.key"
refused denied 'the key is none of account nacre' "$container" "account-key-file=$dir/wrong.key" "endpoint=$endpoint"
"$starter" sas "$dir/plain" rl >"$dir/read-only"
refused denied 'sp=rl, which lacks w' "$container" "sas-file=$dir/read-only" "endpoint=$endpoint"
"$starter" sas "$dir/plain" rcwdl -60 >"$dir/ended"
refused denied 'the shared access signature ended at 20' "$container" "sas-file=$dir/ended" "endpoint=$endpoint"
sed 's/sig=..../sig=AAAA/' "$dir/sas" >"$dir/cut"
refused denied 'the shared access signature is not valid' "$container" "sas-file=$dir/cut" "endpoint=$endpoint"
refused failed "" azblob://backups/x "account-key-file=$key" account=nobody "endpoint=${endpoint%/*}/nobody"
refused invalid 'cannot be a container' azblob://Backups/x "account-key-file=$key" "endpoint=$endpoint"
refused invalid 'block-size' "$container" "account-key-file=$key" "endpoint=$endpoint" block-size=1
refused invalid 'is no account key' "$container" "account-key-file=$dir/sas" "endpoint=$endpoint"
refused invalid 'is no shared access signature' "$container" "sas-file=$key" "endpoint=$endpoint"
refused invalid 'the storage account is not known' "$container" "account-key-file=$key"
"$starter" stop "$dir/plain"
refused transient "" "$container" "account-key-file=$key" "endpoint=$endpoint"

# Bearer tokens, which come over HTTPS only.
GUARD=$$ "$starter" start "$dir/tls" "$(free_port $((base + 5)))" --oauth
endpoint=$(cat "$dir/tls/endpoint")
head -c 300 /dev/urandom | base64 -w0 >"$dir/assertion"
echo 'a s&cret=+%' >"$dir/secret"
python3 "$entra" 'a s&cret=+%' "$dir/assertion" "$dir/port" &
giver=$!
tries=0
until [ -s "$dir/port" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "the giver of tokens did not start" >&2; exit 1; }
    sleep 0.1
done
authority=http://127.0.0.1:$(cat "$dir/port")
set -- "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem" "authority-host=$authority/" tenant-id=tenant

"$suite" --processes azblob://backups/secret "client-secret-file=$dir/secret" client-id=client "$@"
# A token that ends is replaced before it does.
given=$(cat "$dir/port.count")
[ "$given" -ge 2 ] || { echo "only $given tokens were asked for" >&2; exit 1; }

# One object each by the other ways: writing is not refused, which is what the program waits for.
taken() {
    if "$refused" denied '' "$@" >"$dir/out" 2>&1 || ! grep -q 'it was not refused' "$dir/out"; then
        cat "$dir/out" >&2
        exit 1
    fi
}
taken azblob://backups/x "federated-token-file=$dir/assertion" client-id=client "$@"
export AZURE_POD_IDENTITY_AUTHORITY_HOST="$authority"
taken azblob://backups/x managed-identity=true "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"
taken azblob://backups/x managed-identity=client "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"
taken azblob://backups/x "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"
refused denied 'Identity not found' "$container" managed-identity=other "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"
AZURE_TENANT_ID=tenant AZURE_CLIENT_ID=client AZURE_CLIENT_SECRET='a s&cret=+%' AZURE_AUTHORITY_HOST="$authority" \
    AZURE_STORAGE_ACCOUNT=nacre \
    taken azblob://backups/x "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"
AZURE_STORAGE_CONNECTION_STRING="AccountName=nacre;AccountKey=$(cat "$dir/tls/account.key");BlobEndpoint=$endpoint" \
    taken azblob://backups/x "ca-file=$dir/tls/cert.pem"
AZURE_STORAGE_SAS_TOKEN="?$("$starter" sas "$dir/tls" cw)" \
    taken azblob://backups/x "endpoint=$endpoint" "ca-file=$dir/tls/cert.pem"

echo 'another secret' >"$dir/wrong"
refused denied 'Invalid client secret provided; check tenant' "$container" "client-secret-file=$dir/wrong" client-id=client "$@"
refused denied 'Application not found' "$container" "client-secret-file=$dir/secret" client-id=other "$@"
refused invalid 'needs a client id' "$container" "client-secret-file=$dir/secret" "$@"
refused invalid 'in the clear' "$container" "client-secret-file=$dir/secret" client-id=client tenant-id=tenant \
    endpoint=http://192.0.2.1/nacre
refused failed ca-file "$container" "account-key-file=$dir/tls/account.key" "endpoint=$endpoint"
