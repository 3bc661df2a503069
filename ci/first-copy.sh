#!/usr/bin/env bash
# ci/first-copy.sh   Installs what is missing, builds blit and blitd, makes a first real copy, one to a daemon and one back, proves and removes them.
# With FIRST_COPY_BIN=DIR it builds nothing and takes the programs in DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

bin=${FIRST_COPY_BIN:-}
if [[ -z $bin ]]; then
    ci/setup.sh build
    cargo build --release --locked -p blit -p blitd
    bin=${CARGO_TARGET_DIR:-target}/release
fi
blit=$bin/blit blitd=$bin/blitd

source=$(rustc --print sysroot)/share/doc
[[ -d $source ]] || source=/usr/share/doc
scratch=$(mktemp -d)
daemon=
trap '[[ -z $daemon ]] || kill "$daemon"; rm -rf "$scratch"' EXIT
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

# Keys of their own, so that nothing is left in the home directory.
export BLIT_CONFIG_DIR=$scratch/client
mkdir "$scratch/store"
cat >"$scratch/store.toml" <<END
listen = "127.0.0.1:0"
key_file = "$scratch/daemon/key"
[[module]]
name = "backup"
path = "$scratch/store"
read_only = false
allow = ["$("$blit" key show)"]
END
chmod go-w "$scratch/store.toml"

echo "== blitd check-config store.toml"
"$blitd" check-config "$scratch/store.toml"

echo "== blitd --config store.toml"
exec {told}< <(exec "$blitd" --config "$scratch/store.toml" 2>"$scratch/log")
daemon=$!
read -r _ _ store <&"$told" || { cat "$scratch/log" >&2; daemon=; exit 1; }

echo "== blit modules $store"
"$blit" modules "$store"

echo "== blit copy $copy/ $store:/backup/docs"
"$blit" copy "$copy/" "$store:/backup/docs"
diff -r --no-dereference "$source" "$scratch/store/docs"

echo "== blit copy $store:/backup/docs/ $scratch/restored"
"$blit" copy "$store:/backup/docs/" "$scratch/restored"
diff -r --no-dereference "$source" "$scratch/restored"

echo "== blit check $store:/backup/docs/ $scratch/restored"
"$blit" check "$store:/backup/docs/" "$scratch/restored"

echo "== done: $(find "$copy" -type f | wc -l) files copied, compared and left alone the second time; sent to a daemon and back"
