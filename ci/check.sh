#!/usr/bin/env bash
# ci/check.sh [STAGE...]   The one list of checks. Without arguments: all but bench, in this order.
#   fmt         rustfmt finds nothing to change
#   clippy      no warning in any crate, tests included
#   doc         the documentation builds without a warning
#   test        cargo test
#   deny        licences, pins and sources of the dependencies; advisories where their database can be reached
#   tidy        the shape of the tree: arrows, platform switches, headers, lengths, words; shellcheck
#   schema      the generated code is what the schema gives
#   cross       type-checks everything for Windows and macOS
#   privileged  as root: the tests that mount file systems
#   bench       is blit, beside its peers on this machine, clearly slower than bench/baseline.json says?
# It installs what is missing (ci/setup.sh). The first failing stage ends it.
#
# A test that needs root and mounts has `privileged_` in its name and asks for BLIT_TEST_PRIVILEGED=1. A test that
# cannot run where it is writes one line `SKIPPED name: reason` to standard error itself (the harness would swallow
# what eprintln prints) and returns; it is counted as skipped below, not as passed.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
readonly stages=(fmt clippy doc test deny tidy schema cross privileged)
readonly stage_seconds_max=2400 fetch_seconds_max=60 skipped_code=77

limit() { # SECONDS COMMAND...; at a terminal the command stays where Ctrl-C reaches it
  local foreground=()
  if [[ -t 0 ]]; then foreground=(--foreground); fi
  timeout "${foreground[@]}" -k 30 "$@"
}
note_skip() { echo "SKIPPED $1: $2" | tee -a "$logs/skipped"; }
skip() { # REASON: ends the stage
  note_skip "$stage" "$1"
  exit "$skipped_code"
}

stage_fmt() {
  cargo fmt --version >/dev/null 2>&1 || skip "this toolchain has no rustfmt"
  cargo fmt --all --check
}
stage_clippy() {
  cargo clippy --version >/dev/null 2>&1 || skip "this toolchain has no clippy"
  cargo clippy --workspace --all-targets --locked -- -D warnings
}
stage_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked; }
stage_test() {
  ci/setup.sh test
  limit "$stage_seconds_max" cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$logs/test.log"
}
stage_deny() {
  ci/setup.sh deny || skip "cargo-deny is not there and could not be built"
  cargo deny --locked check bans licenses sources
  if limit "$fetch_seconds_max" cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --disable-fetch advisories
  else
    note_skip "deny advisories" "their database cannot be reached from here"
  fi
}
stage_tidy() {
  cargo run -q --locked -p blit-ci -- tidy
  local scripts
  mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
  if command -v shellcheck >/dev/null; then
    shellcheck "${scripts[@]}"
  else
    note_skip "tidy shellcheck" "shellcheck is not installed (ci/setup.sh test)"
  fi
}
stage_schema() {
  command -v capnp >/dev/null || skip "the schema compiler capnp is not installed"
  cargo run -q --locked --manifest-path schema/gen/Cargo.toml -- --check
}
stage_cross() {
  local code=0
  ci/cross/cross-check.sh check || code=$?
  ((code != skipped_code)) || skip "the packages of ci/setup.sh cross could not be had"
  return "$code"
}
stage_privileged() {
  ((EUID == 0)) || skip "needs root"
  ci/setup.sh test
  BLIT_TEST_PRIVILEGED=1 limit "$stage_seconds_max" \
    cargo test --workspace --locked --no-fail-fast -- privileged_ 2>&1 | tee "$logs/privileged.log"
  (($(sum passed "$logs/privileged.log") > 0)) || skip "no test is named privileged_"
}
stage_bench() { # blit-bench by hand measures longer and finds less than twice as slow
  ci/setup.sh bench
  cargo build --release --locked -p blit -p blit-bench
  "${CARGO_TARGET_DIR:-target}/release/blit-bench" ci --baseline bench/baseline.json
}

sum() { # passed|failed|ignored LOG...: over cargo's closing lines
  local word=$1
  shift
  cat "$@" | sed -n "s/.*test result: .* \([0-9]*\) $word;.*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}
skipped_tests() { # LOG: their names
  grep -ohE 'SKIPPED [A-Za-z0-9_:]+: ' "$1" 2>/dev/null | sort -u || true
}
count_tests() { # prints the closing line
  local in_test in_privileged put_off=0 passed skipped
  touch "$logs/test.log" "$logs/privileged.log"
  in_test=$(skipped_tests "$logs/test.log" | wc -l)
  in_privileged=$(skipped_tests "$logs/privileged.log" | wc -l)
  if [[ -s $logs/privileged.log ]]; then # what `test` put off was done there
    put_off=$(skipped_tests "$logs/test.log" | grep -c privileged_ || true)
  fi
  passed=$(($(sum passed "$logs"/{test,privileged}.log) - in_test - in_privileged))
  skipped=$(($(sum ignored "$logs"/{test,privileged}.log) + in_test + in_privileged - put_off))
  echo "$passed passed, $(sum failed "$logs"/{test,privileged}.log) failed, $skipped skipped"
}
close() {
  local code=$?
  echo
  if [[ -s $logs/skipped ]]; then cat "$logs/skipped"; fi
  if ((code == 0)); then
    echo "check: passed: ${passed_stages[*]} (${SECONDS} s)"
  else
    echo "check: FAILED in ${stage:-setup} (exit code $code, ${SECONDS} s)"
  fi
  count_tests
  rm -rf "$logs"
}
run_stage() { # in a shell of its own, where any failing command ends it
  local code=0 start=$SECONDS
  echo
  echo "== $stage"
  set +e
  (
    set -e
    "stage_$stage"
  )
  code=$?
  set -e
  echo "== $stage: $((SECONDS - start)) s"
  case $code in
    0) passed_stages+=("$stage") ;;
    "$skipped_code") ;;
    *) exit "$code" ;;
  esac
}

(($#)) || set -- "${stages[@]}"
for stage; do
  [[ " ${stages[*]} bench " == *" $stage "* ]] || { echo "check: no stage $stage; there are: ${stages[*]} bench" >&2; exit 2; }
done
unset stage
passed_stages=()
logs=$(mktemp -d)
trap close EXIT
ci/setup.sh build
for stage; do run_stage; done
