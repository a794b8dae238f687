#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# install_tree.sh: `meson install` gives a tree that works where it is put and where it is moved: programs, plugins,
# headers, manual pages. BUILD names the build to install.
. "$(dirname "$0")/lib.sh"

BUILD=$(realpath "${BUILD:?the build directory}")
unset NACRE_PLUGIN_PATH
prefix=$(meson introspect --buildoptions "$BUILD" | jq -r '.[] | select(.name == "prefix").value')
expect 0 env DESTDIR="$work/dest" meson install -C "$BUILD" --no-rebuild

works() { # works TREE NAME: a backup and its restore by the installed program
	local nacre=$1/bin/nacre name=$2
	expect 0 "$nacre" version
	grep -q "^nacre $("$NACRE" version | sed -n 's/^nacre //p;q')" "$work/out" || fail "version: $(cat "$work/out")"
	expect 0 "$nacre" -o json plugin get
	for plugin in file memory hostpath retry; do
		grep -q "\"$plugin\"" "$work/out" || fail "plugin $plugin is not installed"
	done
	! grep -q "$BUILD" "$work/out" || fail "plugins are taken from the build tree"
	[ -e "$repository/config" ] || expect 0 "$nacre" repo init
	expect 0 "$nacre" volume create "hostpath/local/$name" --size 4MiB
	image fill "$work/volumes/$name/data" 1 0:3000000
	expect 0 "$nacre" backup create "$name" --volume "hostpath/local/$name"
	expect 0 "$nacre" restore create "$name" --from-backup "$name" --volume-mapping "hostpath/local/$name=hostpath/local/$name-2"
	image same "$work/volumes/$name/data" "$work/volumes/$name-2/data"
}

tree=$work/dest$prefix
step "in its place"
works "$tree" first
step "moved"
mv "$tree" "$work/elsewhere"
works "$work/elsewhere" second

step "what else is installed"
for file in include/nacre/plugin.h include/nacre/object_store.h include/nacre/volume.h share/man/man1/nacre.1 \
	share/man/man5/nacre.yaml.5; do
	[ -e "$work/elsewhere/$file" ] || fail "$file is not installed"
done
for header in "$work"/elsewhere/include/nacre/*.h; do
	echo "#include <nacre/$(basename "$header")>" | cc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I "$work/elsewhere/include" -x c - ||
		fail "$header does not compile by itself"
	echo "#include <nacre/$(basename "$header")>" | cc -Wall -Wextra -Werror -fsyntax-only -I "$work/elsewhere/include" -x c -std=gnu17 - ||
		fail "$header does not compile by itself"
done
expect 0 mandoc -Tutf8 "$work/elsewhere/share/man/man1/nacre.1"

step "a plugin directory that others may write to is refused"
chmod o+w "$work"/elsewhere/lib*/nacre/plugins/volume 2>/dev/null || chmod o+w "$work"/elsewhere/libexec/nacre/plugins/volume
run "$work/elsewhere/bin/nacre" volume list hostpath/local
[ "$status" -ne 0 ] || fail "a plugin was loaded from a directory that others may write to"
says 'chmod|writ'
