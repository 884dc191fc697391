"""Times whole processes, `cam explain` beside the Python reference: from the command to the picture on the disk.

    pip install -r tests/golden/requirements.txt
    cargo build --release
    python benches/photo.py photo.jpg

What a user waits for: the program starts, reads the weights and the photo, explains the class by Grad-CAM, and writes the overlay.
Both read one file of random weights from a seed, which lies in the cache of the system, and are run in turn; the numbers are medians
over the rounds, memory is what the process holds at most. It prints one markdown table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The layer that both sides look at, where it is in the module, and how the reference lays it out.
NETWORKS = {
    "resnet50": ("layer4.2", "model.layer4[-1]", None),
    "vgg16": ("features.30", "model.features[-1]", None),
    "deit_tiny_patch16_224": ("blocks.11.norm1", "model.blocks[-1].norm1",
                              "lambda x: x[:, 1:].reshape(len(x), 14, 14, -1).permute(0, 3, 1, 2)"),
    "swin_tiny_patch4_window7_224": ("layers.3.blocks.1.norm1", "model.layers[-1].blocks[-1].norm1",
                                     "lambda x: x.permute(0, 3, 1, 2)"),
}

# What a user of the reference writes.
SCRIPT = """
import sys
import cv2
import numpy
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import preprocess_image, show_cam_on_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file
{make}
model.load_state_dict(load_file(sys.argv[1]))
photo = numpy.float32(Image.open(sys.argv[2]).convert("RGB").resize((224, 224), Image.BICUBIC)) / 255
images = preprocess_image(photo, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
with GradCAM(model=model.eval(), target_layers=[{layer}], reshape_transform={transform}) as cam:
    heat = cam(input_tensor=images, targets=[ClassifierOutputTarget(243)])[0]
cv2.imwrite(sys.argv[3], show_cam_on_image(photo, heat, use_rgb=True)[:, :, ::-1])
"""


def make(name):
    """How the reference makes a network without weights."""
    if name.startswith(("deit", "swin")):
        return f'import timm\nmodel = timm.create_model("{name}")'
    return f"import torchvision\nmodel = torchvision.models.{name}(weights=None)"


def run(command, written):
    """Seconds of a process and the bytes that it held at most."""
    written.unlink(missing_ok=True)
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0 or not written.exists():
        sys.exit(f"photo.py: {' '.join(map(str, command))} fails")
    return seconds, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--cam", type=Path, default=ROOT / "target" / "release" / "cam", help="the tool")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print("| network | seconds here | reference | times faster | memory here | reference |\n|---|---|---|---|---|---|")
    for name in args.networks:
        layer, place, transform = NETWORKS[name]
        with tempfile.TemporaryDirectory() as folder:
            weights, script, picture = (Path(folder) / file for file in ["w.safetensors", "reference.py", "map.png"])
            save = f'import sys, torch\nfrom safetensors.torch import save_file\ntorch.manual_seed(0)\n{make(name)}\n' \
                   'save_file({k: v.contiguous() for k, v in model.state_dict().items()}, sys.argv[1])'
            subprocess.run([sys.executable, "-c", save, weights], check=True)
            script.write_text(SCRIPT.format(make=make(name), layer=place, transform=transform))
            ours = [args.cam, "explain", args.photo, "--model", name, "--weights", weights, "--class", "243",
                    "--layer", layer, "--out", picture]
            theirs = [sys.executable, script, weights, args.photo, picture]
            rounds = [(run(ours, picture), run(theirs, picture)) for _ in range(args.rounds)]
        here, there = ([statistics.median(side[part] for side in sides) for part in range(2)] for sides in zip(*rounds))
        times = statistics.median(reference[0] / own[0] for own, reference in rounds)
        print(f"| `{name}` | {here[0]:.2f} | {there[0]:.2f} | **{times:.1f}** | {here[1] / 1e6:.0f} MB | "
              f"{there[1] / 1e6:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
