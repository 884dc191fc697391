#!/usr/bin/env python3
"""Writes the golden files beside this script, from the Python reference `grad-cam` (pytorch-grad-cam).

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python generate.py weights          # weights/: small files for the loader tests          seconds
    venv/bin/python generate.py resnet_tiny      # maps of a tiny network, for quick tests              seconds
    venv/bin/python generate.py resnet18         # maps of ResNet-18                                    ~15 minutes
    venv/bin/python generate.py resnet50         # maps of ResNet-50                                    ~1-2 hours
    venv/bin/python generate.py check            # reloads everything and checks it independently       a minute
    venv/bin/python generate.py reference        # prints the reference values of README.md

Only the tests read the files; nobody needs Python to build or test the library. No trained weight is involved: every
parameter and every pixel is a hash of its name and index (see README.md), so that Rust makes the same ones exactly.
"""

import argparse
import json
import math
import os
import time

os.environ["TQDM_DISABLE"] = "1"

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file as load_torch_file
from safetensors.torch import save_file as save_torch_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

import files
import generate_families
import generate_methods
import pytorch_grad_cam
from files import HERE, finish, quantise
from hashed import fill, fnv1a64, hashes, images
from networks import NarrowResNet, tiny, tiny_resnext
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

PACKAGES = ["torch", "torchvision", "grad-cam", "numpy", "opencv-python-headless", "safetensors"]

# ---------------------------------------------------------------------------------------------------------------------
# The networks
# ---------------------------------------------------------------------------------------------------------------------

ARCHITECTURES = {
    "tiny": dict(block="BasicBlock", layers=[1, 1, 1, 1], widths=[8, 16, 32, 64], stem_width=8, num_classes=10, groups=1,
                 width_per_group=64),
    "tiny_resnext": dict(block="Bottleneck", layers=[2, 1, 1, 1], widths=[8, 16, 32, 64], stem_width=8, expansion=4,
                         num_classes=10, groups=4, width_per_group=8,
                         inner_widths=[4, 8, 16, 32], inner_width_formula="int(width * width_per_group / 64) * groups"),
}

FAST = ["gradcam", "hirescam", "layercam", "eigencam"]
SLOW = ["ablationcam", "scorecam", "scorecam_half_pixel"]

# A case is a batch of input pictures; `calls` says which methods run for which target. `full` keeps one map whole.
NETWORKS = {
    "resnet_tiny": dict(
        build=tiny, layers=["layer4.0", "layer2.0"], skip_classes=1, float64_slow=["small"],
        cases={"small": dict(input=dict(name="input", batch=2, height=96, width=128, block=16), step=4,
                             calls={"top": FAST + SLOW, "other": FAST + SLOW})},
        full=[]),
    "resnet18": dict(
        build=lambda: fill(torchvision.models.resnet18(weights=None)), layers=["layer4.1", "layer2.1"], skip_classes=10,
        float64_slow=["wide"],
        cases={"wide": dict(input=dict(name="wide", batch=1, height=192, width=256, block=32), step=4,
                            calls={"top": FAST + SLOW}),
               "square": dict(input=dict(name="input", batch=2, height=224, width=224, block=32), step=4,
                              calls={"top": FAST + SLOW, "other": FAST + SLOW})},
        full=["square/layer4.1/gradcam/top", "wide/layer2.1/layercam/top"]),
    "resnet50": dict(
        build=lambda: fill(torchvision.models.resnet50(weights=None)), layers=["layer4.2", "layer2.3"], skip_classes=10,
        float64_slow=[],
        cases={"square": dict(input=dict(name="picture10", batch=1, height=224, width=224, block=32), step=4,
                              calls={"top": FAST + SLOW, "other": FAST})},
        full=[]),
}

METHODS = {
    "gradcam": pytorch_grad_cam.GradCAM,
    "hirescam": pytorch_grad_cam.HiResCAM,
    "layercam": pytorch_grad_cam.LayerCAM,
    "eigencam": pytorch_grad_cam.EigenCAM,
    "ablationcam": pytorch_grad_cam.AblationCAM,
    "scorecam": pytorch_grad_cam.ScoreCAM,
    "scorecam_half_pixel": pytorch_grad_cam.ScoreCAM,
}


# ---------------------------------------------------------------------------------------------------------------------
# Running the reference
# ---------------------------------------------------------------------------------------------------------------------

