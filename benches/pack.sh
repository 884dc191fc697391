#!/usr/bin/env bash
# Packs what `benches/gpu.sh` needs on a machine with a GPU and without Cargo: the tool and its tests in one program, stripped, once for
# Vulkan and once for CUDA, golden data, the scripts, and the Vulkan loader.
#
#   benches/pack.sh [DIR]                      # [default: gpu-package in Cargo's target folder]
#   DIR/gpu.sh --package DIR --slice 9         # there, in a shell
#
# CUDA needs the development files of an LLVM of the version that Burn's build asks for; LLVM_CONFIG names the `llvm-config` of another
# one. Without it one line says so, and the package is made for Vulkan. DIR has parts of at most 60 MB and their checksums.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
package=${1:-$target/gpu-package}
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT

# How the tests are run is changed by unstable features of the one crate `suite`; see tests/suite/packed.rs.
built() {
    RUSTC_BOOTSTRAP=suite cargo rustc --release --locked --features "$1" --test suite --message-format json-render-diagnostics \
        -- --cfg packed -C strip=symbols |
        sed -n 's/.*"name":"suite".*"executable":"\([^"]*\)".*/\1/p'
}

pack() {
    local program
    program=$(built "$1")
    mkdir "$staged/$1"
    cp "$program" "$staged/$1/cam"
    ln -s cam "$staged/$1/cam-tests"
    echo "$1: $(du -h "$program" | cut -f1), needs $(grep -ao 'GLIBC_2\.[0-9]*' "$program" | sort -uV | tail -1)"
}

# Burn's build takes an LLVM from the folder where it would unpack the one that it fetches.
llvm() {
    local asked name config prefix
    asked=$(sed -n '/^name = "tracel-llvm-bundler"/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
    config=$(command -v "${LLVM_CONFIG:-llvm-config-${asked%%.*}}" || command -v llvm-config || true)
    if [ -z "$config" ] || { [ -z "${LLVM_CONFIG:-}" ] && [[ $("$config" --version) != "${asked%.*}."* ]]; }; then
        echo "without CUDA: Burn's build asks for LLVM ${asked%-*}, and ${config:-no llvm-config}${config:+ is $("$config" --version)}"
        return 1
    fi
    prefix=$target/llvm/tracel/tracel-llvm-$asked
    mkdir -p "$prefix"
    for name in bin include lib; do ln -sfn "$("$config" --prefix)/$name" "$prefix/$name"; done
    touch "$prefix/.tracel-llvm-installed"
}

pack vulkan
if llvm; then XDG_DATA_HOME=$target/llvm pack cuda; fi

mkdir -p "$staged/lib" "$staged/benches" "$staged/tests/golden"
loader=$(ldconfig -p | grep -o '/[^ ]*libvulkan\.so\.1$' | head -1 || true)
if [ -n "$loader" ]; then cp -L "$loader" "$staged/lib/"; else echo "without the Vulkan loader: there is no libvulkan.so.1 here"; fi
cp benches/compare.py benches/reference.py "$staged/benches/"
cp tests/golden/*.json tests/golden/*.safetensors tests/golden/requirements.txt "$staged/tests/golden/"
cp LICENSE-* "$staged/"

mkdir -p "$package"
rm -f "$package"/parts.*
cp benches/gpu.sh "$package/"
tar -C "$staged" -cf - . | gzip -9 | split -b 60000000 -d - "$package/parts."
(cd "$package" && sha256sum gpu.sh parts.* >SHA256SUMS && ls -l)
