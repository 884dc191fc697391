#!/usr/bin/env bash
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

help() {
    cat <<'END'
For whoever has a GPU: runs the tests of methods and models on it, and times the tool there beside the Python reference. The report
that it writes, with the day and the names of the GPUs, goes into docs/benchmarks.md.

    pip install -r tests/golden/requirements.txt      # on an NVIDIA GPU with a PyTorch that knows CUDA
    benches/gpu.sh                                    # builds; CUDA and Vulkan on an NVIDIA GPU
    benches/gpu.sh --device vulkan:0                  # another GPU; the reference on the same one if it can, or on the CPU

On a machine without Cargo, the package of benches/pack.sh is brought along and run in slices:

    DIR/gpu.sh --package DIR --slice 9                # unpacks, runs for nine minutes, and goes on where it ended when it is called again

The steps, the most telling first: the devices, a map and the demo on each; the methods on a small network of each family; inference
and Grad-CAM in images per second; Ablation-CAM at layer4.1 and Score-CAM; the warm-up with an empty and a kept kernel cache; the other
tests. A step that ended is not run again. One that its slice has cut is, as soon as a slice has a fifth more time for it.
Without the reference one line says so, and its columns are dashes. A test that fails is reported, and the script ends with 1 after the
last step; with 75 while steps are left.

What runs the network once per channel (--slow) is measured once, and of the reference --sample channels are tried: its time is scaled up.

Options, each with a list in one word where it takes several:
  --package DIR            run the package in this folder, not what Cargo builds
  --slice MINUTES          how long it may take in this call [default: until all is done]
  --device "NAMES"         where we compute, see `cam devices` [default: "cuda:0 vulkan:0", or that of them which can be used]
  --reference NAME         where PyTorch computes: cuda, cpu, or none [default: cuda where PyTorch knows it, else cpu; none where it is not
                           installed]
  --networks "NAMES"       [default: "resnet50 vgg16 deit_small_patch16_224 swin_tiny_patch4_window7_224"]
  --methods "NAMES"        [default: "gradcam"; "" for none]
  --batches "NUMBERS"      in this order [default: "32 1 256"]
  --slow "NAMES"           on ResNet-50 at layer4.1 [default: "ablationcam scorecam"; "" for none]
  --slow-batches "NUMBERS" [default: "32 1"]
  --precisions "NAMES"     of both sides [default: "f32 f16"]
  --sample NUMBER          [default: 64]
  --repeat NUMBER          how often each is measured in a round [default: 5]
  --rounds NUMBER          [default: 3]
  --limit SECONDS          what a run of `cam bench` may take; longer is a dash in the table [default: 3600]
  --memory SIZE            what our changed copies of the images may take [default: 4GiB]
  --tests "NAMES"          modules of tests/suite to run on each device ["" for none; default: "conformance devices golden precision reads", of a
                           package without reads, which needs the sources]
  --only TEXT              the steps whose name holds this text
  --features NAMES         what Cargo builds, with commas between [default: what the devices need]
  --profile NAME           Cargo's [default: release]
  --output DIR             where results are kept [default: gpu in Cargo's target folder, or results in the package; what Cargo
                           builds starts anew]
PYTHON names the interpreter [default: python3].
END
}

fail() { echo "gpu.sh: $*" >&2; exit 2; }

package="" slice="" devices="" reference="" networks="resnet50 vgg16 deit_small_patch16_224 swin_tiny_patch4_window7_224"
methods=gradcam batches="32 1 256" slow="ablationcam scorecam" slow_batches="32 1" precisions="f32 f16" sample=64 repeat=5 rounds=3
limit=3600 memory=4GiB tests="conformance devices golden precision reads" only="" features="" profile=release output=""
while [ $# -gt 0 ]; do
    case $1 in -h | --help) help; exit ;; esac
    [ $# -gt 1 ] || fail "\`$1\` needs a value; see --help"
    case $1 in
        --package | --slice | --reference | --networks | --methods | --batches | --slow | --slow-batches | --precisions | --sample | --repeat | \
            --rounds | --limit | --memory | --tests | --only | --features | --profile | --output)
            name=${1#--}
            printf -v "${name//-/_}" %s "$2"
            ;;
        --device | --devices) devices=$2 ;;
        *) fail "there is no option \`$1\`; see --help" ;;
    esac
    shift 2
done
[[ $slice =~ ^[0-9]*$ ]] || fail "--slice takes whole minutes"
asked=$devices
devices=${devices:-cuda:0 vulkan:0}
export PATH HOME=${HOME:-/tmp}

