#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An object-store plugin of somebody else: nacre is installed, the plugin is built far from the tree with the
# installed headers and nothing more, passes the suite of all object stores, and holds a repository. BUILD is the
# build tree.
. "$(dirname "$0")/../lib.sh"
umask 022

here=$(cd "$(dirname "$0")" && pwd)
BUILD=${BUILD:-$(cd "$(dirname "$NACRE")/.." && pwd)}

step "installing, and building the plugin from the installed headers"
DESTDIR=$work/root meson install -C "$BUILD" --no-rebuild --quiet
installed=$(find "$work/root" -path '*/bin/nacre' -type f)
include=$(dirname "$(find "$work/root" -path '*/include/nacre/object_store.h')")/..
plugins=$(dirname "$(find "$work/root" -path '*/plugins/object/file.so')")
[ -x "$installed" ] || fail "no program was installed"
is "object_store.h plugin.h volume.h" "$(find "$include/nacre" -type f -printf '%f\n' | sort | xargs)" "installed headers"
mkdir "$work/elsewhere"
cp "$here/pile.c" "$work/elsewhere"
(cd "$work/elsewhere" && env -i PATH="$PATH" cc -shared -fPIC -I"$include" -o pile.so pile.c)
(cd "$work/elsewhere" && env -i PATH="$PATH" cc -std=c99 -Wall -Wextra -Werror -pedantic -shared -fPIC \
	-fvisibility=hidden -I"$include" -o strict.so pile.c)

step "the installed program finds its own plugins, and this one once it lies beside them"
unset NACRE_PLUGIN_PATH
expect 0 "$installed" -o json plugin get
json '.. | objects | select(.name? == "file") | .path' >/dev/null
expect 4 "$installed" repo info --location "pile://$work/pile"
says 'no object store plugin for the scheme "pile"'
install -m 755 "$work/elsewhere/pile.so" "$plugins/pile.so"
expect 0 "$installed" -o json plugin get
is "0.1-third-party" "$(json '.. | objects | select(.name? == "pile") | .version')" "version of the plugin"

step "a plugin that others could have written is refused"
chmod g+w "$plugins/pile.so"
expect 1 "$installed" repo info --location "pile://$work/pile"
says 'can be written by others'
chmod g-w "$plugins/pile.so"

step "it passes the suite of all object stores"
mkdir "$work/suite"
expect 0 env NACRE_PLUGIN_PATH="$(dirname "$plugins")" "$BUILD/tests/contract/object/object_contract" --processes \
	"pile://$work/suite"

step "it holds a repository"
location=(--location "pile://$work/pile" --password-file "$work/password")
expect 0 "$installed" repo init "${location[@]}"
expect 0 "$installed" volume create hostpath/local/disk --size 256MiB
image fill "$work/volumes/disk/data" 1 0:41943040 104857600:8388608
expect 0 "$installed" backup create first "${location[@]}" --volume hostpath/local/disk
cp --sparse=always "$work/volumes/disk/data" "$work/first.img"
image scatter "$work/volumes/disk/data" 2 20 4096
expect 0 "$installed" backup create second "${location[@]}" --volume hostpath/local/disk
is 1 "$(find "$work" -maxdepth 1 -name 'pile*' | wc -l)" "files that hold the repository"
expect 0 "$installed" repo check --read-data "${location[@]}"
for state in first second; do
	expect 0 "$installed" dump "${location[@]}" "$state" -O "$work/$state.out"
done
cmp "$work/first.img" "$work/first.out" || fail "the first state came back otherwise"
cmp "$work/volumes/disk/data" "$work/second.out" || fail "the second state came back otherwise"
expect 0 "$installed" restore create back --from-backup first "${location[@]}" \
	--volume-mapping hostpath/local/disk=hostpath/local/copy
cmp "$work/first.img" "$work/volumes/copy/data" || fail "the restored volume differs"
expect 0 "$installed" backup delete first "${location[@]}" --yes
expect 4 "$installed" backup describe first --location "pile://$work/pile"
expect 0 "$installed" repo check --read-data "${location[@]}"
step "done"
