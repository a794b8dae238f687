# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ports.sh: for the scripts beside it that start clusters.

# port_base FROM: a hundred ports that nobody listens on, FROM or higher. Scripts that run at once begin apart.
port_base() {
    used=$(awk 'NR > 1 {split($2, a, ":"); print a[2]}' /proc/net/tcp /proc/net/tcp6)
    base=$(($1 + $$ % 100 * 100))
    while :; do
        port=$base
        while [ $port -lt $((base + 100)) ]; do
            case $used in *"$(printf %04X "$port")"*) break ;; esac
            port=$((port + 1))
        done
        [ $port -lt $((base + 100)) ] || { echo "$base"; return; }
        base=$((base + 100))
    done
}