# Where the programs are: of a package, unpacked once, its parts made sure of.
unpack() {
    package=$(cd "$package" && pwd) || fail "there is no folder \`$package\`"
    root=$package/unpacked
    if [ ! -d "$root" ]; then
        (cd "$package" && sha256sum --quiet -c SHA256SUMS) || fail "a part is missing or damaged: bring it again"
        rm -rf "$root.new" && mkdir "$root.new"
        cat "$package"/parts.* | tar -xz -C "$root.new"
        mv "$root.new" "$root"
    fi
    output=${output:-$package/results}
    export LD_LIBRARY_PATH=$root/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} XDG_CACHE_HOME=$package/cache
    # What Cargo would say to the tests.
    export CARGO_MANIFEST_DIR=$root
    tests=${tests/ reads/}
}

# The tool that knows a device.
cam() {
    [ -n "$package" ] || { echo "$target/$profile/cam"; return; }
    case $1 in cuda*) echo "$root/cuda/cam" ;; *) echo "$root/vulkan/cam" ;; esac
}

# The command that runs tests on a device, one after another: kernels that are tuned while others run are tuned wrongly.
suite() {
    suite=(env CAM_TEST_DEVICE="$1")
    if [ -n "$package" ]; then suite+=(CARGO_BIN_EXE_cam="$(cam "$1")" "$(cam "$1")-tests" --test-threads 1)
    else suite+=(cargo test "${build[@]}" --test suite -- --test-threads 1); fi
}

build_here() {
    root=$(dirname "$here")
    cd "$root"
    target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    output=${output:-$target/gpu}
    rm -f "$output/steps"
    # `cuda:0 vulkan:0 cpu` are built with cuda,vulkan.
    features=${features:-$(tr ' ' '\n' <<<"$devices" | sed 's/:.*//' | grep -vx 'cpu\|' | sort -u | paste -sd, - || true)}
    # The tests bring the tool with them.
    build=(--profile "$profile" ${features:+--features "$features"} -p cam-cli)
    cargo test "${build[@]}" --no-run --test suite
}

# What NVIDIA's programs need beside its driver, where a container leaves it out.
nvidia() {
    command -v nvidia-smi >/dev/null && nvidia-smi -L || return 0
    # What Burn's CUDA takes from a toolkit comes with PyTorch too, in Triton.
    if [ -z "${CUDA_PATH:-}$(ls -d /{usr/local/cuda,opt/cuda,usr/lib/cuda,usr}/nvvm/libdevice 2>/dev/null)" ] && [ -n "$python" ]; then
        local library
        library=$("$python" -c 'import os, triton; print(os.path.dirname(triton.__file__))' 2>/dev/null || true)/backends/nvidia/lib/libdevice.10.bc
        if [ -f "$library" ]; then
            export CUDA_PATH=$output/libdevice
            mkdir -p "$CUDA_PATH/nvvm/libdevice"
            ln -sf "$library" "$CUDA_PATH/nvvm/libdevice/"
        fi
    fi
    # The driver's Vulkan may be there without the file that names it. The part for EGL needs no X11.
    if ! compgen -G '/usr/share/vulkan/icd.d/nvidia*' >/dev/null && ! compgen -G '/etc/vulkan/icd.d/nvidia*' >/dev/null; then
        local driver
        driver=$(ldconfig -p 2>/dev/null | grep -o '/[^ ]*lib\(EGL\|GLX\)_nvidia.so.0' | sort | head -1 || true)
        if [ -n "$driver" ]; then
            printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3"}}\n' "$driver" >"$output/nvidia_icd.json"
            export VK_ADD_DRIVER_FILES=$output/nvidia_icd.json
        else
            echo "no Vulkan of NVIDIA's driver is here: a container needs the capability \`graphics\`"
        fi
    fi
}

python=$(command -v "${PYTHON:-python3}" || true)
if [ -n "$package" ]; then unpack; else build_here; fi
mkdir -p "$output"
[ -z "$slice" ] || deadline=$((60 * slice))
nvidia

usable=""
for device in $devices; do
    # Two seconds of work: a GPU that is not there or does not start is reported here.
    if [ -x "$(cam "$device")" ] && "$(cam "$device")" bench --device "$device" --repeat 1 >/dev/null; then usable="$usable $device"
    elif [ -n "$asked" ]; then fail "\`$device\` cannot be used; --device names others"
    else echo "left out: $device"; fi
