#!/usr/bin/env python3
"""Writes methods_{network}.safetensors and .json: the maps of every method on small networks of every layout.

    venv/bin/python generate_methods.py          # a minute or two

What each call is stands in methods.py.
"""

import argparse
import contextlib
import dataclasses
import io
import os

os.environ["TQDM_DISABLE"] = "1"

import numpy as np
import torch
from pytorch_grad_cam import GradCAM

import files
import methods
from methods import ANY, ATTENTION, CONVOLUTIONS, SESS_MAX, SESS_MEAN, WINDOWS, Scene, activation_and_gradient
from networks import FAMILIES, Network, picture

PACKAGES = ["torch", "torchvision", "timm", "grad-cam", "torchcam", "captum", "numpy", "opencv-python-headless", "scikit-learn", "safetensors"]
STEP = 5  # of the final maps every 5th row and column is kept: of 8 pixels for one place of a layer, all phases
ALREADY = {"gradcam", "hirescam", "layercam", "eigencam", "ablationcam", "scorecam", "scorecam_half_pixel"}  # see generate.py


@dataclasses.dataclass(frozen=True)
class Subject:
    network: Network
    layers: list  # the inner one first: pytorch-grad-cam takes them in the order they run
    methods: list


def on(family, input):
    return dataclasses.replace(FAMILIES[family], input=input)


SUBJECTS = {
    "resnet_tiny": Subject(on("resnet_tiny", picture(96, 128, 16)), ["layer2.0", "layer4.0"],
                           [m for m in ANY if m.name not in ALREADY] + CONVOLUTIONS + WINDOWS),
    "vgg_tiny": Subject(FAMILIES["vgg_tiny"], ["features.4", "features.9"],
                        [m for m in ANY + CONVOLUTIONS if m.name in ("gradcam", "guided_backprop", "guided_gradcam")]),
    "vit_tiny": Subject(FAMILIES["vit_tiny"], ["blocks.1.norm1", "blocks.2.norm1"], ANY + ATTENTION),
    "swin_tiny": Subject(on("swin_tiny", picture(64, 64, 16, name="picture3")),
                         ["layers.0.blocks.1.norm1", "layers.1.blocks.1.norm1"], ANY + WINDOWS),
}


def positive(raw):
    """The share of positive positions of each raw map."""
    return [round(float((m > 0).mean()), 3) for m in raw]


def choose_classes(scene, layers):
    """For every image the class with the highest logit, and the next one with a logit of at least 0.4 whose Grad-CAM is positive at 15 to
    85 % of the places of the last layer and 5 to 98 % of the inner one. (A positive logit, because the reference's Ablation-CAM
    divides by it.)"""
    logits = scene.logits().numpy()
    order = np.argsort(-logits, axis=1)
    top = order[:, 0].tolist()
    call = methods.reference(GradCAM)
    inner, last = ([positive(call(scene, [layer], [c] * len(top))["raw"]) for c in range(logits.shape[1])] for layer in layers)
    other = []
    for b, row in enumerate(order):
        fits = [int(c) for c in row[1:]
                if logits[b, c] >= 0.4 and 0.15 <= last[c][b] <= 0.85 and 0.05 <= inner[c][b] <= 0.98]
        assert fits, f"image {b}: no class with a positive logit has a Grad-CAM of both signs: {logits[b]}, {last}, {inner}"
        other.append(fits[0])
    assert all(logits[b, c] >= 0.4 for b, c in enumerate(top))
    return dict(top=top, other=other)


def calls(subject, classes):
    """(key, method, layers, classes of the images) of every call of a subject."""
    for method in subject.methods:
        places = {"each": [[layer] for layer in subject.layers], "last": [subject.layers[-1:]], "both": [subject.layers],
                  "network": [[]]}[method.layers]
        for layers in places:
            where = layers[0] if len(layers) == 1 else method.layers
            for target, wanted in classes.items() if method.classes else [(None, classes["top"])]:
                yield "/".join(filter(None, [where, method.name, target])), method, layers, wanted


