# shellcheck shell=bash disable=SC2154,SC2034 # variables of lib.sh
# SPDX-License-Identifier: Apache-2.0
# bench_stores.sh: the parts `stores` and `link` of dev/bench, which sources this with its arguments. All figures are of
# one run on one machine: what the servers themselves need of it, both sides of a comparison pay.
# shellcheck source=tests/e2e/stores.sh
. tests/e2e/stores.sh
GCS_OPTIONS='--anonymous --durable' # curl has no token; what is stored is stored
volume=hostpath/local/disk data=$work/volumes/disk/data
dev/build gcc # the servers of the tests

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# The snapshot is taken before: where the file system cannot share blocks the driver copies the volume for one.
make_data() {
	expect 0 "$NACRE" volume create "$volume" --size "$1MiB"
	image fill "$data" 1 "0:$(($1 << 20))"
	expect 0 "$NACRE" snapshot create "$volume@now"
}

# As many bytes an object as nacre's packs have.
cut_data() {
	mkdir -p "$work/pieces"
	split --bytes 16M --numeric-suffixes --suffix-length 4 "$data" "$work/pieces/"
}

# One of eight curls: every eighth piece, one after the other over one connection. What is secret goes by its input.
curl_one() { # curl_one NUMBER
	local piece n=0 sas=
	[ "$store" != azure ] || sas=$(dev/azurite sas "$work/azurite" cw)
	for piece in "$work"/pieces/*; do
		n=$((n + 1))
		[ $((n % 8)) -eq "$1" ] || continue
		[ "$n" -le 8 ] || echo next
		echo "upload-file = \"$piece\""
		echo "output = /dev/null"
		echo "fail"
		case $store in
		azure)
			echo "url = \"$(cat "$work/azurite/endpoint")/backups/curl/${piece##*/}?$sas\""
			echo 'header = "x-ms-blob-type: BlockBlob"'
			echo 'header = "x-ms-version: 2021-12-02"'
			;;
		gcs)
			echo "url = \"$gcs_endpoint/upload/storage/v1/b/backups/o?uploadType=media&name=curl/${piece##*/}\""
			echo 'request = POST'
			echo 'header = "Content-Type: application/octet-stream"'
			;;
		esac
	done | taskset -c "$client_cpus" curl --silent --show-error --noproxy '*' --config -
}

# Processor time of the server so far, in clock ticks (1/100 s).
server_cpu() {
	awk '{print $14 + $15}' "/proc/$server_pid/stat"
}

# Eight of them; sets millis.
curl_all() {
	local i began pids=()
	began=$(now_ms)
	for i in 0 1 2 3 4 5 6 7; do
		curl_one "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "curl failed"
	done
	millis=$(($(now_ms) - began))
}

# An empty store, and nothing left to be written to the disk.
renew_store() {
	stop_store || true # by a signal
	rm -rf "$work/azurite" "$work/gcs" "$NACRE_CACHE_DIR"
	sync
	store_options=
	start_store "$1"
	taskset -a -p -c "$server_cpus" "$server_pid" >/dev/null
}

# In turn, each with an empty store: once with the processors shared out between server and client, as a service has its
# own, and once with all of them for both, where who computes also slows down the server. The first run is not counted:
# on a machine that is a guest of another one, memory is slow the first time it is used.
compare_with_curl() { # compare_with_curl STORE SERVER_CPUS CLIENT_CPUS
	local run cpu ours ours_cpu curl_cpu server_cpus=$2 client_cpus=$3
	local -a millis_of=()
	for run in 0 1 2; do
		renew_store "$1"
		cpu=$(server_cpu)
		curl_all
		millis_of+=("$millis")
		curl_cpu=$(($(server_cpu) - cpu))
		[ "$run" -eq 1 ] || continue
		renew_store "$1"
		expect 0 "$NACRE" repo init
		cpu=$(server_cpu)
		measure taskset -c "$client_cpus" "$NACRE" backup create "speed-$1" --volume "$volume@now"
		[ "$status" -eq 0 ] || {
			last_output
			fail "backup to $1"
		}
		ours=$millis ours_cpu=$(($(server_cpu) - cpu))
	done
	printf '%-6s server on %-4s client on %-4s curl x 8: %d ms before, %d ms after; nacre: %d ms, peak %d MiB: %d %%\n' "$1" \
		"$2," "$3," "${millis_of[1]}" "${millis_of[2]}" "$ours" $((peak_kib / 1024)) $(((millis_of[1] + millis_of[2]) * 50 / ours))
	printf '%-6s processor time of the server: %d ms for curl, %d ms for nacre\n' "" $((curl_cpu * 10)) $((ours_cpu * 10))
}

bench_stores() {
	make_data "$1"
	cut_data
	local cpus=$(($(nproc) - 1)) half=$(($(nproc) / 2)) which
	step "$1 MiB, $(nproc) cores; of curl nacre reaches"
	for which in azure gcs; do
		[ "$half" -eq 0 ] || compare_with_curl "$which" "0-$((half - 1))" "$half-$cpus"
		compare_with_curl "$which" "0-$cpus" "0-$cpus"
	done
}

start_link() { # start_link ADDRESS; sets link_address
	local pid i
	build/gcc/tests/servers/link --to "$1" --delay-ms 25 --rate-mbit 200 --guard >"$work/link.out" 2>&1 &
	pid=$!
	finally "kill $pid; wait $pid"
	for ((i = 0; i < 100; i++)); do
		grep -q '^listening on' "$work/link.out" && break
		sleep 0.1
	done
	link_address=$(sed -n 's/^listening on //p' "$work/link.out")
	[ -n "$link_address" ] || fail "the link did not start: $(cat "$work/link.out")"
}

used() { # used WHAT MIB
	printf '%-8s %d MiB in %d ms: %d Mbit/s, %d %% of 200; peak %d MiB\n' "$1" "$2" "$millis" \
		$(($2 * 8388608 / millis / 1000)) $(($2 * 8388608 / millis / 2000)) $((peak_kib / 1024))
}

bench_link() {
	make_data "$1"
	start_store gcs
	start_link "${gcs_endpoint#http://}"
	store_options=", credentials: $work/account.json, endpoint: \"http://$link_address\""
	write_config
	expect 0 "$NACRE" repo init
	step "$1 MiB over 200 Mbit/s, 50 ms"
	measure "$NACRE" backup create slow --volume "$volume"
	[ "$status" -eq 0 ] || fail "backup: $(cat "$work/err")"
	used backup "$1"
	measure "$NACRE" restore create slow --from-backup slow --volume-mapping "$volume=hostpath/local/back"
	[ "$status" -eq 0 ] || fail "restore: $(cat "$work/err")"
	used restore "$1"
	cmp "$data" "$work/volumes/back/data"
}

case $1 in
stores) bench_stores "${2:-1024}" ;;
link) bench_link "${2:-4096}" ;;
esac