done
devices=${usable# }
[ -n "$devices" ] || fail "no device can be used; see \`cam devices\`"

# Runs a step unless it has ended. `steps` has a line for each: its name, how it ended, its seconds, and what it might have taken.
waiting=""
step() {
    local name=$1 left=86400 ended seconds=$SECONDS
    shift
    [[ $name == *"$only"* ]] || return 0
    [ -z "$slice" ] || left=$((deadline - SECONDS))
    ended=$(awk -v name="$name" '$1 == name { line = $2 " " $4 } END { print line }' "$output/steps" 2>/dev/null || true)
    case $ended in
        passed* | failed*) return 0 ;;
        cut*) [ $((5 * left)) -gt $((6 * ${ended#cut })) ] || { waiting="$waiting $name"; return 0; } ;;
    esac
    [ "$left" -ge 15 ] || { waiting="$waiting $name"; return 0; }
    echo "step $name"
    ended=passed
    timeout -k 5 "$left" "$@" >"$output/$name.out" 2>"$output/$name.err" </dev/null || ended=failed
    if [ "$ended" = failed ] && [ $((SECONDS - seconds)) -ge "$left" ]; then ended=cut waiting="$waiting $name"; fi
    echo "$name $ended $((SECONDS - seconds)) $left" >>"$output/steps"
    [ "$ended" = passed ] || tail -n 5 "$output/$name.out" "$output/$name.err"
}

# Each test is a step of its own.
tests() {
    local device module test
    for device in $devices; do
        suite "$device"
        for module in $1; do
            for test in $("${suite[@]}" --list 2>/dev/null | sed -n "s/^\($module::.*\): test\$/\1/p"); do
                step "$device-$test" "${suite[@]}" --exact "$test" --nocapture
            done
        done
    done
}

# A table of one network: beside the reference where there is Python, else what the tool prints.
timed() {
    local name=$1 device=$2 network=$3 precision=$4 batch=$5 method=$6
    shift 6
    if [ -n "$python" ]; then
        step "$name" "$python" "$root/benches/compare.py" --cam "$(cam "$device")" --device "$device" ${reference:+--reference "$reference"} \
            --networks "$network" --precision "$precision" --batch "$batch" --methods $method --limit "$limit" --memory "$memory" "$@"
    else
        step "$name" "$(cam "$device")" bench --device "$device" --model "$network" --precision "$precision" --batch "$batch" \
            --method "${method// /,}" --repeat "$repeat" --memory "$memory"
    fi
}

# Runs a step with its own kernel cache, which is emptied first or kept. The driver may have one more of its own there.
warm_up() {
    step "warm-up-$1-$2" bash -c '[ "$1" = kept ] || rm -rf "$2"; XDG_CACHE_HOME=$2 exec "${@:3}"' _ "$2" "$output/kernels-$1" \
        "$(cam "$1")" bench --device "$1" --model resnet50 --repeat 3
}

all_tests=" $tests "
step devices "$(cam "${devices%% *}")" devices
for device in $devices; do
    if [ "$all_tests" != "  " ]; then
        suite "$device"
        step "map-$device" "${suite[@]}" --exact conformance::another_device_gives_the_same_map_of_the_built_in_model --nocapture
    fi
    step "demo-$device" "$(cam "$device")" demo --device "$device" --out "$output/demo-$device"
done
[[ $all_tests != *" conformance "* ]] || tests conformance
for precision in $precisions; do
    for batch in $batches; do
        for network in $networks; do
            for device in $devices; do
                [ -z "$methods" ] || timed "speed-$device-$precision-$network-$batch" "$device" "$network" "$precision" "$batch" "$methods" \
                    --compile --repeat "$repeat" --rounds "$rounds"
            done
        done
    done
done
for method in $slow; do
    for batch in $slow_batches; do
        for device in $devices; do
            timed "slow-$device-$method-$batch" "$device" resnet50 f32 "$batch" "$method" \
                --layer layer4.1 --repeat 1 --rounds 1 --sample "$sample"
        done
    done
done
for device in $devices; do
    warm_up "$device" empty
    warm_up "$device" kept
done
tests "${all_tests/ conformance / }"

# Tables of one kind, with their title and header once.
joined() {
    local files=("$output/$1"*.out)
    [ -s "${files[0]}" ] || return 0
    awk '/^$/ || seen[$0]++ { next } /^\|/ && !table { table = 1; print "" } { print }' "${files[@]}"
    echo
}

report() {
    printf '# On %s, %s\n\n' "$(uname -m)" "$(date +%F)"
    sed 's/^/    /' "$output/devices.out"
    printf '\n| step | result | seconds |\n|---|---|---|\n'
    awk '{ line[$1] = "| " $1 " | " $2 " | " $3 " |"; if (!seen[$1]++) order[++count] = $1 }
        END { for (i = 1; i <= count; i++) print line[order[i]] }' "$output/steps"
    printf '\nHow far a map is from that of the CPU:\n\n'
    grep -h ' allowed, ' "$output"/map-*.out | sed 's/^/    /' || true
    printf '\n'
    for device in $devices; do
        for precision in $precisions; do joined "speed-$device-$precision-"; done
        joined "slow-$device-"
    done
    printf 'Warm-up of ResNet-50 with an empty kernel cache, and with a kept one:\n\n'
    cat "$output"/warm-up-*.out 2>/dev/null | sed 's/^/    /' || true
}
report >"$output/gpu.md"
echo "the report is $output/gpu.md: for docs/benchmarks.md"
if [ -n "$waiting" ]; then
    echo "left for the next call:$waiting"
    exit 75
fi
if awk '{ ended[$1] = $2 } END { for (name in ended) if (ended[name] == "failed") exit 1 }' "$output/steps"; then exit 0; fi
echo "some steps failed; the lines above and $output say why"
exit 1