def recording(method):
    """The method, keeping also what it computes on the way: the map before rectification, and the channel weights."""

    class Recording(method):
        raw = None
        weights = None

        def get_cam_image(self, *args, **kwargs):
            self.raw = super().get_cam_image(*args, **kwargs)
            return self.raw

        def get_cam_weights(self, *args, **kwargs):
            self.weights = super().get_cam_weights(*args, **kwargs)
            return self.weights

    return Recording


def half_pixel_upsampling(size):
    """What `scorecam_half_pixel` puts in the place of torch.nn.UpsamplingBilinear2d (which is align_corners=True)."""
    return nn.Upsample(size=size, mode="bilinear", align_corners=False)


def explain(model, layer, method, pictures, classes):
    """One call of the reference. Returns (map [B,H,W], raw [B,h,w], weights [B,C] or None, seconds of processor time)."""
    original = nn.UpsamplingBilinear2d
    if method == "scorecam_half_pixel":
        torch.nn.UpsamplingBilinear2d = half_pixel_upsampling
    try:
        with recording(METHODS[method])(model=model, target_layers=[model.get_submodule(layer)]) as cam:
            start = time.process_time()
            result = cam(input_tensor=pictures, targets=[ClassifierOutputTarget(c) for c in classes])
            return result, cam.raw, cam.weights, time.process_time() - start
    finally:
        torch.nn.UpsamplingBilinear2d = original


def activation(model, layer, pictures):
    """The layer's output, as numpy."""
    held = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: held.append(output.detach().clone()))
    with torch.no_grad():
        model(pictures)
    handle.remove()
    return held[0].numpy()


def positive(raw):
    """The share of positive positions of each raw map."""
    return [round(float((m > 0).mean()), 4) for m in raw]


def choose_other(model, layers, pictures, logits, skip):
    """For every image a second class, whose Grad-CAM has both signs: the class with the highest logit, after the first
    `skip`, whose logit is at least 0.4 and whose raw Grad-CAM is positive at 30..70 % of the positions of the last layer
    and at 20..98 % of the inner one. (A positive logit, because the reference's Ablation-CAM divides by it.)"""
    chosen = []
    features = activation(model, layers[0], pictures)
    for b in range(len(pictures)):
        # Before global pooling and a linear head Grad-CAM is CAM: the head's weights times the activation (quicker, for all classes)
        last = (np.tensordot(model.fc.weight.detach().numpy(), features[b], 1) > 0).mean((1, 2))
        for c in np.argsort(-logits[b])[skip:].tolist():
            assert logits[b, c] >= 0.4, f"image {b}: no class with a positive logit has a Grad-CAM of both signs"
            if 0.3 <= last[c] <= 0.7:
                inner = positive(explain(model, layers[1], "gradcam", pictures[b:b + 1], [c])[1])[0]
                if 0.2 <= inner <= 0.98:
                    chosen.append(c)
                    break
    return chosen


