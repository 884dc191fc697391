#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."

help() {
    cat <<'END'
For whoever has a card: builds the tool, runs the tests of methods and models on the card, and times the tool there beside the Python
reference. The table that it prints, with the day and the names of the cards, is kept in a file and goes into docs/benchmarks.md.

    pip install -r tests/golden/requirements.txt      # on an NVIDIA card with a PyTorch that knows CUDA
    benches/gpu.sh                                    # CUDA and Vulkan on an NVIDIA card
    benches/gpu.sh --device vulkan:0                  # another card; the reference on the same one if it can, or the processor

What runs the network once a channel (--slow) is measured once, and of the reference --sample channels are tried: its time is scaled up.
It comes last, batches of 256 at the very end: they may take an hour a device. What is measured is kept if it is ended before.
A test that fails is told, and ends the script with 1 when all is measured.

Options, each with a list in one word where it takes several:
  --device "NAMES"         where we compute, see `cam devices` [default: "cuda:0 vulkan:0", or that of them which can be used]
  --reference NAME         where PyTorch computes, cuda or cpu [default: cuda where PyTorch knows it, else cpu]
  --networks "NAMES"       [default: "resnet50 vgg16 deit_small_patch16_224 swin_tiny_patch4_window7_224"]
  --methods "NAMES"        [default: "gradcam"; "" for none]
  --batches "NUMBERS"      [default: "1 32 256"]
  --slow "NAMES"           [default: "ablationcam scorecam"; "" for none]
  --slow-batches "NUMBERS" [default: "1 32 256"]
  --sample NUMBER          [default: 64]
  --repeat NUMBER          how often each is measured in a round [default: 5]
  --rounds NUMBER          [default: 3]
  --limit SECONDS          what a run of `cam bench` may take; longer is a dash in the table [default: 3600]
  --memory SIZE            what our changed copies of the pictures may take [default: 4GiB]
  --tests "NAMES"          test programs to run on each device ["" for none; default: "conformance devices golden precision reads"]
  --features NAMES         what is built, with commas between [default: what the devices need]
  --profile NAME           Cargo's [default: release]
  --output FILE            where the table is kept [default: gpu.md in Cargo's target folder]
PYTHON names the interpreter [default: python3].
END
}

fail() { echo "gpu.sh: $*" >&2; exit 1; }
# What another program said is shown, and one line says what is to be done.
tried() { "$@" >&2 || return 1; }

devices="" reference="" networks="resnet50 vgg16 deit_small_patch16_224 swin_tiny_patch4_window7_224"
methods=gradcam batches="1 32 256" slow="ablationcam scorecam" slow_batches="1 32 256" sample=64 repeat=5 rounds=3
limit=3600 memory=4GiB
tests="conformance devices golden precision reads" features="" profile=release
output=""
while [ $# -gt 0 ]; do
    case $1 in -h | --help) help; exit ;; esac
    [ $# -gt 1 ] || fail "\`$1\` needs a value; see --help"
    case $1 in
        --device | --devices) devices=$2 ;;
        --reference) reference=$2 ;;
        --networks) networks=$2 ;;
        --methods) methods=$2 ;;
        --batches) batches=$2 ;;
        --slow) slow=$2 ;;
        --slow-batches) slow_batches=$2 ;;
        --sample) sample=$2 ;;
        --repeat) repeat=$2 ;;
        --rounds) rounds=$2 ;;
        --limit) limit=$2 ;;
        --memory) memory=$2 ;;
        --tests) tests=$2 ;;
        --features) features=$2 ;;
        --profile) profile=$2 ;;
        --output) output=$2 ;;
        *) fail "there is no option \`$1\`; see --help" ;;
    esac
    shift 2
done
python=${PYTHON:-python3}
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
output=${output:-$target/gpu.md}
asked=$devices
devices=${devices:-cuda:0 vulkan:0}

