"""Numbers from names: every parameter and every pixel of the golden files is a hash of its name and place (see README.md)."""

import math

import numpy as np
import torch


def fnv1a64(text: str) -> int:
    """FNV-1a, 64 bits, of the UTF-8 bytes."""
    h = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def hashes(name: str, count: int) -> np.ndarray:
    """splitmix64's finaliser of fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15, for i = 0 .. count-1 (uint64, wrapping)."""
    u = np.uint64
    with np.errstate(over="ignore"):
        z = u(fnv1a64(name)) + np.arange(1, count + 1, dtype=u) * u(0x9E3779B97F4A7C15)
        z = (z ^ (z >> u(30))) * u(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> u(27))) * u(0x94D049BB133111EB)
        return z ^ (z >> u(31))


def uniform(name: str, shape, low: float, high: float) -> torch.Tensor:
    """low + (high - low) * u in float64, rounded once to float32; u = (hash >> 40) / 2^24."""
    u = (hashes(name, math.prod(shape)) >> np.uint64(40)).astype(np.float64) / 2.0**24
    return torch.from_numpy((low + (high - low) * u).astype(np.float32).reshape(tuple(shape)))


def places(name: str, count: int, size: int) -> np.ndarray:
    """`count` places of a tensor of `size` elements, chosen by the hash of `sample.` and its name."""
    return (hashes(f"sample.{name}", count) % np.uint64(size)).astype(np.int64)


# The last linear layer, whatever the family calls it: wider, so that the logits of the classes lie apart.
HEADS = {"fc", "head", "head_dist", "head.fc", "classifier", "classifier.1", "classifier.6"}


def parameter_range(name: str, shapes: dict) -> tuple[float, float]:
    """The range [low, high) of a parameter, from its checkpoint name. `shapes`: of all tensors of the network."""
    shape = shapes[name]
    module, _, leaf = name.rpartition(".")
    if leaf == "relative_position_bias_table":
        return -1.0, 1.0
    if len(shape) == 3:  # class, distillation and register tokens, positions
        return -0.5, 0.5
    if len(shape) > 1:  # fan_in = input channels of one group * kernel height * kernel width
        bound = (2.0 if module in HEADS else 1.0) * math.sqrt(6.0 / math.prod(shape[1:]))
        return -bound, bound
    if leaf == "running_mean":
        return -0.2, 0.2
    if leaf == "running_var":
        return 0.5, 1.5
    is_norm = len(shapes[f"{module}.weight"]) == 1
    if leaf == "bias":
        return (-0.5, 0.2) if is_norm else (-0.1, 0.1)
    assert leaf == "weight" and is_norm, name
    return (0.1, 0.4) if ends_its_block(module, shapes) else (0.8, 1.2)


def ends_its_block(module: str, shapes: dict) -> bool:
    """Whether a batch norm is the last of a residual block of ResNet or MNASNet: small there, so that sums stay of order 1."""
    block, _, last = module.rpartition(".")
    if last == "bn2":
        return f"{block}.bn3.weight" not in shapes
    return last == "bn3" or module.endswith(".layers.7")


def fill(model: torch.nn.Module) -> torch.nn.Module:
    """Gives every parameter and running statistic its hashed value, and sets the model to inference."""
    state = model.state_dict()  # shares its storage with the model
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(uniform(name, value.shape, *parameter_range(name, shapes)))
        else:
            assert name.endswith("num_batches_tracked") and value == 0, name
    return model.eval()


def images(name: str, batch: int, height: int, width: int, block: int) -> torch.Tensor:
    """Input pictures [batch, 3, height, width] in [-2.5, 2.5): tint + patchwork + grain, added in float32 in this order."""
    tint = uniform(f"{name}.tint", (batch, 3, 1, 1), -0.75, 0.75)
    patch = uniform(f"{name}.patch", (batch, 3, height // block, width // block), -1.5, 1.5)
    grain = uniform(f"{name}.grain", (batch, 3, height, width), -0.25, 0.25)
    return tint + patch.repeat_interleave(block, 2).repeat_interleave(block, 3) + grain