def generate(network, resume):
    """All cases of a network. `resume`: slow calls that the files already have are taken from there."""
    spec = NETWORKS[network]
    old_tensors, old_cases = {}, {}
    if resume and (stored := files.read(network)):
        old_tensors, old_cases = stored[0], stored[1]["cases"]
    model, double = spec["build"](), spec["build"]().double()
    tensors = {}
    report = dict(network=network, versions=files.versions(PACKAGES), layers=spec["layers"],
                  map_quantisation="value = stored / 65535", cases={})

    def write():
        """Written after every call, so that an interrupted run leaves what it has."""
        files.write(network, tensors, report)

    for case, what in spec["cases"].items():
        pictures = images(**what["input"])
        with torch.no_grad():
            logits = model(pictures).numpy()
            double_logits = double(pictures.double()).numpy()
        top = logits.argmax(1).tolist()
        classes = dict(top=top)
        if "other" in what["calls"]:
            classes["other"] = choose_other(model, spec["layers"], pictures, logits, spec["skip_classes"])
        order = np.argsort(-logits, axis=1)
        gap = [float(logits[b, order[b, 0]] - logits[b, order[b, 1]]) for b in range(len(pictures))]
        chosen_logits = {t: [float(logits[b, c]) for b, c in enumerate(cs)] for t, cs in classes.items()}
        assert min(gap) > 0.02, f"the top class is nearly a tie: {gap}"
        assert all(value >= 0.4 for values in chosen_logits.values() for value in values)
        tensors[f"{case}/logits"] = logits
        here = report["cases"][case] = dict(
            input=what["input"], map_step=what["step"], classes=classes, class_logits=chosen_logits,
            top5=[[[int(c), float(logits[b, c])] for c in order[b, :5]] for b in range(len(pictures))],
            logits_float32_minus_float64=float(np.abs(logits - double_logits).max()), layers={}, calls={})
        print(f"{network} {case}: classes {classes} logits {chosen_logits} gap {gap}", flush=True)

        for layer in spec["layers"]:
            a = activation(model, layer, pictures)
            tensors[f"{case}/{layer}/activation_mean"] = a.mean((2, 3))
            # The reference's ablation value is 0 exactly when the minimum over the image's activation is 0 (no drift).
            minimum = [float(x.min()) for x in a]
            assert minimum == [0.0] * len(a), f"{layer}: Ablation-CAM would not write zeros: {minimum}"
            centered = [(x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(1, keepdims=True)) for x in a]
            singular = [np.linalg.svd(np.float64(x), compute_uv=False)[:2] for x in centered]
            here["layers"][layer] = dict(shape=list(a.shape), activation_min=minimum,
                                         zero_share=[round(float((x == 0).mean()), 4) for x in a],
                                         second_over_first_singular_value=[round(float(s[1] / s[0]), 4) for s in singular])

        # the quick calls of all layers first
        calls = [(layer, method, target) for methods in (FAST, SLOW) for layer in reversed(spec["layers"])
                 for target, wanted in what["calls"].items() for method in methods if method in wanted]
        for layer, method, target in calls:
            if method == "eigencam" and target != "top":
                continue  # it has no target
            key = f"{case}/{layer}/{method}" + ("" if method == "eigencam" else f"/{target}")
            old_calls = old_cases.get(case, {}).get("calls", {})
            # (Score-CAM's two are kept together: the second notes its difference from the first.)
            kept = old_calls.get(key) if key.replace("scorecam/", "scorecam_half_pixel/") in old_calls else None
            if method in SLOW and kept and old_cases[case]["classes"] == classes:
                if case not in spec["float64_slow"] or "map_float32_minus_float64" in kept:
                    here["calls"][key] = kept
                    tensors.update((name, t) for name, t in old_tensors.items() if name.startswith(f"{key}/"))
                    print(f"{key}: kept", flush=True)
                    write()
                    continue
            maps, raw, weights, seconds = explain(model, layer, method, pictures, classes[target])
            assert np.isfinite(maps).all() and np.isfinite(raw).all()
            size = (pictures.shape[3], pictures.shape[2])
            step = what["step"]
            note = here["calls"][key] = dict(positive_share=positive(raw))
            tensors[f"{key}/raw"] = np.float32(raw)
            tensors[f"{key}/map"] = quantise(maps[:, ::step, ::step])
            if weights is not None:
                tensors[f"{key}/weights"] = np.float32(weights)
            if key in spec["full"]:
                tensors[f"{key}/map_full"] = quantise(maps[:1])
            if method == "eigencam":  # the same with the other sign, by the reference's own pipeline
                negated = scale_cam_image(scale_cam_image(np.maximum(-raw, 0), size))
                tensors[f"{key}/map_negated"] = quantise(negated[:, ::step, ::step])
            if method == "scorecam":
                unpatched = maps
            if method == "scorecam_half_pixel":
                note["largest_difference_from_scorecam"] = float(np.abs(maps - unpatched).max())
            for share in note["positive_share"]:
                assert share > 0.02, f"{key} is nearly empty: {note}"
            print(f"{key}: {seconds:.2f} s, positive {note['positive_share']}", flush=True)
            write()
            # How far the rounding of float32 moves this very computation: the same call in float64.
            if method in FAST or case in spec["float64_slow"]:
                exact, exact_raw, _, seconds = explain(double, layer, method, pictures.double(), classes[target])
                sign = np.ones((len(raw), 1, 1))
                if method == "eigencam":
                    sign = np.sign((raw * exact_raw).sum((1, 2)))[:, None, None]
                    exact = scale_cam_image(scale_cam_image(np.maximum(sign * exact_raw, 0), size))
                note["map_float32_minus_float64"] = float(np.abs(maps - exact).max())
                note["map_float32_minus_float64_share_above_1e-4"] = round(float((np.abs(maps - exact) > 1e-4).mean()), 5)
                note["raw_float32_minus_float64"] = float(np.abs(raw - sign * exact_raw).max() / np.abs(raw).max())
                print(f"    float64 {seconds:.2f} s: map differs {note['map_float32_minus_float64']:.1e} "
                      f"(above 1e-4: {note['map_float32_minus_float64_share_above_1e-4']:.2%}), "
                      f"raw {note['raw_float32_minus_float64']:.1e} of its maximum", flush=True)
            write()


