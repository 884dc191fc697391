"""Times `cam bench` beside the Python reference, grad-cam on PyTorch: the same weights, the same threads, in turn, in one run.

    pip install -r tests/golden/requirements.txt
    cargo build --release
    python benches/compare.py                                        # the gradient methods and EigenCAM, batches of 1 and 8
    python benches/compare.py --networks resnet50 --methods ablationcam --layer layer2.3 --batch 1 --sample 256
    python benches/compare.py --device cuda:0 --batch 1 32 256       # on a card, in images a second
    python benches/compare.py --device vulkan --reference cuda       # ours by Vulkan beside the reference by CUDA on the same card

It prints one markdown table. Each network gets random weights from a seed, with BatchNorms that fit them, and is run there and
here from one file. In each round `cam bench` is run and then the reference, each with plain inference and explanations in turn;
the numbers are medians over the rounds, the ratios medians of the ratio of each round.

Methods that run the network once a channel take the reference minutes. With `--sample N` it tries N channels of each image and
its time is scaled up to all of them (marked with ~); here all are tried.

What runs out of memory or fails, here or there, or takes us longer than --limit, is a dash in its row; the table goes on.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
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
# Our names and the reference's.
METHODS = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "gradcamelementwise": "GradCAMElementWise",
    "layercam": "LayerCAM",
    "shapleycam": "ShapleyCAM",
    "eigencam": "EigenCAM",
    "eigengradcam": "EigenGradCAM",
    "segeigencam": "SegEigenCAM",
    "kpcacam": "KPCA_CAM",
    "fem": "FEM",
    "ablationcam": "AblationCAM",
    "scorecam": "ScoreCAM",
    "fullgrad": "FullGrad",
}
SLOW = ["ablationcam", "scorecam"]
QUICK = ["gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "eigengradcam"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cam", type=Path, default=ROOT / "target" / "release" / "cam", help="the tool")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME",
                        default=["resnet50", "vgg16", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", default=QUICK)
    parser.add_argument("--layer", help="a layer of both sides, in place of the default one")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8], metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5, help="how often each is measured in a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where we compute: see `cam devices`")
    parser.add_argument("--reference", metavar="NAME",
                        help="where PyTorch computes, as it names it [default: cpu beside cpu; else cuda where it is there]")
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
# Whether a card is measured: its memory is not told, but what it costs to choose its kernels.
ON_CARD = args.device != "cpu"
for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]:
    os.environ[variable] = str(args.threads)
os.environ["TQDM_DISABLE"] = "1"

import numpy  # noqa: E402
import pytorch_grad_cam as reference  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit  # noqa: E402
from pytorch_grad_cam.utils.find_layers import replace_layer_recursive  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

THERE = torch.device(args.reference or ("cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"))
if THERE.type == "cuda" and not torch.cuda.is_available():
    sys.exit("compare.py: this PyTorch finds no CUDA; `--reference cpu` runs the reference on the processor")


def network(name):
    """With random weights from a seed, and BatchNorms that fit them."""
    torch.manual_seed(0)
    make = timm.create_model if name.startswith(("deit", "swin")) else torchvision.models.get_model
    model = make(name, **({} if make is timm.create_model else {"weights": None}))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(torch.randn(8, 3, 224, 224))
    return model.eval()


def transform(layout):
    """From the reference's activation to channels first."""
    if layout == "tokens":
        def tokens(x):
            side = int((x.shape[1] - 1) ** 0.5)
            return x[:, 1:].reshape(x.shape[0], side, side, x.shape[2]).permute(0, 3, 1, 2)
        return tokens
    if layout == "last":
        return lambda x: x.permute(0, 3, 1, 2)
    return None