# What is missing is told before anything is built.
command -v "$python" >/dev/null || fail "there is no $python: PYTHON names another interpreter"
nvidia() { command -v nvidia-smi >/dev/null && tried nvidia-smi -L; }
if nvidia; then
    # A card beside the processor would be no comparison: that has to be asked for.
    reference=${reference:-cuda}
    # What Burn's CUDA takes from a toolkit comes with PyTorch too, in Triton.
    if [ -z "${CUDA_PATH:-}$(ls -d /{usr/local/cuda,opt/cuda,usr/lib/cuda,usr}/nvvm/libdevice 2>/dev/null)" ]; then
        triton=$("$python" -c 'import os, triton; print(os.path.dirname(triton.__file__))' 2>/dev/null || true)
        library=$triton/backends/nvidia/lib/libdevice.10.bc
        if [ -f "$library" ]; then
            export CUDA_PATH=$target/libdevice
            mkdir -p "$CUDA_PATH/nvvm/libdevice"
            ln -sf "$library" "$CUDA_PATH/nvvm/libdevice/"
        fi
    fi
elif [[ " $devices" == *" cuda"* ]]; then
    fail "no NVIDIA card answers: nvidia-smi is not there or fails; --device names other devices"
fi
if [ -n "$methods$slow" ]; then
    tried "$python" benches/compare.py --check ${reference:+--reference "$reference"} --networks $networks --methods $methods $slow ||
        fail "the reference cannot run so; pip install -r tests/golden/requirements.txt brings it, PYTHON names another interpreter"
fi

# `cuda:0 vulkan:0 cpu` are built with cuda,vulkan.
if [ -z "$features" ]; then
    features=$(tr ' ' '\n' <<<"$devices" | sed 's/:.*//' | grep -vx 'cpu\|' | sort -u | paste -sd, - || true)
fi
build=(--profile "$profile" ${features:+--features "$features"} -p cam-cli -p cam-device)
suites=(--lib $(printf -- '--test %s ' $tests))
# The tests bring the tool with them. Built on its own it has other features of Burn, which would be built twice.
if [ -n "$tests" ]; then cargo test "${build[@]}" --no-run "${suites[@]}"; else cargo build "${build[@]}"; fi
cam=$target/$profile/cam
"$cam" devices
usable=""
for device in $devices; do
    # Two seconds of work: a card that is not there or does not start is told here.
    if "$cam" bench --device "$device" --repeat 1 >/dev/null; then usable="$usable $device"
    elif [ -n "$asked" ]; then fail "\`$device\` cannot be used; --device names others"
    else echo "left out: $device"; fi
done
devices=$usable
[ -n "$devices" ] || fail "no device can be used; see \`cam devices\`"

tested=""
failed=0
for device in $devices; do
    [ -n "$tests" ] || continue
    echo "tests on $device"
    # One after another: kernels that are tuned while others run are tuned wrongly.
    if CAM_TEST_DEVICE=$device cargo test "${build[@]}" "${suites[@]}" --no-fail-fast -- --test-threads 1; then said=pass
    else said=fail failed=1; fi
    tested="$tested- \`$device\`: the tests ($tests) $said."$'\n'
done

timed() { "$python" benches/compare.py --cam "$cam" ${reference:+--reference "$reference"} --networks $networks --limit "$limit" --memory "$memory" "$@"; echo; }
# What takes long comes last.
measured() {
    [ -z "$tested" ] || echo "$tested"
    for device in $devices; do
        [ -z "$methods" ] || timed --device "$device" --methods $methods --batch $batches --repeat "$repeat" --rounds "$rounds"
    done
    [ -n "$slow" ] || return 0
    for batch in $slow_batches; do
        for device in $devices; do
            timed --device "$device" --methods $slow --batch "$batch" --repeat 1 --rounds 1 --sample "$sample"
        done
    done
}
new=$(mktemp "$output.XXXXXX")
trap 'echo "gpu.sh: ended early; what was measured is in $new" >&2' ERR INT TERM
measured | tee "$new"
mv "$new" "$output"
echo "kept in $output: for docs/benchmarks.md"
exit "$failed"