def compare(found, exact, method, size):
    """How far float32 is from float64, relative to the largest value; the sign of a component made the same first."""
    note = {}
    raw = exact.get("raw")
    if method.signless:
        sign = np.sign((found["raw"] * raw).sum((1, 2), keepdims=True))
        raw = sign * raw
        exact = dict(exact, raw=raw, map=np.stack([files.finish(m, *size) for m in raw]))
    for name, value in found.items():
        if value is not None and name in ("raw", "map", "gradient", "raw_full"):
            full = np.abs(value).max() or 1.0  # a map with no positive place is zero
            note[f"{name}_float32_minus_float64"] = float(np.abs(value - exact[name]).max() / full)
    return note


def generate(name, subject):
    scene, double = Scene(subject.network), Scene(subject.network, double=True)
    size = tuple(scene.pictures.shape[2:])
    logits = scene.logits().numpy()
    classes = choose_classes(scene, subject.layers)
    gap = np.sort(logits, axis=1)
    assert (gap[:, -1] - gap[:, -2]).min() > 0.02, f"the top class is nearly a tie: {logits}"
    print(f"{name}: classes {classes}, logits {[[round(float(logits[b, c]), 2) for b, c in enumerate(cs)] for cs in classes.values()]}")
    tensors = {"logits": logits}
    report = dict(network=name, versions=files.versions(PACKAGES), input=subject.network.input, layers=subject.layers,
                  classes=classes, map_step=STEP, map_quantisation="value = stored / 65535", sess=SESS_MEAN, sess_max=SESS_MAX, calls={})
    for key, method, layers, wanted in calls(subject, classes):
        with contextlib.redirect_stdout(io.StringIO()):  # warnings of the references
            found, exact = (method.call(s, layers, wanted) for s in (scene, double))
        note = compare(found, exact, method, size)
        for part, value in found.items():
            if value is None:
                continue
            assert np.isfinite(value).all(), key
            match part:
                case "unpatched":
                    note["largest_difference_from_unpatched"] = float(np.abs(value - found["map"]).max())
                case "map":
                    tensors[f"{key}/map"] = files.quantise(np.minimum(value, 1.0)[:, ::STEP, ::STEP])
                case "raw_full":
                    tensors[f"{key}/raw_full"] = np.float32(value[:, ::STEP, ::STEP])
                case "gradient":
                    tensors[f"{key}/gradient"] = np.float32(value[:, :, ::STEP, ::STEP])
                case _:
                    tensors[f"{key}/{part}"] = np.float32(value)
        if method.signless:
            note["sign"] = "arbitrary"
            negated = np.stack([files.finish(-m, *size) for m in found["raw"]])
            tensors[f"{key}/map_negated"] = files.quantise(negated[:, ::STEP, ::STEP])
        if "raw" in found:
            note["positive_share"] = positive(found["raw"])
        report["calls"][key] = note
        print(f"  {key}: " + ", ".join(f"{k.replace('_float32_minus_float64', '')} {v:.0e}" if isinstance(v, float) else f"{v}"
                                       for k, v in note.items()), flush=True)
    files.write(f"methods_{name}", tensors, report)
    print(f"{name}: {len(report['calls'])} calls, {files.size(f'methods_{name}')} bytes")


# ---------------------------------------------------------------------------------------------------------------------
# Checking what was written
# ---------------------------------------------------------------------------------------------------------------------

def component(m):
    """The first principal component of [C, h, w] over its places, by the eigenvectors of its covariance."""
    x = m.reshape(len(m), -1)
    x = x - x.mean(1, keepdims=True)
    return (np.linalg.eigh(x @ x.T)[1][:, -1] @ x).reshape(m.shape[1:])


def relu(x):
    return np.maximum(x, 0)


def plus_plus(a, g):
    return (relu(g) * g**2 / (2 * g**2 + a.sum((1, 2), keepdims=True) * g**3 + 1e-6)).sum((1, 2), keepdims=True) * a


