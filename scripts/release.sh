#!/usr/bin/env bash
# Builds the tool `cam` for one target and packs it for a release: an archive with its sha256 beside it.
#
#   scripts/release.sh                                  # the machine that it runs on
#   scripts/release.sh aarch64-apple-darwin --features gpu
#
# The archive is called as `cargo binstall` looks for it: target/release-archives/cam-cli-VERSION-TARGET.tgz, or .zip for Windows. It
# holds the program, the completions of the usual shells, the manual pages, the licenses, the README and the changelog.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
target=$host
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    target=$1
    shift
fi
version=$(cargo pkgid -p cam-cli | sed 's/.*[#@]//')
name=cam-cli-$version-$target

if [ "$target" = "$host" ]; then
    cargo build --release --locked -p cam-cli --bin cam "$@"
    built=${CARGO_TARGET_DIR:-target}/release
else
    cargo build --release --locked -p cam-cli --bin cam --target "$target" "$@"
    built=${CARGO_TARGET_DIR:-target}/$target/release
fi

archives=${CARGO_TARGET_DIR:-target}/release-archives
folder=$archives/$name
rm -rf "$folder"
mkdir -p "$folder/completions" "$folder/man"
case $target in
*windows*) program=cam.exe ;;
*) program=cam ;;
esac
cp "$built/$program" LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md "$folder/"
cp crates/cam-viz/FONT-LICENSE.txt "$folder/"
# The program of another system cannot run here, so its archive has no completions and manual pages.
if [ "$target" = "$host" ]; then
    for shell in bash zsh fish powershell; do
        "$built/cam" completions $shell >"$folder/completions/cam.$shell"
    done
    "$built/cam" --quiet man --out "$folder/man"
fi

cd "$archives"
case $target in
*windows*)
    archive=$name.zip
    rm -f "$archive"
    zip -qr "$archive" "$name"
    ;;
*)
    archive=$name.tgz
    tar -czf "$archive" "$name"
    ;;
esac
if command -v sha256sum >/dev/null; then sha256sum "$archive"; else shasum -a 256 "$archive"; fi >"$archive.sha256"
cat "$archive.sha256"