# ---------------------------------------------------------------------------------------------------------------------
# The weight files
# ---------------------------------------------------------------------------------------------------------------------

TINY_INPUT = dict(name="input", batch=1, height=64, width=64, block=16)


def generate_weights():
    folder = HERE / "weights"
    folder.mkdir(exist_ok=True)
    pictures = images(**TINY_INPUT)

    def logits(model):
        with torch.no_grad():
            return [float(v) for v in model(pictures)[0]]

    plain = tiny().state_dict()
    torch.save(plain, folder / "tiny.pth")
    # As files from before PyTorch 0.4.1: the old container, and no num_batches_tracked.
    old = type(plain)((k, v) for k, v in plain.items() if not k.endswith("num_batches_tracked"))
    torch.save(old, folder / "tiny_legacy.pth", _use_new_zipfile_serialization=False)
    # As torchvision's and many others' training scripts: DataParallel's prefix, inside a checkpoint.
    torch.save({"state_dict": type(plain)((f"module.{k}", v) for k, v in plain.items()), "epoch": 3}, folder / "tiny_wrapped.pth")
    save_torch_file(dict(plain), folder / "tiny.safetensors", metadata={"format": "pt"})
    half = {k: v.half() if v.is_floating_point() else v for k, v in plain.items()}
    save_torch_file(half, folder / "tiny_f16.safetensors", metadata={"format": "pt"})
    resnext = tiny_resnext()
    save_torch_file(dict(resnext.state_dict()), folder / "tiny_resnext.safetensors", metadata={"format": "pt"})

    rounded = tiny()
    rounded.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in half.items()})
    exact, halved = logits(tiny()), logits(rounded)
    written = {name: dict(architecture="tiny", logits=exact)
               for name in ["tiny.pth", "tiny_legacy.pth", "tiny_wrapped.pth", "tiny.safetensors"]}
    written["tiny_f16.safetensors"] = dict(architecture="tiny", logits=halved, note="weights rounded to f16, computed in f32")
    written["tiny_resnext.safetensors"] = dict(architecture="tiny_resnext", logits=logits(resnext))
    report = dict(versions=files.versions(PACKAGES), input=TINY_INPUT, architectures=ARCHITECTURES, files=written)
    (folder / "tiny.json").write_text(json.dumps(report, indent=1) + "\n")
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        print(f"{path.name}: {path.stat().st_size} bytes")


# ---------------------------------------------------------------------------------------------------------------------
# Checking what was written
# ---------------------------------------------------------------------------------------------------------------------

