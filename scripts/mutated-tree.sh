#!/usr/bin/env bash
# Makes the mutated tree: copies the project to DIR and applies every patch of src/verify/mutants
# there. First checks that each patch applies alone to the clean tree.
#
# Changes only the files of DIR that differ, so that cargo rebuilds only what has changed. Deletes
# files of DIR that the mutated project does not have, except in target folders. DIR must therefore be
# new, empty, or made by this script. `scripts/mutated-tree.sh DIR`
set -euo pipefail
[ $# = 1 ] || { echo "usage: scripts/mutated-tree.sh DIR" >&2 && exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
cd "$(dirname "$0")/.."
project=$(pwd -P)
bash scripts/install-tools.sh git

mark=.mutated-tree
if [ ! -e "$dir/$mark" ] && [ -n "$(ls -A "$dir")" ]; then
    echo "$dir is not empty, and was not made by this script" >&2
    exit 1
fi
touch "$dir/$mark"
next=$(mktemp -d)
trap 'rm -rf "$next"' EXIT
next=$(cd "$next" && pwd -P)

# Prints the files of a tree, without DIR and what git and cargo write.
files() {
    (cd "$1" && find . \( -path "./.git" -o -path './target*' -o -name target -o \
        -path ".${dir#"$project"}" \) -prune -o -type f ! -name $mark -print)
}
files . | tar -cf - -T - | tar -xf - -C "$next"

# `git apply` skips, without an error, what an outer repository ignores. So it must not find one.
apply() {
    (cd "$next" && env -u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE \
        GIT_CEILING_DIRECTORIES="$(dirname "$next")" git apply "$@")
}
failed=0
for patch in src/verify/mutants/*.patch; do
    apply --check "$patch" || { echo "$patch does not apply to the clean tree" >&2 && failed=1; }
done
[ $failed = 0 ]
count=0
for patch in src/verify/mutants/*.patch; do
    apply "$patch" || {
        echo "$patch does not apply together with the patches before it: change other lines" >&2
        exit 1
    }
    name=$(basename "$patch" .patch)
    grep -rqF "is_on(\"$name\")" "$next/src" --include='*.rs' || {
        echo "$patch adds no is_on(\"$name\")" >&2
        failed=1
    }
    count=$((count + 1))
done
[ $failed = 0 ]

files "$next" | while read -r file; do
    cmp -s "$next/$file" "$dir/$file" || {
        mkdir -p "$dir/$(dirname "$file")"
        cp "$next/$file" "$dir/$file"
    }
done
files "$dir" | while read -r file; do
    [ -e "$next/$file" ] || rm "$dir/$file"
done
echo "$dir: $count mutants"
