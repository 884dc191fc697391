"""Times `cam bench` beside the Python reference, grad-cam on PyTorch: the same weights, the same threads, in turn, in one run.

    pip install -r tests/golden/requirements.txt
    cargo build --release
    python benches/compare.py                                        # the gradient methods and EigenCAM, batches of 1 and 8
    python benches/compare.py --networks resnet50 --methods ablationcam --layer layer2.3 --batch 1 --sample 256
    python benches/compare.py --device cuda:0 --batch 1 32 256       # on a GPU, in images per second
    python benches/compare.py --device vulkan --reference cuda       # ours by Vulkan beside the reference by CUDA on the same GPU

It prints one markdown table. Each network gets random weights from a seed, with BatchNorms that fit them, and is run there and
here from one file. In each round `cam bench` is run and then the reference, each with plain inference and explanations in turn;
the numbers are medians over the rounds, the ratios medians of the ratio of each round. Both compute in the same precision: f32 in
TF32 beside our CUDA, which multiplies so, and in full beside all others.

Methods that run the network once per channel take the reference minutes. With `--sample N` it tries N channels of each image and
its time is scaled up to all of them (marked with ~); here all are tried.

What runs out of memory or fails, here or there, or takes us longer than --limit, is a dash in its row; the table goes on. Where
the reference is not installed, one line says so, its columns are dashes, and our weights are random.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "tests" / "golden" / "requirements.txt"

# Torchvision's and timm's networks, the layer that both sides look at by default, and how the reference lays it out.
NETWORKS = {
    "resnet18": ("layer4.1", None),
    "resnet50": ("layer4.2", None),
    "vgg16": ("features.30", None),
    "deit_tiny_patch16_224": ("blocks.11.norm1", "tokens"),
    "deit_small_patch16_224": ("blocks.11.norm1", "tokens"),
    "swin_tiny_patch4_window7_224": ("layers.3.blocks.1.norm1", "last"),
}
QUICK = ["gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "eigengradcam"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cam", type=Path, default=ROOT / "target" / "release" / "cam", help="the tool")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME",
                        default=["resnet50", "vgg16", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
    parser.add_argument("--methods", nargs="+", metavar="NAME", default=QUICK)
    parser.add_argument("--layer", help="a layer of both sides, in place of the default one")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8], metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5, help="how often each is measured in a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", choices=["f32", "f16", "bf16"], default="f32", help="of both sides")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where we compute: see `cam devices`")
    parser.add_argument("--reference", metavar="NAME",
                        help="where PyTorch computes, as it names it, or `none` [default: cpu beside cpu; else cuda where it is there]")
    parser.add_argument("--compile", action="store_true", help="time inference by torch.compile, too")
    parser.add_argument("--sample", type=int, metavar="N", help="the reference tries N channels, scaled up to all")
    parser.add_argument("--channels", type=int, metavar="N", help="our Score-CAM tries N channels only (Faster-Score-CAM)")
    parser.add_argument("--memory", help="what our copies of a picture may take, as 1GiB")
    parser.add_argument("--limit", type=float, default=3600, metavar="SECONDS", help="what a run of `cam bench` may take")
    parser.add_argument("--check", action="store_true", help="say where the reference would compute, and do nothing")
    args = parser.parse_args()
    if args.device == "auto" or "," in args.device or args.device.endswith(":all"):
        parser.error("--device names one device")
    return args


args = arguments()
# Whether a GPU is measured: its memory is not reported, but what it costs to choose its kernels is.
ON_CARD = args.device != "cpu"
for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
    os.environ[variable] = str(args.threads)
os.environ["TQDM_DISABLE"] = "1"


def open_reference():
    """The side of PyTorch, which reads the environment when it is imported, or none and why."""
    if args.reference == "none":
        return None, "was left out"
    try:
        from reference import METHODS, Reference
    except ImportError as missing:
        if args.reference:
            sys.exit(f"compare.py: {missing}; pip install -r tests/golden/requirements.txt brings it")
        return None, f"is not on this machine ({missing})"
    unknown = [method for method in args.methods if method not in METHODS]
    if unknown:
        sys.exit(f"compare.py: the reference has no {', '.join(unknown)}; it has {', '.join(METHODS)}")
    tf32 = args.device.startswith("cuda") and args.precision == "f32"
    try:
        return Reference(args.reference, ON_CARD, tf32, args.threads, args.repeat, args.sample, args.precision, args.compile), None
    except LookupError as error:
        sys.exit(f"compare.py: {error}")


def measure_ours(name, weights, layer, batch, methods):
    """What `cam bench` reports of each method; what fails is left out, and what it says is on standard error."""
    command = [args.cam, "bench", "--model", name, "--layer", layer, "--batch", str(batch), "--repeat", str(args.repeat),
               "--device", args.device, "--precision", args.precision, "--json"]
    if weights:
        command += ["--weights", weights]
    for method in methods:
        command += ["--method", method]
    for option in ["channels", "memory"]:
        if getattr(args, option):
            command += [f"--{option}", str(getattr(args, option))]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=args.limit)
        if done.returncode == 0:
            return {row["method"]: row for row in json.loads(done.stdout)}
        reason = f"ends with {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"takes longer than {args.limit:g} s"
    if len(methods) == 1:
        print(f"note: {methods[0]}, batch of {batch}: cam bench {reason}", file=sys.stderr)
        return {}
    alone = [measure_ours(name, weights, layer, batch, [method]) for method in methods]
    return {method: row for found in alone for method, row in found.items()}


def megabytes(side):
    if not side:
        return "-"
    return "?" if side["peak_memory"] is None else f"{side['peak_memory'] / 1e6:.0f} MB"


def row(name, layer, batch, rounds):
    """One row of the table, from what we and the reference measured of a method in each round."""
    def middle(number, digits):
        try:
            return f"{statistics.median(number(ours, theirs) for ours, theirs in rounds):{digits}}"
        except TypeError:  # one of them is missing
            return "-"

    def both(part, digits, scale=lambda seconds: seconds, mark=""):
        ours, theirs = middle(lambda o, t: scale(o[part]), digits), middle(lambda o, t: scale(t[part]), digits)
        return f"{ours} / {mark}{theirs}" if theirs != "-" else f"{ours} / -"

    sampled = "~" if any(theirs and theirs["sampled"] for _, theirs in rounds) else ""
    inference = both("forward", ".4g", lambda seconds: 1e3 * seconds)
    faster = middle(lambda o, t: t["forward"] / o["forward"], ".2f")
    if args.compile:
        inference += f" / {middle(lambda o, t: 1e3 * t['compiled'], '.4g')}"
        faster += f", {middle(lambda o, t: t['compiled'] / o['forward'], '.2f')}"
    cells = [
        f"`{name}`, {batch}", f"`{layer}`", inference,
        both("explain", ".4g", lambda seconds: 1e3 * seconds, sampled),
        faster,
        middle(lambda o, t: o["explain"] / o["forward"], ".2f"),
        f"**{sampled}{middle(lambda o, t: t['explain'] / o['explain'], '.3g')}**",
        middle(lambda o, t: o["forwards"], ".4g"),
        " / ".join(megabytes(side) for side in rounds[0]),
    ]
    if ON_CARD:
        cells.insert(4, both("explain", ".4g", lambda seconds: batch / seconds, sampled))
        cells.append(" / ".join(f"{ours['warm_up']:.3g}" if ours else "-" for ours in [rounds[0][0], rounds[-1][0]]))
    return cells


def here():
    """What we compute on, as it names itself."""
    if not ON_CARD:
        return f"{processor()}, {args.threads} threads"
    listed = subprocess.run([args.cam, "devices"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    names = [line for line in listed if line.split()[0] in (args.device, f"{args.device}:0")]
    return " ".join(names[0].split()) if names else args.device


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()


def title(reference, missing):
    """What is compared, in one line."""
    precision = "" if args.precision == "f32" else f", {args.precision}"
    if missing:
        return f"{datetime.date.today()}, {here()}{precision}. The reference {missing}: its columns are dashes.\n"
    there = reference.name() or f"{processor()}, {args.threads} threads"
    where = here() if here() == there else f"here {here()}; reference {there}"
    compiled = ", of inference here / eager / torch.compile" if args.compile else ""
    return (f"{datetime.date.today()}, {where}{precision}; grad-cam {version('grad-cam')} on PyTorch {version('torch')}. "
            f"Each pair is here / reference{compiled}.\n")


def main():
    reference, missing = open_reference()
    if args.check:
        return print(title(reference, missing))
    stale = [line for line in PINNED.read_text().splitlines()
             if reference and line.startswith(("torch==", "grad-cam==")) and version(line.split("==")[0]) != line.split("==")[1]]
    if stale:
        print(f"note: {', '.join(stale)} are what the project's tables were made with", file=sys.stderr)
    print(title(reference, missing))
    header = ["network, batch", "layer", "method", "inference, ms", "map, ms", "inference: times faster",
              "map / inference here", "map: times faster", "forwards here", "memory"]
    if ON_CARD:
        header.insert(5, "images per second")
        header.append("warm-up here, s: first / last round")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}", flush=True)
    for name in args.networks:
        layer, layout = NETWORKS[name]
        layer = args.layer or layer
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / f"{name}.safetensors" if reference else None
            network = reference and reference.network(name, weights)
            for batch in args.batch:
                rounds = []
                for _ in range(args.rounds):
                    ours = measure_ours(name, weights, layer, batch, args.methods)
                    theirs = {method: reference and reference.measure(network, layer, layout, batch, method)
                              for method in args.methods}
                    rounds.append({method: (ours.get(method), theirs[method]) for method in args.methods})
                for method in args.methods:
                    cells = row(name, layer, batch, [found[method] for found in rounds])
                    cells.insert(2, method)
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
