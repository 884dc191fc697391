"""What the generators share around their files: versions, quantised maps, and the final map from a raw one by code of our own."""

import importlib.metadata
import json
import re
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent


def versions(packages):
    """The installed versions, as they are noted in every `.json`."""
    return {package: importlib.metadata.version(package) for package in packages} | {
        "python": ".".join(str(v) for v in sys.version_info[:3])}


def insist(packages):
    """Ends the program where an installed version is not that of requirements.txt."""
    wanted = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split() if "==" in line)
    for package, version in versions(packages).items():
        if package != "python" and version != wanted[package]:
            sys.exit(f"{package} is {version}, requirements.txt wants {wanted[package]} (see --any-version)")


def main(generate, packages, about):
    """Runs a generator: the versions are those of requirements.txt unless `--any-version` is given."""
    import argparse
    import torch
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--any-version", action="store_true", help="do not insist on the versions of requirements.txt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.any_version:
        insist(packages)
    generate()


def write(stem, tensors, report):
    """`{stem}.safetensors` and `{stem}.json`."""
    path = HERE / f"{stem}.safetensors"
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
    path.chmod(0o644)
    text = json.dumps(report, indent=1)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list of numbers is one line
    (HERE / f"{stem}.json").write_text(text + "\n")


def read(stem):
    """The tensors and the report, or None where they are not there."""
    if not (HERE / f"{stem}.json").exists():
        print(f"{stem}: not there")
        return None
    return load_file(HERE / f"{stem}.safetensors"), json.loads((HERE / f"{stem}.json").read_text())


def size(stem):
    return (HERE / f"{stem}.safetensors").stat().st_size + (HERE / f"{stem}.json").stat().st_size


def quantise(maps):
    """[0, 1] to uint16: round(65535 x); the error is at most 7.7e-6."""
    assert maps.min() >= 0 and maps.max() <= 1
    return np.round(np.float64(maps) * 65535).astype(np.uint16)


def resize(map_, height, width):
    """Bilinear, half-pixel centers, edges repeated; independent of OpenCV."""
    def axis(size, target):
        at = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 1)
        return low, np.minimum(low + 1, size - 1), at - low
    y0, y1, fy = axis(map_.shape[0], height)
    x0, x1, fx = axis(map_.shape[1], width)
    rows = map_[y0] * (1 - fy)[:, None] + map_[y1] * fy[:, None]
    return rows[:, x0] * (1 - fx) + rows[:, x1] * fx


def rescale(map_):
    map_ = map_ - map_.min()
    return map_ / (1e-7 + map_.max())


def finish(raw, height, width):
    """The final map of a raw one: rectified, scaled, resized, scaled again."""
    return rescale(resize(rescale(np.maximum(np.float64(raw), 0)), height, width))