# The raw map from the activation and the gradient [C, h, w] of one image, written again from the papers.
FORMULAS = {
    "gradcam": lambda a, g: (g.mean((1, 2), keepdims=True) * a).sum(0),
    "hirescam": lambda a, g: (g * a).sum(0),
    "gradcamelementwise": lambda a, g: relu(g * a).sum(0),
    "gradcam++.epsilon": lambda a, g: plus_plus(a, g).sum(0),
    "xgradcam": lambda a, g: ((g * a).sum((1, 2), keepdims=True) / (a.sum((1, 2), keepdims=True) + 1e-7) * a).sum(0),
    "layercam": lambda a, g: (relu(g) * a).sum(0),
    "eigencam": lambda a, g: component(a),
    "eigengradcam": lambda a, g: component(a * g),
    "segeigencam": lambda a, g: component(a * np.abs(g)),
    "gradcam.eigen_smooth": lambda a, g: component(g.mean((1, 2), keepdims=True) * a),
    "gradcam++.eigen_smooth": lambda a, g: component(plus_plus(a, g)),
}


def check():
    """Reloads every file; computes the logits again, raw maps by the formulas above, and final maps from raw ones."""
    for name, subject in SUBJECTS.items():
        stored = files.read(f"methods_{name}")
        if stored is None:
            continue
        tensors, report = stored
        scene, used, formulas, worst = Scene(subject.network, double=True), {"logits"}, 0, {"raw": 0.0, "map": 0.0}
        assert np.abs(scene.logits().numpy() - tensors["logits"]).max() < 1e-4
        size = tuple(scene.pictures.shape[2:])
        wanted = {key: rest for key, *rest in calls(subject, report["classes"])}
        assert list(wanted) == list(report["calls"]), f"{name}: other calls"
        for key, (method, layers, classes) in wanted.items():
            used |= {tensor for tensor in tensors if tensor.startswith(f"{key}/") and tensor.count("/") == key.count("/") + 1}
            raw = tensors.get(f"{key}/raw")
            if raw is None:
                continue
            formula = FORMULAS.get(method.name)
            if formula or f"{key}/weights" in tensors:
                a, g = activation_and_gradient(scene, layers[0], classes)
            if formula:
                again = np.stack([formula(*pair) for pair in zip(a, g)])
                if method.signless or method.name == "segeigencam":
                    again *= np.sign((again * raw).sum((1, 2), keepdims=True))
                off = np.abs(again - raw).max() / np.abs(raw).max()
                assert off < max(1e-5, 5 * report["calls"][key]["raw_float32_minus_float64"]), (key, off)
                worst["raw"], formulas = max(worst["raw"], off), formulas + 1
            if f"{key}/weights" in tensors:  # raw = sum of weight * activation
                again = (np.float64(tensors[f"{key}/weights"])[:, :, None, None] * a).sum(1)
                assert np.abs(again - raw).max() <= 2e-5 * np.abs(raw).max(), key
            for part, sign in [("map", 1), ("map_negated", -1)]:
                if f"{key}/{part}" in tensors:
                    again = np.stack([files.finish(sign * m, *size) for m in raw])[:, ::STEP, ::STEP]
                    off = np.abs(again - tensors[f"{key}/{part}"] / 65535.0).max()
                    assert off < 3e-5, (key, part, off)
                    worst["map"] = max(worst["map"], off)
        assert used == set(tensors), used ^ set(tensors)
        print(f"methods_{name}: {len(wanted)} calls, {len(tensors)} tensors, {files.size(f'methods_{name}')} bytes; {formulas} raw maps "
              f"agree with their formulas to {worst['raw']:.1e}, final maps with their raw maps to {worst['map']:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=list(SUBJECTS), help="the network (all of them, where none is named)")
    parser.add_argument("--any-version", action="store_true", help="do not insist on the versions of requirements.txt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.any_version:
        files.insist(PACKAGES)
    for name in [arguments.what] if arguments.what else SUBJECTS:
        generate(name, SUBJECTS[name])


if __name__ == "__main__":
    main()
