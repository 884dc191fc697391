#!/usr/bin/env bash
# Type-checks the library and the tool for systems that are not at hand: scripts/check_targets.sh [TARGET ...]
#
# Nothing is linked, so only the source of the standard library is needed beside a compiler, as `rustup component add rust-src` or Debian's
# rustc-web and rust-web-src have it: RUSTC=/usr/bin/rustc scripts/check_targets.sh. Without the feature `hub`, whose TLS compiles C, and
# without the tests, of which a dependency does.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=("$@")
[ $# -gt 0 ] || targets=(x86_64-pc-windows-msvc aarch64-apple-darwin)
# The compiler is told to take what only a nightly one would.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    echo "== $target"
    cargo check --profile quick --target-dir target/targets -Zbuild-std --target "$target" \
        -p cam-cli --no-default-features --lib --bins
done
