#!/usr/bin/env python3
"""Writes families.safetensors and .json: the logits and the layers of a small network of every family.

    venv/bin/python generate_families.py         # seconds
"""


import numpy as np
import torch

import files
from hashed import places
from networks import FAMILIES, activations

PACKAGES = ["torch", "torchvision", "timm", "numpy", "safetensors"]
SAMPLES = 64


def summary(name, form):
    """Of a layer [batch, channels, places]: mean, standard deviation and largest magnitude, and 64 elements."""
    x = np.float64(form.numpy())
    sample = x.ravel()[places(name, SAMPLES, x.size)]
    return np.float32([x.mean(), x.std(), np.abs(x).max()]), np.float32(sample)


def generate():
    tensors, report = {}, dict(versions=files.versions(PACKAGES), networks={})
    for name, network in FAMILIES.items():
        pictures = network.pictures()
        layers, logits = activations(network.build(), network.layout, pictures)
        exact_layers, exact = activations(network.build().double(), network.layout, pictures.double())
        off = {layer: float((x - exact_layers[layer]).abs().max() / exact_layers[layer].abs().max())
               for layer, x in layers.items()}
        worst = max(off, key=off.get)
        summaries = [summary(layer, form) for layer, form in layers.items()]
        tensors[f"{name}/logits"] = logits.numpy()
        tensors[f"{name}/statistics"] = np.stack([s for s, _ in summaries])
        tensors[f"{name}/samples"] = np.stack([s for _, s in summaries])
        report["networks"][name] = dict(
            input=network.input, logits_float32_minus_float64=float((logits - exact).abs().max()),
            layers_float32_minus_float64={worst: off[worst]},
            layers=[dict(name=layer, shape=list(form.shape)) for layer, form in layers.items()])
        spread = tensors[f"{name}/statistics"][:, 1]
        print(f"{name}: {len(layers)} layers, standard deviations {spread.min():.2f} to {spread.max():.2f}, "
              f"float32 is {off[worst]:.1e} off in {worst}; logits {logits[0].numpy().round(2)}")
    files.write("families", tensors, report)


def check():
    """Computes everything again, by networks built again."""
    stored = files.read("families")
    if stored is None:
        return
    tensors, report = stored
    for name, facts in report["networks"].items():
        network = FAMILIES[name]
        layers, logits = activations(network.build(), network.layout, network.pictures())
        assert np.abs(tensors[f"{name}/logits"] - logits.numpy()).max() < 1e-4, name
        assert [layer["name"] for layer in facts["layers"]] == list(layers), name
        for row, (layer, form) in enumerate(layers.items()):
            statistics, sample = summary(layer, form)
            full = statistics[2]
            assert facts["layers"][row]["shape"] == list(form.shape)
            assert np.abs(tensors[f"{name}/statistics"][row] - statistics).max() < 1e-5 * full, (name, layer)
            assert np.abs(tensors[f"{name}/samples"][row] - sample).max() < 1e-5 * full, (name, layer)
    print(f"families: {len(report['networks'])} networks, {sum(len(n['layers']) for n in report['networks'].values())} layers, "
          f"{files.size('families')} bytes")


if __name__ == "__main__":
    files.main(generate, PACKAGES, __doc__)
