#!/usr/bin/env python3
"""Writes metrics_resnet_tiny.safetensors and .json: what other libraries measure of two maps of a small network.

    venv/bin/python generate_metrics.py          # a minute

One map of each picture is made up, without two equal values (`map`); the other is Grad-CAM's (`gradcam`). README.md says which number is by whom.
"""

import os

os.environ["TQDM_DISABLE"] = "1"

import captum.metrics
import cv2
import numpy as np
import quantus
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.metrics.arcc import Coherency, Complexity
from pytorch_grad_cam.metrics.cam_mult_image import CamMultImageConfidenceChange, DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.metrics.perturbation_confidence import RemoveLeastRelevantFirst, RemoveMostRelevantFirst, \
    PerturbationConfidenceMetric
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget, ClassifierOutputTarget
from scipy.stats import spearmanr
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

import files
from hashed import images, uniform
from networks import tiny

PACKAGES = ["torch", "torchvision", "grad-cam", "torchcam", "captum", "quantus", "numpy", "opencv-python-headless", "scikit-image",
            "safetensors"]
NAME, BATCH, HEIGHT, WIDTH, BLOCK = "input", 2, 96, 128, 16
STEPS = 16  # divides the number of pixels, so that torch-cam's steps are equal
LAYER = "layer2.0"
SIDE, REMOVED, SAMPLES = 8, 16, 32
RADIUS, NOISES = 0.02, 10


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def number(stream, index):
    """The random numbers of the metrics: splitmix64 of two numbers."""
    step = 0x9E3779B97F4A7C15
    return mix((mix((stream + 1) * step % 2**64) + (index + 1) * step) % 2**64)


def made_up(image):
    """A smooth map without two equal values, 0 to 1."""
    rough = uniform(f"map{image}", (6, 8), 0, 1).numpy()
    fine = cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + 1e-3 * uniform(f"grain{image}", (HEIGHT, WIDTH), 0, 1).numpy()
    ranks = fine.ravel().argsort(kind="stable").argsort().reshape(fine.shape) / (fine.size - 1)
    fine = 0.9 * (fine - fine.min()) / (fine.max() - fine.min()) + 0.1 * ranks
    assert len(np.unique(np.float32(fine))) == fine.size
    return np.float32(fine)


class Given:
    """A method of torch-cam that gives maps that are known."""

    def __init__(self, model, maps):
        self.model, self.maps = model, torch.from_numpy(maps)

    def __call__(self, class_idx=None, scores=None, normalized=True, *, targets=None, **more):
        return [self.maps]

    def fuse_cams(self, cams):
        return cams[0]

    def _hooks_off(self):
        import contextlib
        return contextlib.nullcontext()


def removed(sample):
    """The pixels of the cells that a sample takes away."""
    order = sorted(range(SIDE * SIDE), key=lambda cell: number(sample, cell))
    cells = np.zeros(SIDE * SIDE, dtype=bool)
    cells[order[:REMOVED]] = True
    rows, columns = np.arange(HEIGHT) * SIDE // HEIGHT, np.arange(WIDTH) * SIDE // WIDTH
    return cells.reshape(SIDE, SIDE)[rows][:, columns]


