#!/usr/bin/env bash
# A RUSTC_WRAPPER that instruments the readers for libFuzzer, and checks their arithmetic; the rest of Burn is built as usual, in minutes.
rustc=$1
shift
crate='' kind='' before=''
for word in "$@"; do
    case $before in
        --crate-name) crate=$word ;;
        --crate-type) kind=$word ;;
    esac
    before=$word
done
readers=' burn_cam cam_cli cam_fuzz cam_image cam_models cam_onnx fdeflate gif image image_webp png tiff toml toml_parser weezl zip zune_core zune_jpeg
    array card labels manifest onnx photo weights '
if [ "$kind" != proc-macro ] && [[ $readers == *[[:space:]]$crate[[:space:]]* ]]; then
    set -- "$@" --cfg fuzzing -Cdebug-assertions=on -Coverflow-checks=on -Cpasses=sancov-module
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
        set -- "$@" "-Cllvm-args=-sanitizer-coverage-$option"
    done
fi
exec "$rustc" "$@"
