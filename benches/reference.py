"""The side of PyTorch in `compare.py`: eager and compiled inference, and grad-cam.

Importing it needs what `tests/golden/requirements.txt` lists.
"""

import resource
import statistics
import sys
import time
from pathlib import Path

import numpy
import pytorch_grad_cam
import timm
import torch
import torchvision
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.find_layers import replace_layer_recursive
from safetensors.torch import save_file

# Our names of methods and the reference's.
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
PRECISIONS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


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


class Network:
    """With random weights from a seed, and BatchNorms that fit them."""

    def __init__(self, name, file):
        torch.manual_seed(0)
        make = timm.create_model if name.startswith(("deit", "swin")) else torchvision.models.get_model
        model = make(name, **({} if make is timm.create_model else {"weights": None}))
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            with torch.no_grad():
                model.train()(torch.randn(8, 3, 224, 224))
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
        self.model = model.eval()
        self.compiled = None


class Reference:
    """Where and how PyTorch computes."""

    def __init__(self, device, beside_card, tf32, threads, repeat, sample, precision, compile):
        """`device` is PyTorch's name for one, or none for the one that fits; `tf32` is whether the other side multiplies f32 so."""
        self.device = torch.device(device or ("cuda" if beside_card and torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise LookupError("this PyTorch finds no CUDA; `--reference cpu` runs the reference on the CPU")
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
        self.tf32, self.repeat, self.sample = tf32, repeat, sample
        self.dtype, self.compile = PRECISIONS[precision], compile

    def network(self, name, file):
        return Network(name, file)

    def name(self):
        """What it computes on, nothing for the CPU."""
        if self.device.type == "cpu":
            return None
        return f"{torch.cuda.get_device_name(self.device)}, TF32 {'on' if self.tf32 else 'off'}"

    def measure(self, network, layer, layout, batch, method):
        """Medians of plain inference and of a method, run in turn; nothing where it fails."""
        try:
            return self.measured(network, layer, layout, batch, method)
        except Exception as error:  # whatever the libraries raise: the table goes on
            memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
            reason = "runs out of memory" if memory else f"fails: {type(error).__name__}: {str(error).splitlines()[:1]}"
            print(f"note: {method}, batch of {batch}: the reference {reason}", file=sys.stderr)
            return None
        finally:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def measured(self, network, layer, layout, batch, method):
        model = network.model.to(self.device, self.dtype)
        explaining = Explaining(self, method, model, model.get_submodule(layer), layout)
        images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(1)).to(self.device, self.dtype)
        plain, explained = [], []
        self.inference(model, images)  # to warm up
        if method not in SLOW:
            explaining.time(images)
        for _ in range(1 if method in SLOW else self.repeat):
            plain.append(self.inference(model, images))
            explained.append(explaining.time(images))
        return {
            "forward": statistics.median(plain),
            "compiled": self.compile and self.compiled(network, model, images),
            "explain": statistics.median(seconds for seconds, _ in explained),
            "peak_memory": max(taken for _, taken in explained),
            "sampled": explaining.sampled,
        }

    def compiled(self, network, model, images):
        """The median of inference by torch.compile; nothing where it fails, as without a compiler for C++ or for the card."""
        try:
            network.compiled = network.compiled or torch.compile(model)
            self.inference(network.compiled, images)  # compiles
            return statistics.median(self.inference(network.compiled, images) for _ in range(self.repeat))
        except Exception as error:
            print(f"note: torch.compile fails: {type(error).__name__}", file=sys.stderr)
            return None

    def inference(self, model, images):
        """Seconds of plain inference."""
        with torch.inference_mode():
            started = time.perf_counter()
            model(images).cpu()
            return time.perf_counter() - started

    def memory(self, start=False):
        """The most bytes that were held since `start`; at the start those that are held now."""
        if self.device.type == "cuda":
            if start:
                torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.max_memory_allocated(self.device)
        try:
            if start:
                Path("/proc/self/clear_refs").write_text("5")
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Explaining:
    """A method of the reference, on one network and layer."""

    def __init__(self, reference, method, model, layer, layout):
        self.reference = reference
        self.kind = getattr(pytorch_grad_cam, METHODS[method])
        self.options = {"model": model, "target_layers": [layer], "reshape_transform": transform(layout)}
        self.sampled = bool(reference.sample) and method in SLOW
        if method == "ablationcam":
            ablation = (AblationLayer if layout is None else AblationLayerVit)()
            if self.sampled:
                ablation.activations_to_be_ablated = lambda activations, ratio: self.first_channels(ablation)
            self.options["ablation_layer"] = ablation
        if method == "scorecam" and self.sampled:
            self.kind = sampled_score_cam(reference.sample)

    def first_channels(self, ablation):
        ablation.indices = numpy.arange(self.reference.sample)
        return ablation.indices

    def time(self, images):
        """Seconds from the images on the device to the map in main memory, and the bytes that it took at its peak."""
        layer = self.options["target_layers"][0]
        with self.kind(**self.options) as cam:
            channels = []
            count = layer.register_forward_hook(
                lambda module, inputs, output: channels.append(cam.activations_and_grads.activations[-1].shape[1]))
            try:
                before = self.reference.memory(start=True)
                started = time.perf_counter()
                cam(input_tensor=images, targets=None)
                seconds = time.perf_counter() - started
                taken = self.reference.memory() - before
            finally:
                count.remove()
                if "ablation_layer" in self.options:
                    # Where it fails, it leaves its own layer in the network.
                    replace_layer_recursive(self.options["model"], self.options["ablation_layer"], layer)
        if self.sampled:
            seconds *= channels[0] / self.reference.sample
        return seconds, taken


def sampled_score_cam(sample):
    """Score-CAM that tries the first channels and uses their weights for the others."""
    class SampledScoreCAM(pytorch_grad_cam.ScoreCAM):
        def get_cam_weights(self, input_tensor, target_layer, targets, activations, grads):
            weights = super().get_cam_weights(input_tensor, target_layer, targets, activations[:, :sample], grads)
            return weights.repeat(-(-activations.shape[1] // weights.shape[1]), axis=1)[:, :activations.shape[1]]
    return SampledScoreCAM
