#!/usr/bin/env bash
# ci/setup.sh WHAT...   Installs what is missing for WHAT, on Debian, as root or with sudo. Does nothing when all is there.
#   build   a C compiler, git and a Rust toolchain that is new enough
#   test    the programs that tests, benchmarks and checks of scripts run; without them those tests are skipped
#   bench   other copiers and counters that blit-bench uses; what is missing is left out of its reports
#   deny    cargo-deny, built from its published source (minutes, once)
#   cross   Debian's rustc with the source of its standard library, to type-check for other systems, and C compilers
#           for these: the cryptography is built before it is known what to check
#   cross-win, cross-mac, cross-musl, cross-arm64   what a full run of ci/cross/cross-check.sh needs beyond that
# Exit code 1: something that WHAT cannot do without is still missing.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
cache=${CROSS_CACHE:-$HOME/.cache/blit-cross}

say() { echo "setup: $*" >&2; }

missing() { # PACKAGE...: those that are not installed
  comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f='${Package} ${Status}\n' "$@" 2>/dev/null | sed -n 's/ install ok installed$//p' | sort -u)
}

as_root() {
  if ((EUID == 0)); then "$@"; elif [[ -t 0 ]]; then sudo "$@"; else sudo -n "$@"; fi
}

packages() { # PACKAGE...: installs the missing ones; false when some are still missing
  command -v dpkg-query >/dev/null || { say "this is no Debian; please install yourself: $*"; return 1; }
  local wanted log
  mapfile -t wanted < <(missing "$@")
  ((${#wanted[@]})) || return 0
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    say "MISSING, and neither root nor sudo to install: ${wanted[*]}"
    return 1
  fi
  say "installing ${wanted[*]}"
  log=$(mktemp)
  if ! { as_root apt-get update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-remove --no-install-recommends "${wanted[@]}"; } \
    </dev/null >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    say "MISSING, apt-get could not install: ${wanted[*]} (whole log: $log)"
    return 1
  fi
  rm -f "$log"
}

rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
rust_is_new_enough() {
  local have
  have=$(cargo --version 2>/dev/null | awk '{print $2}') || return 1
  [[ $(printf '%s\n' "$rust_wanted" "$have" | sort -V | head -n 1) == "$rust_wanted" ]]
}

rust() {
  if rust_is_new_enough; then return 0; fi
  packages ca-certificates || return 1
  if [[ $(apt-cache policy rustup 2>/dev/null) == *Candidate:\ [0-9]* ]]; then
    packages rustup && rustup toolchain install stable --profile minimal -c rustfmt -c clippy
  else
    packages rustc-web cargo-web rustfmt-web
  fi && hash -r && rust_is_new_enough && return 0
  say "no Rust toolchain of at least $rust_wanted: install rustup as its home page says, then 'rustup toolchain install stable'"
  return 1
}

build() { packages gcc libc6-dev git && rust; }

tools() { # tests say for themselves what they skip, so a missing tool is no failure
  packages acl attr btrfs-progs e2fsprogs fuse3 git libnbd-bin mount nbdkit python3-fusepy rsync shellcheck strace xfsprogs ||
    say "the tests that need those are skipped"
}

peers() {
  packages e2fsprogs iperf3 mount rsync strace valgrind || say "blit-bench leaves out what needs those"
}

deny() {
  if cargo deny --version >/dev/null 2>&1; then return 0; fi
  say "building cargo-deny (some minutes, once)"
  cargo install --locked --quiet --version 0.20.2 cargo-deny
}

zig() { # wheels that carry zig and cargo-zigbuild
  if [[ -x $cache/venv/bin/cargo-zigbuild ]]; then return 0; fi
  packages python3-venv && python3 -m venv "$cache/venv" &&
    "$cache/venv/bin/pip" install -q ziglang==0.17.1 cargo-zigbuild==0.24.0
}

(($#)) || set -- build test
for what; do
  case $what in
    build) build ;;
    test) tools ;;
    bench) peers ;;
    deny) deny ;;
    cross) packages rustc-web cargo-web rust-web-src gcc libc6-dev gcc-mingw-w64-x86-64-posix && zig ;;
    cross-win) packages gcc-mingw-w64-x86-64-posix wine wine64 ;;
    cross-mac | cross-musl) zig ;;
    cross-arm64) packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ;;
    *) say "unknown: $what"; exit 2 ;;
  esac || exit 1
done
