#!/usr/bin/env bash
# ci/first-copy.sh   Installs what is missing, builds blit, makes a first real copy, proves it and removes it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

ci/setup.sh build
cargo build --release --locked -p blit
blit=${CARGO_TARGET_DIR:-target}/release/blit

source=$(rustc --print sysroot)/share/doc
[[ -d $source ]] || source=/usr/share/doc
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
copy=$scratch/copy

echo "== blit copy $source/ $copy ($(find "$source" | wc -l) entries)"
"$blit" copy "$source/" "$copy"

echo "== diff -r --no-dereference finds nothing"
diff -r --no-dereference "$source" "$copy"

echo "== the same copy again has nothing to transfer"
touch "$scratch/mark"
"$blit" copy "$source/" "$copy"
changed=$(find "$copy" ! -type d -cnewer "$scratch/mark" | wc -l)
((changed == 0)) || { echo "the second run wrote $changed files" >&2; exit 1; }

echo "== done: $(find "$copy" -type f | wc -l) files copied, compared and, the second time, left alone"