def boxes(map_, truth):
    """The best IoU of a box at each of the thousand thresholds: Choe et al.'s evaluator, as its paper and README describe it."""
    def iou(a, b):
        width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1))
        area = lambda box: (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        return width * height / (area(a) + area(b) - width * height)
    levels = np.uint8(np.floor(255 * map_))
    best = []
    for threshold in np.arange(0, 1, 0.001):
        _, hot = cv2.threshold(levels, int(threshold * levels.max()), 255, cv2.THRESH_BINARY)
        found = cv2.findContours(hot, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        rectangles = [cv2.boundingRect(contour) for contour in found]
        side = map_.shape[0]
        corners = [(x, y, min(x + w, side - 1), min(y + h, side - 1)) for x, y, w, h in rectangles]
        best.append(max((iou(box, true) for box in corners for true in truth), default=0))
    return np.float32(best)


def pixel_precision(map_, truth):
    """PxAP of one image."""
    edges = np.append(np.arange(0, 1, 0.001), [1.0, 2.0])
    right, wrong = (np.histogram(map_[truth == inside], bins=edges)[0].astype(float) for inside in (True, False))
    tp, fp = right[::-1].cumsum(), wrong[::-1].cumsum()
    recall = tp / right.sum()
    some = (tp + fp) > 0
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=some)
    return (precision * np.diff(np.concatenate([[0], recall])))[some].sum()


def generate():
    model = tiny().eval()
    pictures = images(NAME, BATCH, HEIGHT, WIDTH, BLOCK)
    with torch.no_grad():
        logits = model(pictures)
    classes = logits.argmax(1).tolist()
    targets = [ClassifierOutputSoftmaxTarget(c) for c in classes]
    layer = dict(model.named_modules())[LAYER]
    gradcam = GradCAM(model, [layer])
    logit_targets = [ClassifierOutputTarget(c) for c in classes]
    cams = np.float32(gradcam(pictures, targets=logit_targets))
    cams = np.stack([(cam - cam.min()) / (cam.max() - cam.min()) for cam in cams])
    maps = np.stack([made_up(image) for image in range(BATCH)])
    box = []  # left, top, right, bottom: of the first map on its peak, of the second beside it
    for map_, aside in zip(maps, (0, 30)):
        y, x = np.unravel_index(map_.argmax(), map_.shape)
        x = x + aside if x + aside < WIDTH - 20 else x - aside
        box.append(tuple(int(v) for v in (max(0, x - 22), max(0, y - 17), min(WIDTH, x + 25), min(HEIGHT, y + 19))))
    truth = np.zeros((BATCH, HEIGHT, WIDTH), dtype=bool)
    for image, (left, top, right, bottom) in enumerate(box):
        truth[image, top:bottom, left:right] = True

    values = {}

    def keep(name, numbers):
        values[name] = [float(number) for number in numbers]

    # pytorch-grad-cam
    ask = dict(targets=targets, model=model)
    keep("confidence-change", CamMultImageConfidenceChange()(pictures, maps, **ask))
    keep("confidence-drop", DropInConfidence()(pictures, maps, **ask))
    keep("increase", IncreaseInConfidence()(pictures, maps, **ask))
    silent = NoisyLinearImputer(noise=0.0)
    percentiles = [10, 20, 30, 40, 50, 60, 70, 80, 90]
    curves = {name: np.stack([PerturbationConfidenceMetric(remove(p, silent))(pictures, maps, **ask) for p in percentiles])
              for name, remove in [("road-morf", RemoveMostRelevantFirst), ("road-lerf", RemoveLeastRelevantFirst)]}
    for name, curve in curves.items():
        keep(name, curve.mean(0))
    keep("road", (curves["road-lerf"].mean(0) - curves["road-morf"].mean(0)) / 2)
    keep("complexity", Complexity()(maps))
    coherency = Coherency()(pictures, cams, logit_targets, model, gradcam)
    keep("gradcam/coherency", coherency)

    # torch-cam
    for image in range(BATCH):
        one, given = pictures[image:image + 1], Given(model, maps[image:image + 1])
        softmax = lambda out: torch.softmax(out, -1)
        drop = ClassificationMetric(given, softmax)
        drop.update(one, classes[image])
        values.setdefault("average-drop", []).append(float(drop.summary()["avg_drop"]))
        curve = DeletionInsertionMetric(given, softmax, steps=STEPS)
        curve.update(one, classes[image])
        values.setdefault("deletion", []).append(curve.summary()["deletion_auc"])
        values.setdefault("insertion-zero", []).append(curve.summary()["insertion_auc"])

    # captum
    for image in range(BATCH):
        one, attribution = pictures[image:image + 1], torch.zeros(1, 3, HEIGHT, WIDTH)
        attribution[0, 0] = torch.from_numpy(maps[image])
        count = iter(range(SAMPLES))

        def perturb(inputs, baselines=None):
            kept = torch.stack([torch.from_numpy(~removed(next(count))) for _ in range(len(inputs))])
            parts = (~kept).float().unsqueeze(1).expand(inputs.shape)
            return parts, inputs * kept.unsqueeze(1)

        found = captum.metrics.infidelity(lambda x: model(x), perturb, one, attribution, target=classes[image],
                                          n_perturb_samples=SAMPLES, normalize=True)
        values.setdefault("infidelity", []).append(float(found))
        drops, sums = [], []
        for sample in range(SAMPLES):
            away = removed(sample)
            with torch.no_grad():
                changed = model(one * torch.from_numpy(~away))
            drops.append(float(logits[image, classes[image]] - changed[0, classes[image]]))
            sums.append(float(np.float64(maps[image])[away].sum()))
        values.setdefault("sensitivity-n", []).append(float(np.corrcoef(sums, drops)[0, 1]))

        streams = iter(range(NOISES))

        def explain(inputs):
            inputs, = inputs if isinstance(inputs, tuple) else (inputs,)
            with torch.enable_grad():
                found = gradcam(inputs, targets=[ClassifierOutputTarget(classes[image])] * len(inputs))
            return (torch.from_numpy(np.stack([(m - m.min()) / (m.max() - m.min()) for m in found])),)

        def noisy(inputs):
            inputs, = inputs if isinstance(inputs, tuple) else (inputs,)
            noise = [np.array([number(stream, i) >> 40 for i in range(inputs[0].numel())], dtype=np.float64) / 2**23 - 1
                     for stream in [next(streams) for _ in range(len(inputs))]]
            return inputs + torch.from_numpy(np.float32(RADIUS * np.stack(noise))).reshape(inputs.shape)

        sensitivity = captum.metrics.sensitivity_max(explain, one, perturb_func=noisy, n_perturb_samples=NOISES)
        values.setdefault("gradcam/max-sensitivity", []).append(float(sensitivity))

    # quantus
    plain = dict(abs=False, normalise=False, disable_warnings=True, display_progressbar=False, return_aggregate=False)
    before = maps.copy()

    def ask_quantus(metric, with_truth):
        """Of copies: quantus changes what it is given."""
        more = dict(s_batch=truth[:, None].copy()) if with_truth else {}
        return metric(model=model, x_batch=pictures.numpy().copy(), y_batch=np.array(classes), a_batch=maps[:, None].copy(), **more)

    keep("pointing", ask_quantus(quantus.PointingGame(**plain), True))
    keep("top-k", ask_quantus(quantus.TopKIntersection(k=1000, **plain), True))
    keep("energy", ask_quantus(quantus.RelevanceMassAccuracy(**plain), True))
    keep("rank-accuracy", ask_quantus(quantus.RelevanceRankAccuracy(**plain), True))
    keep("gini", ask_quantus(quantus.Sparseness(**plain), False))
    keep("entropy", ask_quantus(quantus.Complexity(**plain), False))

    assert (maps == before).all(), "quantus changes what it is given"

    # OpenCV, NumPy, SciPy, scikit-image
    square = np.stack([cv2.resize(map_, (224, 224), interpolation=cv2.INTER_LINEAR) for map_ in maps])
    square = np.stack([(m - m.min()) / (m.max() - m.min()) for m in square])
    scaled = [[int(np.float32(v) / np.float32(s) * np.float32(224)) for v, s in zip(one, (WIDTH, HEIGHT, WIDTH, HEIGHT))] for one in box]
    ious = np.stack([boxes(m, [true]) for m, true in zip(square, scaled)])
    keep("pxap", [pixel_precision(m, t) for m, t in zip(maps, truth)])
    keep("iou", [((m >= 0.5) & t).sum() / ((m >= 0.5) | t).sum() for m, t in zip(maps, truth)])
    similar = {
        "spearman": float(spearmanr(maps[0].ravel(), maps[1].ravel())[0]),
        "ssim": float(structural_similarity(np.float64(maps[0]), np.float64(maps[1]), data_range=1.0)),
        "hog": float(np.corrcoef(*(hog(np.float64(m), orientations=9, pixels_per_cell=(16, 16), cells_per_block=(3, 3),
                                       block_norm="L2-Hys") for m in maps))[0, 1]),
    }
    report = {
        "versions": files.versions(PACKAGES),
        "input": dict(name=NAME, batch=BATCH, height=HEIGHT, width=WIDTH, block=BLOCK),
        "classes": classes, "layer": LAYER, "steps": STEPS, "boxes": [list(map(int, one)) for one in box],
        "values": values, "similar": similar,
    }
    files.write("metrics_resnet_tiny", {"maps": maps, "ious": ious}, report)
    print(f"{files.size('metrics_resnet_tiny')} bytes")
    for name, numbers in values.items():
        print(f"{name:24}", *(f"{number:10.6f}" for number in numbers))


if __name__ == "__main__":
    files.main(generate, PACKAGES, __doc__)
