"""Compares every network of cam-models with torchvision's and timm's, at full size.

    python tests/parity/compare.py [PATTERN ...]

Each network gets random weights from a seed, runs there and here (`examples/activations.rs`), and the logits and the
activation of every tapped layer are compared: the largest difference, relative to the largest value, must be below 1e-4.
The weights go to a temporary folder, which is removed. Needs torch, torchvision, timm and safetensors beside a build of the
workspace; nothing is installed.
"""

import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]
LIMIT = 1e-4

RESNET = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2",
          "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"]
VGG = [f"vgg{depth}{norms}" for norms in ["", "_bn"] for depth in [11, 13, 16, 19]]
VIT = ["vit_tiny_patch16_224", "vit_tiny_patch16_384", "vit_small_patch16_224", "vit_small_patch16_384",
       "vit_small_patch32_224", "vit_small_patch32_384", "vit_base_patch16_224", "vit_base_patch16_384",
       "vit_base_patch32_224", "vit_base_patch32_384", "deit_tiny_patch16_224", "deit_small_patch16_224",
       "deit_base_patch16_224", "deit_base_patch16_384", "deit_tiny_distilled_patch16_224",
       "deit_small_distilled_patch16_224", "deit_base_distilled_patch16_224", "deit_base_distilled_patch16_384"]
SWIN = ["swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224", "swin_base_patch4_window7_224",
        "swin_base_patch4_window12_384", "swin_large_patch4_window7_224", "swin_large_patch4_window12_384"]
CONVNEXT = [f"convnext_{size}" for size in ["atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge"]]
CONVNEXT += [f"convnextv2_{size}" for size in ["atto", "femto", "pico", "nano", "tiny", "base", "large", "huge"]]
DENSENET = ["densenet121", "densenet161", "densenet169", "densenet201"]
INVERTED = ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"]
INVERTED += [f"efficientnet_{size}" for size in ["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s", "v2_m", "v2_l"]]
TIMM_INVERTED = ["mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_b0", "mnasnet_100"]
TIMM_INVERTED += [f"tf_efficientnet_b{scale}" for scale in range(8)] + [f"tf_efficientnet_lite{scale}" for scale in range(5)]
TIMM_INVERTED += [f"tf_efficientnetv2_{size}" for size in "sml"]
# Layers of inverted residuals that are no modules, or that have an activation behind the norm in timm.
UNNAMED = re.compile(r"(^|\.)((hard_swish|relu|relu6|silu)(#\d+)?|bn\d)$|^blocks$|^conv_head$")
# A layer of torchvision's that timm calls otherwise.
RENAMED = {"relu": "act1"}
MNASNET = ["mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"]


def authors_swin(name):
    """How the files of Swin's authors call a tensor of timm's: the downsampling is at the end of a stage there."""
    name = re.sub(r"layers\.(\d)\.downsample", lambda stage: f"layers.{int(stage[1]) - 1}.downsample", name)
    return name.replace("head.fc.", "head.")


