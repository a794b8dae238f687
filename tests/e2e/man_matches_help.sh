#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages are true: every command, argument and option that the program has is in nacre(1), spelled the
# same, and nothing else is; the same for nacre-csi(8). And they are well-formed.
set -euo pipefail
TOP=${TOP:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
NACRE=${NACRE:-$TOP/build/gcc/cli/nacre}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# From the page: "command backup create NAME", "backup create --full", "global --output -o table|json|yaml".
# "Also the options of a location (and of a repository)" stands for the options of the sections of that name.
from_page() {
	awk '
	function text(line) { gsub(/\\&/, "", line); return line }
	function emit(key, line) { print key " " line }
	/^\.Sh / { section = "" }
	/^\.Ss Options of every command/ { section = "global"; next }
	/^\.Ss Options of a location/ { section = "LOCATION"; next }
	/^\.Ss Options of a repository/ { section = "REPOSITORY"; next }
	/^\.Ss nacre / {
		usage = text(substr($0, 11)); gsub(/\.\.\./, "…", usage)
		print "command " usage
		words = split(usage, word, " "); section = word[1]
		if (words > 1 && word[2] ~ /^[a-z]+$/) section = section " " word[2]
		next
	}
	section == "" { next }
	/^\.It .*Fl Fl / {
		letter = ""; name = ""; value = ""
		if (match($0, /Fl [A-Za-z] ,/)) letter = " -" substr($0, RSTART + 3, 1)
		match($0, /Fl Fl [a-z-]+/); name = "--" substr($0, RSTART + 6, RLENGTH - 6)
		if (match($0, /Ar .*$/)) value = " " text(substr($0, RSTART + 3))
		line = name letter value
		if (section == "LOCATION") location[++locations] = line
		else if (section == "REPOSITORY") repository[++repositories] = line
		else emit(section, line)
		next
	}
	# The others are mentioned in running text: by name alone.
	/^\.Fl Fl [a-z-]+/ && section != "LOCATION" && section != "REPOSITORY" {
		for (i = 1; i <= repositories; i++) {
			split(repository[i], part, " ")
			if (part[1] == "--" $3) emit(section, repository[i])
		}
		next
	}
	/^Also the options of a location/ { for (i = 1; i <= locations; i++) emit(section, location[i]) }
	/^Also the options of a location and of a repository/ {
		for (i = 1; i <= repositories; i++) emit(section, repository[i])
	}
	' "$TOP/man/nacre.1"
}

compare() { # NAME PAGE PROGRAM
	sort -u "$2" >"$2.sorted"
	sort -u "$3" >"$3.sorted"
	if ! diff -u "$2.sorted" "$3.sorted" >"$work/diff"; then
		echo "$1 and the program differ (- only in the page, + only in the program):"
		grep '^[-+][^-+]' "$work/diff" || cat "$work/diff"
		bad=1
	fi
	[ "$(wc -l <"$3.sorted")" -gt "$4" ] || {
		echo "$1: the program lists next to nothing"
		bad=1
	}
}

from_page >"$work/page"
"$NACRE" __commands >"$work/program"
compare "nacre(1)" "$work/page" "$work/program" 100

# What --help says is the same table, seen from its other end: every option that a command lists is shown.
while read -r word rest; do
	[ "$word" = command ] || continue
	command=$(printf '%s\n' "$rest" | grep -oE '^[a-z-]+( [a-z]+)?( |$)')
	# shellcheck disable=SC2086
	"$NACRE" $command --help >"$work/help"
	{ grep -F -- "$(printf '%s' "$command" | sed 's/ *$//') --" "$work/program" | grep -oE -- '--[a-z-]+' || true; } |
		while read -r option; do
		grep -qE -- "(^|[ ,])$option([ =[]|$)" "$work/help" || echo "$command --help lacks $option"
	done
done <"$work/program.sorted" >"$work/lacking"
if [ -s "$work/lacking" ]; then
	cat "$work/lacking"
	bad=1
fi

csi=$(dirname "$NACRE")/../provisioner/nacre-csi
[ -x "$csi" ] || csi=$(dirname "$NACRE")/nacre-csi
if [ -x "$csi" ]; then
	grep -oE 'Fl Fl [a-z-]+' "$TOP/man/nacre-csi.8" | sed 's/Fl Fl /--/' >"$work/csi.page"
	"$csi" --help | grep -oE -- '--[a-z][a-z-]+' >"$work/csi.program"
	compare "nacre-csi(8)" "$work/csi.page" "$work/csi.program" 5
fi

# Every key that nacre.yaml(5) has to explain.
for key in clusters locations driver conf keyring user path url password-file password-command repository \
	limit-upload limit-download retry-tries access-mode default connections; do
	grep -qE "^\.It Cm .*\b$key\b|^\.Cm $key( ,)?\$" "$TOP/man/nacre.yaml.5" || {
		echo "nacre.yaml(5) lacks $key"
		bad=1
	}
done

if command -v mandoc >/dev/null; then
	# Whether other manuals are installed on this machine is not the pages' concern.
	if mandoc -Tlint "$TOP"/man/*.[1-8] | grep -v 'referenced manual not found'; then
		bad=1
	fi 2>/dev/null
else
	echo "mandoc is not installed: dev/setup does that" >&2
	bad=1
fi
exit $bad
