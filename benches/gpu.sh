#!/usr/bin/env bash
# For whoever has an NVIDIA card: `pip install -r tests/golden/requirements.txt` with a PyTorch that knows CUDA, then `benches/gpu.sh`.
#
# It builds the tool with CUDA and Vulkan, runs the tests of methods and models on the card by both, and then times Grad-CAM, AblationCAM and
# ScoreCAM on four networks beside the reference on the same card. What it writes to `target/gpu.md` goes into COMPARE.md.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v nvidia-smi >/dev/null || { echo "no NVIDIA driver here: nvidia-smi is not found" >&2; exit 1; }
python=${PYTHON:-python3}
"$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null ||
    { echo "the reference needs a PyTorch that knows CUDA: PYTHON names another interpreter" >&2; exit 1; }
table=target/gpu.md
features=cuda,vulkan

cargo build --release --features "$features"
target/release/cam devices

for device in cuda:0 vulkan:0; do
    # One after another: kernels that are tuned while others run are tuned wrongly.
    CAM_TEST_DEVICE=$device cargo test --release --features "$features" -p cam-cli -p cam-device --lib \
        --test conformance --test devices --test golden --test precision --test reads -- --test-threads 1
done

{
    echo "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader), $(date -I)"
    echo
    networks=(resnet50 vgg16 deit_small_patch16_224 swin_tiny_patch4_window7_224)
    "$python" benches/compare.py --device cuda --networks "${networks[@]}" --methods gradcam --batch 1 32 256
    # The reference runs the network once a channel: it tries some of them, and its time is scaled up.
    "$python" benches/compare.py --device cuda --networks "${networks[@]}" --methods ablationcam scorecam --batch 1 32 256 --sample 256
} | tee "$table"