def older_densenet(name):
    """How torchvision's files of DenseNet call a tensor of its module."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name)


def cases():
    """Name, how to make the network, height, width, and how its file calls a tensor."""
    same = str
    for name in RESNET + VGG + DENSENET + MNASNET:
        renamed = older_densenet if name in DENSENET else same
        yield name, lambda name=name: torchvision.models.get_model(name, weights=None), 224, 224, renamed
    for name in ["resnet50", "vgg16", "vgg16_bn", "densenet121", "mnasnet1_0"]:
        yield name, lambda name=name: torchvision.models.get_model(name, weights=None), 160, 260, same
    for name in ["resnet50", "resnext50_32x4d", "wide_resnet50_2", "vgg16", "vgg16_bn"]:
        yield name, lambda name=name: timm.create_model(name), 224, 224, same
    for name in VIT + SWIN:
        side = int(name.rsplit("_", 1)[1])
        yield name, lambda name=name: timm.create_model(name), side, side, same
    for name in CONVNEXT:
        side = 384 if name == "convnextv2_huge" else 224
        yield name, lambda name=name: timm.create_model(name), side, side, same
    for name in INVERTED:
        yield name, lambda name=name: torchvision.models.get_model(name, weights=None), 224, 224, same
    for name in TIMM_INVERTED:
        yield name, lambda name=name: timm.create_model(name), 224, 224, same
    for name, height, width in [("mobilenetv3_large_100", 161, 260), ("tf_efficientnet_lite0", 161, 260)]:
        yield name, lambda name=name: timm.create_model(name), height, width, same
    for name, height, width in [("convnext_tiny", 160, 260), ("convnextv2_atto", 230, 100)]:
        yield name, lambda name=name: timm.create_model(name), height, width, same
    for name, height, width in [("vit_tiny_patch16_224", 160, 256), ("vit_tiny_patch16_384", 224, 352),
                                ("vit_base_patch32_224", 288, 192), ("deit_tiny_distilled_patch16_224", 96, 336)]:
        yield name, lambda name=name: timm.create_model(name, dynamic_img_size=True), height, width, same
    for no_embed_class in [False, True]:
        registers = dict(reg_tokens=4, no_embed_class=no_embed_class, init_values=0.5, dynamic_img_size=True)
        yield "vit_tiny_patch16_224", lambda o=registers: timm.create_model("vit_tiny_patch16_224", **o), 192, 224, same
    for name, height, width in [("swin_tiny_patch4_window7_224", 200, 264), ("swin_tiny_patch4_window7_224", 100, 148),
                                ("swin_base_patch4_window12_384", 284, 408)]:
        yield name, lambda name=name: timm.create_model(name, strict_img_size=False), height, width, authors_swin


@torch.no_grad()
def randomise(model, images, moved=True):
    """Weights that every tensor's place and layout shows in: no ones, no zeros, no two alike. The norms' statistics are those of the
    images, moved a little; in deep networks of gates that makes values grow from block to block until float32 decides the logits."""
    for name, parameter in model.named_parameters():
        if name.endswith(("bias_table", "pos_embed", "token", "gamma", "grn.weight")):
            parameter.normal_(0, 0.5)
        elif name.endswith((".bn3.weight", ".block.3.1.weight", ".conv.3.weight")):
            parameter.uniform_(0.1, 0.3)  # small at the end of an inverted residual: sums of many blocks stay of order 1
        elif parameter.ndim == 1 and name.endswith("weight"):
            parameter.uniform_(0.7, 1.3)
        elif parameter.ndim == 1:
            parameter.uniform_(-0.3, 0.3)
        else:
            gain = 1.0 if parameter.ndim == 2 else 2.0
            parameter.normal_(0, (gain / parameter[0].numel()) ** 0.5)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if not norms:
        return
    # Only the norms are in training: what drops blocks at random would measure another network.
    model.eval()
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    model(images)
    for norm in norms if moved else []:
        norm.running_mean += 0.2 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.3)


@torch.no_grad()
def activations(model, images, names):
    """The logits, and the output of each module of these names."""
    seen = {}
    modules = dict(model.named_modules())
    for name in names:
        if name == "logits":
            continue
        module = modules[name if name in modules else RENAMED[name]]
        if isinstance(module, timm.models.swin_transformer.WindowAttention):
            # Its output is in windows; the block puts them back into the picture.
            block = modules[name.removesuffix(".attn")]
            attention = block._attn
            block._attn = lambda x, name=name, attention=attention: seen.setdefault(name, attention(x))
            continue
        # A ReLU in place writes over the value that it gets.
        module.register_forward_hook(lambda _, __, value, name=name: seen.update({name: value.clone()}))
    for module in model.modules():
        if isinstance(module, timm.layers.Attention):
            module.fused_attn = False
    seen["logits"] = model.eval()(images)
    return seen


def map_form(name, value, shape):
    """`[batch, channels, positions]`, as the layouts of cam-core have it."""
    batch, channels, positions = shape
    if name.endswith("attn_drop"):
        return value[..., -positions:].reshape(shape)
    if value.ndim == 3:
        return value[:, -positions:].transpose(1, 2)
    if value.shape[1] == channels and value[0, 0].numel() == positions:
        return value.reshape(shape)
    return value.reshape(batch, positions, channels).transpose(1, 2)


def main():
    torch.set_num_threads(1)
    patterns = sys.argv[1:] or ["*"]
    subprocess.run(["cargo", "build", "--release", "--example", "activations"], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    target = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout)["target_directory"]
    program = os.path.join(target, "release", "examples", "activations")
    failed = False
    for number, (name, make, height, width, renamed) in enumerate(cases()):
        if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        torch.manual_seed(number)
        model = make()
        images = torch.randn(2 if height * width < 300 * 300 else 1, 3, height, width)
        randomise(model, images, moved=name not in INVERTED + TIMM_INVERTED)
        model.eval()
        with tempfile.TemporaryDirectory() as folder:
            # What tensors do not show is told by the name of the file.
            weights, pixels, out = (os.path.join(folder, f"{what}.safetensors") for what in [name, "images", "out"])
            save_file({renamed(key): value.contiguous() for key, value in model.state_dict().items()}, weights)
            save_file({"images": images}, pixels)
            subprocess.run([program, weights, pixels, out], check=True, stdout=subprocess.DEVNULL)
            ours = load_file(out)
            if name in INVERTED and hasattr(model, "features"):
                ours = {"logits": ours["logits"]}  # torchvision numbers the steps of its blocks
            ours = {layer: value for layer, value in ours.items() if not UNNAMED.search(layer)}
            theirs = activations(model, images, list(ours))
        worst, where = 0.0, ""
        for layer, value in ours.items():
            expected = theirs[layer] if layer == "logits" else map_form(layer, theirs[layer], value.shape)
            off = ((value - expected).abs().max() / expected.abs().max()).item()
            if not off <= worst:
                worst, where = off, layer
        fine = worst < LIMIT
        failed |= not fine
        library = type(model).__module__.split(".")[0]
        print(f"{library:11} {name:32} {height:3} x {width:3}  {len(ours):4} values, the farthest {worst:.1e} off, {where}"
              f"{'' if fine else '  TOO FAR'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
