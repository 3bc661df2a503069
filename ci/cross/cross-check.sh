#!/usr/bin/env bash
# ci/cross/cross-check.sh [check] [win] [mac] [musl] [arm64]   (default: check)   Debian 12.
#   check   type-checks the workspace with its tests for Windows and macOS; links and runs nothing
#   win     x86_64-pc-windows-gnu: `cargo test`, run under wine
#   mac     aarch64-apple-darwin: programs and tests are linked with zig; they cannot run here
#   musl    x86_64-unknown-linux-musl: static, tests run
#   arm64   aarch64-unknown-linux-gnu: tests run under qemu
# The standard library is built from Debian's rust-web-src by the rustc-web of the same version.
# Exit code 77: skipped, because the packages cannot be had. The cache is $CROSS_CACHE or ~/.cache/blit-cross.
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/ci/cross
cache=${CROSS_CACHE:-$HOME/.cache/blit-cross}
run_seconds_max=1800

die() { echo "cross-check: FAILED: $*" >&2; exit 1; }
need() { ci/setup.sh "$1" || { echo "cross-check: SKIPPED: ci/setup.sh $1 could not install what it needs" >&2; exit 77; }; }
trap 'die "line $LINENO: $BASH_COMMAND"' ERR

run() { # LOG COMMAND...
  local log=$cache/log.$1
  shift
  timeout -k 30 "$run_seconds_max" "$@" 2>&1 | tee "$log" || die "$*"
}
ran() { # LOG: a test run must show tests that passed
  local passed
  passed=$(grep -cE '^test .* \.\.\. ok$' "$cache/log.$1") || die "$1: no test ran"
  echo "cross-check: $1: $passed tests passed (${SECONDS} s)"
}

debian_rust() { # rustc, cargo and the source of std, all three of one version, before any other in PATH
  need cross
  local versions
  versions=$(dpkg-query -W -f='${Version}\n' rustc-web cargo-web rust-web-src | sort -u)
  [[ $versions != *$'\n'* ]] || die "rustc-web, cargo-web and rust-web-src differ: ${versions//$'\n'/ }"
  export PATH=/usr/bin:/bin:$PATH RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
  unset RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
  export CARGO_TARGET_DIR=$cache/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_STRIP=none
  # Cargo would take our crates of an older checkout, cached here, for those of this one.
  rm -rf "$CARGO_TARGET_DIR"/*/debug/.fingerprint/blit*
  [[ -f $(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]] || die "rust-web-src is not where rustc-web looks"
}

check() {
  local target
  export PATH=$cache/venv/bin:$PATH MACOSX_DEPLOYMENT_TARGET=11.0
  for target in x86_64-pc-windows-gnu aarch64-apple-darwin; do
    local program=(cargo)
    if [[ $target == *apple* ]]; then program=(cargo-zigbuild); fi # zig compiles what is in C
    SECONDS=0
    run "check.$target" "${program[@]}" check --locked --workspace --all-targets -Zbuild-std --target "$target"
    echo "cross-check: $target type-checks (${SECONDS} s)"
  done
}
win() {
  need cross-win
  export WINEPREFIX=$cache/wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml= CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine
  local dll=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
  if [[ ! -f $dll ]]; then # wine before 8.13 lacks it and Rust's std imports it
    timeout 180 wineboot -i
    timeout 60 wineserver -w
    x86_64-w64-mingw32-gcc -shared -O2 -s -o "$dll" "$here/bcryptprimitives.c" -ladvapi32
  fi
  run win cargo test --locked --workspace --all-targets -Zbuild-std --target x86_64-pc-windows-gnu
  ran win
  wineserver -k || true
}
mac() {
  need cross-mac
  export PATH=$cache/venv/bin:$PATH MACOSX_DEPLOYMENT_TARGET=11.0
  run mac cargo-zigbuild zigbuild --locked --workspace --all-targets -Zbuild-std --target aarch64-apple-darwin
  local program
  for program in blit blitd; do
    [[ $(head -c4 "$CARGO_TARGET_DIR/aarch64-apple-darwin/debug/$program" | od -An -tx1) == " cf fa ed fe" ]] ||
      die "mac: $program is not a 64-bit Mach-O"
  done
  echo "cross-check: mac: linked (${SECONDS} s)"
}
musl() {
  need cross-musl
  export PATH=$cache/venv/bin:$PATH CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS=-Clink-self-contained=no
  run musl cargo-zigbuild test --locked --workspace --all-targets -Zbuild-std --target x86_64-unknown-linux-musl
  ran musl
}
arm64() {
  need cross-arm64
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$here/qemu-arm64
  run arm64 cargo test --locked --workspace --all-targets -Zbuild-std --target aarch64-unknown-linux-gnu
  ran arm64
}

(($#)) || set -- check
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -w "$run_seconds_max" 9 || die "another run holds $cache/lock"
debian_rust
for mode; do
  case $mode in
    check | win | mac | musl | arm64)
      SECONDS=0
      "$mode"
      ;;
    *) die "unknown mode $mode" ;;
  esac
done