def check():
    """Reloads every file; computes logits again, and each map from its raw map by code of our own."""
    for network, spec in NETWORKS.items():
        stored = files.read(network)
        if stored is None:
            continue
        tensors, report = stored
        model, used, worst = spec["build"](), set(), 0.0
        for case, here in report["cases"].items():
            pictures = images(**here["input"])
            height, width = pictures.shape[2:]
            with torch.no_grad():
                logits = model(pictures).numpy()
            used.add(f"{case}/logits")
            assert np.abs(logits - tensors[f"{case}/logits"]).max() < 1e-4
            for layer, facts in here["layers"].items():
                used.add(f"{case}/{layer}/activation_mean")
                a = activation(model, layer, pictures)
                assert list(a.shape) == facts["shape"]
                assert np.abs(a.mean((2, 3)) - tensors[f"{case}/{layer}/activation_mean"]).max() < 1e-5
            for key in here["calls"]:
                raw, step = tensors[f"{key}/raw"], here["map_step"]
                layer, method = key.split("/")[1:3]
                for name in ["raw", "map", "map_negated", "map_full", "weights"]:
                    if f"{key}/{name}" in tensors:
                        used.add(f"{key}/{name}")
                if f"{key}/weights" in tensors:  # raw = sum of weight * activation
                    a = activation(model, layer, pictures)
                    again = (np.float64(tensors[f"{key}/weights"])[:, :, None, None] * a).sum(1)
                    assert np.abs(again - raw).max() <= 2e-5 * np.abs(raw).max(), key
                for name, sign in [("map", 1), ("map_negated", -1), ("map_full", 1)]:
                    if f"{key}/{name}" not in tensors:
                        continue
                    final = tensors[f"{key}/{name}"] / 65535.0
                    every = 1 if name == "map_full" else step
                    for b in range(len(final)):
                        m = finish(sign * raw[b], height, width)
                        difference = np.abs(m[::every, ::every] - final[b]).max()
                        assert difference < 3e-5, (key, name, difference)
                        worst = max(worst, difference)
        assert used == set(tensors), used ^ set(tensors)
        expected = sum(len(methods) * 2 - (2 if t != "top" else 0) for w in spec["cases"].values() for t, methods in w["calls"].items())
        have = sum(len(here["calls"]) for here in report["cases"].values())
        print(f"{network}: {have} of {expected} calls, {len(tensors)} tensors, {files.size(network)} bytes; maps agree with their raw maps to {worst:.1e}")
    report = json.loads((HERE / "weights" / "tiny.json").read_text())
    pictures = images(**report["input"])
    for name, facts in report["files"].items():
        path = HERE / "weights" / name
        state = torch.load(path, weights_only=True) if name.endswith(".pth") else load_torch_file(path)
        state = {k.removeprefix("module."): v.float() for k, v in state.get("state_dict", state).items()}
        model = NarrowResNet(BasicBlock, [1, 1, 1, 1], 8, 10) if facts["architecture"] == "tiny" else \
            NarrowResNet(Bottleneck, [2, 1, 1, 1], 8, 10, 4, 8)
        missing = model.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys and all(k.endswith("num_batches_tracked") for k in missing.missing_keys)
        with torch.no_grad():
            difference = (model.eval()(pictures)[0] - torch.tensor(facts["logits"])).abs().max()
        assert difference < 1e-5, (name, difference)
        print(f"{name}: {path.stat().st_size} bytes, {len(state)} tensors, logits agree to {difference:.1e}")


def reference():
    """The values in README.md, for whoever writes the formula again."""
    def show(what, name, index, low, high):
        h = int(hashes(name, index + 1)[index])
        value = np.float32(low + (high - low) * ((h >> 40) / 2.0**24))
        print(f"| `{name}` | {index} | {what} | `0x{fnv1a64(name):016x}` | `0x{h:016x}` | {h >> 40} | `{float(value):.9g}`"
              f" | `0x{value.view(np.uint32):08x}` |")
    b = math.sqrt(6.0 / 147.0)
    show("±sqrt(6/147)", "conv1.weight", 0, -b, b)
    show("±sqrt(6/147)", "conv1.weight", 9407, -b, b)
    show("[0.1, 0.4)", "layer1.0.bn2.weight", 3, 0.1, 0.4)
    show("[0.5, 1.5)", "layer4.1.bn2.running_var", 511, 0.5, 1.5)
    b = 2.0 * math.sqrt(6.0 / 512.0)
    show("±2 sqrt(6/512)", "fc.weight", 511999, -b, b)
    x = images("input", 2, 224, 224, 32)
    for at in [(0, 0, 0, 0), (1, 2, 223, 223), (0, 1, 100, 31)]:
        v = x[at].numpy()
        print(f"images('input', 2, 224, 224, 32){list(at)} = {float(v):.9g} 0x{v.view(np.uint32):08x}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["weights", *NETWORKS, "check", "reference"])
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1: the files were made so)")
    parser.add_argument("--any-version", action="store_true", help="do not insist on the versions of requirements.txt")
    parser.add_argument("--resume", action="store_true", help="keep the slow calls that the files already have")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if not arguments.any_version:
        files.insist(PACKAGES)
    if arguments.what == "weights":
        generate_weights()
    elif arguments.what == "check":
        check()
        generate_families.check()
        generate_methods.check()
    elif arguments.what == "reference":
        reference()
    else:
        generate(arguments.what, arguments.resume)


if __name__ == "__main__":
    main()