class SampledScoreCAM(reference.ScoreCAM):
    def get_cam_weights(self, input_tensor, target_layer, targets, activations, grads):
        weights = super().get_cam_weights(input_tensor, target_layer, targets, activations[:, :args.sample], grads)
        return weights.repeat(-(-activations.shape[1] // weights.shape[1]), axis=1)[:, :activations.shape[1]]


def first_channels(ablation):
    ablation.indices = numpy.arange(args.sample)
    return ablation.indices


class Explaining:
    """A method of the reference, on one network and layer."""

    def __init__(self, method, model, layer, layout):
        self.kind = getattr(reference, METHODS[method])
        self.options = {"model": model, "target_layers": [layer], "reshape_transform": transform(layout)}
        if method == "ablationcam":
            ablation = (AblationLayer if layout is None else AblationLayerVit)()
            if args.sample:
                ablation.activations_to_be_ablated = lambda activations, ratio: first_channels(ablation)
            self.options["ablation_layer"] = ablation
        if method == "scorecam" and args.sample:
            self.kind = SampledScoreCAM
        self.sampled = bool(args.sample) and method in ["ablationcam", "scorecam"]

    def time(self, images):
        """Seconds from the images on the device to the map in main memory, and the bytes that it took at its peak."""
        layer = self.options["target_layers"][0]
        with self.kind(**self.options) as cam:
            channels = []
            count = layer.register_forward_hook(
                lambda module, inputs, output: channels.append(cam.activations_and_grads.activations[-1].shape[1]))
            try:
                before = memory(start=True)
                started = time.perf_counter()
                cam(input_tensor=images, targets=None)
                seconds = time.perf_counter() - started
                taken = memory() - before
            finally:
                count.remove()
                if "ablation_layer" in self.options:
                    # Where it fails, it leaves its own layer in the network.
                    replace_layer_recursive(self.options["model"], self.options["ablation_layer"], layer)
        if self.sampled:
            seconds *= channels[0] / args.sample
        return seconds, taken


def memory(start=False):
    """The most bytes that were held since `start`; at the start those that are held now."""
    if THERE.type == "cuda":
        if start:
            torch.cuda.reset_peak_memory_stats(THERE)
        return torch.cuda.max_memory_allocated(THERE)
    try:
        if start:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def inference(model, images):
    """Seconds of plain inference."""
    with torch.inference_mode():
        started = time.perf_counter()
        model(images).cpu()
        return time.perf_counter() - started


def measure_reference(model, layer, layout, batch, method):
    """Medians of plain inference and of a method, run in turn; nothing where memory does not suffice."""
    explaining = Explaining(method, model, model.get_submodule(layer), layout)
    try:
        images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(1)).to(THERE)
        inference(model, images)  # to warm up
        if method not in SLOW:
            explaining.time(images)
        plain, explained = [], []
        for _ in range(1 if method in SLOW else args.repeat):
            plain.append(inference(model, images))
            explained.append(explaining.time(images))
    except (torch.OutOfMemoryError, MemoryError):
        print(f"note: {method}, batch of {batch}: the reference runs out of memory", file=sys.stderr)
        return None
    finally:
        if THERE.type == "cuda":
            torch.cuda.empty_cache()
    return {
        "forward": statistics.median(plain),
        "explain": statistics.median(seconds for seconds, _ in explained),
        "peak_memory": max(taken for _, taken in explained),
        "sampled": explaining.sampled,
    }


def measure_ours(name, weights, layer, batch, methods):
    """What `cam bench` says of each method; what fails is left out, and what it says is on standard error."""
    command = [args.cam, "bench", "--model", name, "--weights", weights, "--layer", layer, "--batch", str(batch),
               "--repeat", str(args.repeat), "--device", args.device, "--json"]
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


def measure(name, weights, model, layer, layout, batch):
    """A round: of each method what we measure and what the reference does."""
    ours = measure_ours(name, weights, layer, batch, args.methods)
    return {method: (ours.get(method), measure_reference(model, layer, layout, batch, method)) for method in args.methods}


def megabytes(count):
    return "?" if count is None else f"{count / 1e6:.0f} MB"


def row(name, layer, batch, rounds):
    """One row of the table, from what we and the reference measured of a method in each round."""
    def middle(number, digits):
        try:
            return f"{statistics.median(number(ours, theirs) for ours, theirs in rounds):{digits}}"
        except TypeError:  # one of them is missing
            return "-"

    def both(part, digits, scale=lambda seconds: seconds, mark=""):
        ours, theirs = middle(lambda o, t: scale(o[part]), digits), middle(lambda o, t: scale(t[part]), digits)
        return f"{ours} / {mark}{theirs}"

    sampled = "~" if any(theirs and theirs["sampled"] for _, theirs in rounds) else ""
    peaks = [megabytes(side and side["peak_memory"]) for side in rounds[0]]
    cells = [
        f"`{name}`, {batch}", f"`{layer}`",
        both("forward", ".4g", lambda seconds: 1e3 * seconds),
        both("explain", ".4g", lambda seconds: 1e3 * seconds, sampled),
        middle(lambda o, t: t["forward"] / o["forward"], ".2f"),
        middle(lambda o, t: o["explain"] / o["forward"], ".2f"),
        f"**{sampled}{middle(lambda o, t: t['explain'] / o['explain'], '.3g')}**",
        middle(lambda o, t: o["forwards"], ".4g"),
        " / ".join(peaks),
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


def there():
    """What PyTorch computes on."""
    if THERE.type == "cpu":
        return f"{processor()}, {args.threads} threads"
    tf32 = "on" if torch.backends.cudnn.allow_tf32 else "off"
    return f"{torch.cuda.get_device_name(THERE)}, TF32 in convolutions {tf32}"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()


def main():
    if args.check:
        return print(f"the reference computes on {there()}")
    stale = [line for line in PINNED.read_text().splitlines()
             if line.startswith(("torch==", "grad-cam==")) and version(line.split("==")[0]) != line.split("==")[1]]
    if stale:
        print(f"note: {', '.join(stale)} are what the project's tables were made with", file=sys.stderr)
    torch.set_num_threads(args.threads)
    where = here() if here() == there() else f"here {here()}; reference {there()}"
    print(f"{datetime.date.today()}, {where}; grad-cam {version('grad-cam')} on PyTorch {version('torch')}. "
          "Each pair is here / reference.\n")
    header = ["network, batch", "layer", "method", "inference, ms", "map, ms", "inference: times faster",
              "map / inference here", "map: times faster", "forwards here", "memory"]
    if ON_CARD:
        header.insert(5, "images a second")
        header.append("warm-up here, s: first / last round")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}", flush=True)
    for name in args.networks:
        layer, layout = NETWORKS[name]
        layer = args.layer or layer
        model = network(name)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / f"{name}.safetensors"
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
            model = model.to(THERE)
            for batch in args.batch:
                rounds = [measure(name, weights, model, layer, layout, batch) for _ in range(args.rounds)]
                for method in args.methods:
                    cells = row(name, layer, batch, [found[method] for found in rounds])
                    cells.insert(2, method)
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
