#!/usr/bin/env python3
"""Writes detectors as ONNX files, and which boxes their own packages find with them in photos.

    venv/bin/python generate_detectors.py --small detectors detectors SOURCES           # the small networks of the folder detectors
    venv/bin/python generate_detectors.py DIR PHOTOS SOURCES [NAME]                   # those of the packages, for an ignored test

DIR gets the files, and `detectors.json` with the boxes: for each network and photo a list of left, top, right, bottom, score, class. PHOTOS is a
folder with JPEGs in and below it. SOURCES has checkouts of packages that are not published on PyPI, each in a folder of its name: FastestDet,
YOLOX, nanodet, yolov5.
The ignored test `detectors::boxes_are_those_of_the_packages` of tests/suite reads DIR.

The networks are those of the packages with seeded weights. Their norms are set so that signals neither vanish nor explode, and the biases of
their classes are raised until their own post-processing, on the exported file, keeps 20 to 100 boxes of each photo.
"""

import argparse
import importlib
import json
import math
import pathlib
import shutil
import sys
import types
import warnings
from unittest import mock

import cv2
import numpy
import onnx
import onnxruntime
import torch
from torch import nn

warnings.filterwarnings("ignore")
# What packages import for training only.
for module in ["lightning_fabric.utilities.cloud_io", "pytorch_lightning.loggers", "pytorch_lightning.loggers.logger", "pytorch_lightning.utilities", "seaborn"]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), mock.MagicMock())
SEED = 7
# How many boxes a photo has, and how many photos are needed.
FEWEST, MOST, PHOTOS = 20, 100, 10
THRESHOLD = 0.25
# The deviation of the logits of a class.
CONTRAST = 2.0


def seed(model, images, gain=1.0):
    """Gives a network seeded weights: those of convolutions are random, and the norms after them take the statistics of the images."""
    generator = torch.Generator().manual_seed(SEED)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "dfl" not in name:
            fan = parameter[0].numel()
            parameter.data = torch.randn(parameter.shape, generator=generator) * gain / math.sqrt(fan)
    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm2d,))]
    for norm in norms:
        norm.momentum, norm.training = None, True
        norm.reset_running_stats()
    with torch.no_grad():
        model(images)
    for norm in norms:
        norm.momentum = 0.03
    model.eval()


def even(model, layers, images, shift):
    """Makes the last layers of scores such that each image has the same mean: without it a random network sees all of one photo and nothing of
    another. What images differ by on average is projected out of the weights. `layers` are pairs of a layer and its rows of scores."""
    inputs = {}
    hooks = [layer.register_forward_pre_hook(lambda _, given, layer=layer: inputs.setdefault(layer, given[0])) for layer, _ in layers]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    for layer, rows in layers:
        given = inputs[layer]
        given = given.flatten(2) if given.ndim == 4 else given.transpose(1, 2)
        means = given.mean(2)
        centered = means - means.mean(0)
        _, _, basis = torch.linalg.svd(centered, full_matrices=False)
        basis = basis[: min(len(images) - 1, centered.shape[1] // 2)]
        weight = layer.weight.data.flatten(1)[rows]
        weight = weight - weight @ basis.T @ basis
        spread = torch.einsum("rc,bcp->rbp", weight, given - means.mean(0)[None, :, None]).std(dim=(1, 2), keepdim=True)[:, 0]
        weight = weight / spread * CONTRAST
        flat = layer.weight.data.flatten(1)
        flat[rows] = weight
        layer.weight.data = flat.reshape(layer.weight.shape)
        layer.bias.data[rows] = shift - weight @ means.mean(0)


def session(path):
    run = onnxruntime.InferenceSession(str(path))
    name = run.get_inputs()[0].name
    return lambda images: run.run(None, {name: images})


def letterbox(photo, size):
    """Ultralytics' LetterBox with a fixed size."""
    from ultralytics.data.augment import LetterBox

    return LetterBox((size, size), auto=False)(image=photo)


def to_input(image, scale=255.0):
    return numpy.ascontiguousarray(image.transpose(2, 0, 1)[None]).astype(numpy.float32) / scale


class Ultralytics:
    """YOLOv8, YOLO11, YOLOv5u, YOLOv10, YOLO26, RT-DETR: exported and run by the package."""

    size = 320

    def __init__(self, name, config, classes):
        self.name, self.config, self.classes = name, config, classes

    def export(self, path, images, shift):
        from ultralytics import RTDETR, YOLO

        torch.manual_seed(SEED)
        kind = RTDETR if "rtdetr" in self.config else YOLO
        model = kind(self.config)
        network = model.model
        seed(network, images)
        head = network.model[-1]
        if "rtdetr" in self.config:
            last = [head.enc_score_head, *head.dec_score_head]
        else:
            last = [branch[-1] for branch in [*head.cv3, *(getattr(head, "one2one_cv3", None) or [])]]
        even(network, [(layer, slice(None)) for layer in last], images, shift)
        written = model.export(format="onnx", imgsz=self.size, opset=17, simplify=False, verbose=False)
        shutil.move(written, path)
        self.opened = None

    def boxes(self, path, photo):
        from ultralytics import RTDETR, YOLO

        if getattr(self, "opened", None) != path:
            self.opened = path
            self.model = RTDETR(str(path)) if "rtdetr" in self.config else YOLO(str(path), task="detect")
        found = self.model.predict(str(photo), imgsz=self.size, conf=THRESHOLD, iou=0.7, verbose=False, device="cpu")[0].boxes
        return torch.cat([found.xyxy, found.conf[:, None], found.cls[:, None]], 1).numpy()


class YoloV5:
    size = 320

    def __init__(self, sources):
        self.sources, self.name = sources, "yolov5"

    def export(self, path, images, shift):
        sys.path.insert(0, str(self.sources / "yolov5"))
        from models.yolo import DetectionModel

        torch.manual_seed(SEED)
        model = DetectionModel(str(self.sources / "yolov5/models/yolov5n.yaml"), nc=20)
        seed(model, images)
        head = model.model[-1]
        rows = torch.tensor([anchor * head.no + row for anchor in range(head.na) for row in range(4, head.no)])
        even(model, [(layer, rows) for layer in head.m], images, shift)
        head.export = True
        torch.onnx.export(model.fuse(), images[:1], path, dynamo=False, opset_version=12, input_names=["images"], output_names=["output0"])
        sys.path.pop(0)

    def boxes(self, path, photo):
        sys.path.insert(0, str(self.sources / "yolov5"))
        from utils.augmentations import letterbox as own
        from utils.general import non_max_suppression, scale_boxes

        image = cv2.imread(str(photo))
        boxed = own(image, self.size, stride=32, auto=False)[0]
        output = session(path)(to_input(boxed[..., ::-1]))[0]
        found = non_max_suppression(torch.from_numpy(output), THRESHOLD, 0.45, max_det=300)[0]
        found[:, :4] = scale_boxes((self.size, self.size), found[:, :4], image.shape)
        sys.path.pop(0)
        return found.numpy()


class YoloX:
    size = 320

    def __init__(self, sources):
        self.sources, self.name = sources, "yolox"

    def export(self, path, images, shift):
        sys.path.insert(0, str(self.sources / "YOLOX"))
        from yolox.models.yolo_head import YOLOXHead
        from yolox.models.yolo_pafpn import YOLOPAFPN
        from yolox.models.yolox import YOLOX

        torch.manual_seed(SEED)
        model = YOLOX(YOLOPAFPN(0.33, 0.25, depthwise=True), YOLOXHead(20, 0.25, depthwise=True)).eval()
        model.head.decode_in_inference = False
        seed(model, images * 255)
        even(model, [(layer, slice(None)) for layer in [*model.head.obj_preds, *model.head.cls_preds]], images * 255, shift)
        torch.onnx.export(model, images[:1], path, dynamo=False, opset_version=11, input_names=["images"], output_names=["output"])
        sys.path.pop(0)

    def boxes(self, path, photo):
        sys.path.insert(0, str(self.sources / "YOLOX"))
        from yolox.data.data_augment import preproc
        from yolox.utils import postprocess
        from yolox.utils.demo_utils import demo_postprocess

        image = cv2.imread(str(photo))
        prepared, ratio = preproc(image, (self.size, self.size))
        rows = demo_postprocess(session(path)(prepared[None])[0], (self.size, self.size))
        # As `tools/demo.py` calls it.
        found = postprocess(torch.from_numpy(rows), 20, THRESHOLD, 0.45, class_agnostic=True)[0]
        sys.path.pop(0)
        found = numpy.zeros((0, 7)) if found is None else found.numpy()
        found = numpy.concatenate([found[:, :4] / ratio, found[:, 4:5] * found[:, 5:6], found[:, 6:]], 1)
        # The demo clips nothing.
        found[:, [0, 2]] = found[:, [0, 2]].clip(0, image.shape[1])
        found[:, [1, 3]] = found[:, [1, 3]].clip(0, image.shape[0])
        return found


class NanoDet:
    size = 320

    def __init__(self, sources):
        self.sources, self.name = sources, "nanodet"

    def head(self):
        from nanodet.model.head.nanodet_plus_head import NanoDetPlusHead

        loss = lambda name, weight, **more: types.SimpleNamespace(name=name, loss_weight=weight, **more)
        losses = types.SimpleNamespace(
            loss_qfl=loss("QualityFocalLoss", 1.0, use_sigmoid=True, beta=2.0), loss_dfl=loss("DistributionFocalLoss", 0.25), loss_bbox=loss("GIoULoss", 2.0)
        )
        return NanoDetPlusHead(20, losses, 96, feat_channels=96, stacked_convs=2, kernel_size=5, strides=[8, 16, 32, 64], reg_max=7)

    def export(self, path, images, shift):
        sys.path.insert(0, str(self.sources / "nanodet"))
        from nanodet.model.backbone.shufflenetv2 import ShuffleNetV2
        from nanodet.model.fpn.ghost_pan import GhostPAN

        torch.manual_seed(SEED)

        class Whole(nn.Module):
            def __init__(self, head):
                super().__init__()
                self.backbone = ShuffleNetV2("0.5x", out_stages=(2, 3, 4), activation="LeakyReLU", pretrain=False)
                self.fpn = GhostPAN([48, 96, 192], 96, use_depthwise=True, kernel_size=5, num_extra_level=1, activation="LeakyReLU")
                self.head = head

            def forward(self, images):
                return self.head._forward_onnx(self.fpn(self.backbone(images)))

        model = Whole(self.head()).eval()
        images = (images.flip(1) * 255 - torch.tensor([103.53, 116.28, 123.675])[:, None, None]) / torch.tensor([57.375, 57.12, 58.395])[:, None, None]
        seed(model, images)
        even(model, [(layer, slice(0, 20)) for layer in model.head.gfl_cls], images, shift)
        torch.onnx.export(model, images[:1], path, dynamo=False, opset_version=11, input_names=["data"], output_names=["output"])
        sys.path.pop(0)

    def boxes(self, path, photo):
        sys.path.insert(0, str(self.sources / "nanodet"))
        from nanodet.model.module.nms import multiclass_nms
        from nanodet.util import distance2bbox

        image = cv2.imread(str(photo))
        # The warp of the package without keeping the ratio is this resize.
        small = cv2.resize(image, (self.size, self.size)).astype(numpy.float32)
        mean, std = numpy.array([103.53, 116.28, 123.675], numpy.float32), numpy.array([57.375, 57.12, 58.395], numpy.float32)
        rows = torch.from_numpy(session(path)(to_input((small - mean) / std, 1.0))[0])
        head = self.head()
        sizes = [math.ceil(self.size / stride) for stride in head.strides]
        priors = torch.cat([head.get_single_level_center_priors(1, (n, n), s, torch.float32, "cpu") for n, s in zip(sizes, head.strides)], 1)
        distances = head.distribution_project(rows[..., 20:]) * priors[..., 2, None]
        corners = distance2bbox(priors[..., :2], distances, max_shape=(self.size, self.size))
        scores = torch.cat([rows[0, :, :20], torch.zeros(rows.shape[1], 1)], 1)
        found, labels = multiclass_nms(corners[0], scores, score_thr=0.35, nms_cfg=dict(type="nms", iou_threshold=0.6), max_num=100)
        sys.path.pop(0)
        found = torch.cat([found, labels[:, None].float()], 1).numpy()
        height, width = image.shape[:2]
        found[:, :4] *= numpy.array([width, height, width, height]) / self.size
        return found


class FastestDet:
    """The trained file, if it is there beside the photos."""

    size = 352

    def __init__(self, sources):
        self.sources, self.name = sources, "fastestdet"

    def export(self, path, images, shift):
        sys.path.insert(0, str(self.sources / "FastestDet"))
        module = importlib.import_module("module.detector")
        torch.manual_seed(SEED)
        torch_load, torch.load = torch.load, lambda *_, **__: {}
        model = module.Detector(20, True).eval()
        torch.load = torch_load
        seed(model, images)
        head = model.detect_head if hasattr(model, "detect_head") else model.detect_head
        convolutions = [layer for layer in head.obj_layers.modules() if isinstance(layer, nn.Conv2d)]
        convolutions[-1].bias = nn.Parameter(torch.full((1,), shift)) if convolutions[-1].bias is None else convolutions[-1].bias
        even(model, [(convolutions[-1], slice(None))], images.flip(1), shift)
        torch.onnx.export(model, images[:1], path, dynamo=False, opset_version=11)
        sys.path.pop(0)

    def boxes(self, path, photo):
        sys.path.insert(0, str(self.sources / "FastestDet"))
        tool = importlib.import_module("utils.tool")
        image = cv2.imread(str(photo))
        output = session(path)(to_input(cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_LINEAR)))[0]
        found = tool.handle_preds(torch.from_numpy(output), "cpu", THRESHOLD, 0.45)[0].numpy().reshape(-1, 6)
        sys.path.pop(0)
        height, width = image.shape[:2]
        found[:, :4] = (found[:, :4] * [width, height, width, height]).clip(0, [width, height, width, height])
        return found


class Transformers:
    """DETR and RT-DETR of transformers, small, with their own image processors."""

    def __init__(self, name, size):
        self.name, self.size = name, size

    def build(self):
        import transformers

        if self.name == "detr":
            config = transformers.DetrConfig(
                use_timm_backbone=True, backbone="resnet18", use_pretrained_backbone=False, backbone_config=None, d_model=64, encoder_layers=2, decoder_layers=2,
                encoder_ffn_dim=128, decoder_ffn_dim=128, encoder_attention_heads=4, decoder_attention_heads=4, num_labels=20, num_queries=100,
            )
            processor = transformers.DetrImageProcessor(size={"height": self.size, "width": self.size}, do_pad=False)
            return transformers.DetrForObjectDetection(config).eval(), processor
        backbone = transformers.RTDetrResNetConfig(
            embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"]
        )
        config = transformers.RTDetrConfig(
            backbone_config=backbone, encoder_in_channels=[32, 64, 128], encoder_hidden_dim=64, encoder_ffn_dim=128, d_model=64, decoder_ffn_dim=128,
            decoder_in_channels=[64, 64, 64], decoder_layers=2, num_labels=20, num_queries=300, anchor_image_size=None,
        )
        processor = transformers.RTDetrImageProcessor(size={"height": self.size, "width": self.size})
        return transformers.RTDetrForObjectDetection(config).eval(), processor

    def export(self, path, images, shift):
        torch.manual_seed(SEED)
        model, self.processor = self.build()
        generator = torch.Generator().manual_seed(SEED)
        norms = [module for module in model.modules() if "BatchNorm" in type(module).__name__]
        for norm in norms:
            norm.running_mean[:] = torch.randn(norm.running_mean.shape, generator=generator) * 0.1
        if self.name == "detr":
            head = model.class_labels_classifier
            even(model, [(head, slice(None))], images, 0.0)
            head.bias.data[-1] -= shift
        else:
            even(model, [(head, slice(None)) for head in [model.model.enc_score_head, *model.model.decoder.class_embed]], images, shift)

        class Both(nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, pixel_values):
                found = self.model(pixel_values=pixel_values)
                return found.logits, found.pred_boxes

        names = {"input_names": ["pixel_values"], "output_names": ["logits", "pred_boxes"]}
        torch.onnx.export(Both(), torch.zeros(1, 3, self.size, self.size), path, dynamo=False, opset_version=17, **names)

    def boxes(self, path, photo):
        from PIL import Image

        if not hasattr(self, "processor"):
            _, self.processor = self.build()
        image = Image.open(photo).convert("RGB")
        prepared = self.processor(images=image, return_tensors="pt")["pixel_values"].numpy()
        logits, boxes = (torch.from_numpy(array) for array in session(path)(prepared))
        outputs = types.SimpleNamespace(logits=logits, pred_boxes=boxes)
        found = self.processor.post_process_object_detection(outputs, threshold=0.5, target_sizes=[image.size[::-1]])[0]
        rows = torch.cat([found["boxes"], found["scores"][:, None], found["labels"][:, None].float()], 1).numpy()
        width, height = image.size
        rows[:, :4] = rows[:, :4].clip(0, [width, height, width, height])
        return rows


class Small(nn.Module):
    """A network of a few thousand weights with the outputs of a package: what is compared is how images are prepared, and what the outputs stand for."""

    def __init__(self, kind, shift, size, order=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(SEED)
        random = lambda *shape: torch.randn(shape, generator=generator)
        self.kind, self.size, self.order = kind, size, order
        self.classes = 20
        self.strides = {"fastestdet": [16], "nanodet": [8, 16, 32, 64], "detr": [32], "rtdetr": [16], "ultralytics-rtdetr": [16]}.get(kind, [8, 16, 32])
        anchors = 3 if kind == "yolov5" else 1
        self.anchors, numbers = anchors, {"nanodet": 32}.get(kind, 5)
        self.numbers = numbers
        self.first = nn.ParameterList([nn.Parameter(random(12, 3, 3, 3) * 2.0) for _ in self.strides])
        self.last = nn.ParameterList([nn.Parameter(random(anchors * (numbers + self.classes), 12, 1, 1) * 0.8) for _ in self.strides])
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, images):
        levels = []
        for stride, first, last in zip(self.strides, self.first, self.last):
            x = nn.functional.avg_pool2d(images * self.order, stride, ceil_mode=True)
            x = x - x.mean((2, 3), keepdim=True)
            x = nn.functional.conv2d(torch.tanh(nn.functional.conv2d(x, first, padding=1)), last)
            levels.append((stride, x))
        if self.kind == "fastestdet":
            x = levels[0][1]
            return torch.cat([(x[:, :1] + self.shift).sigmoid(), x[:, 1:5], x[:, 5:].softmax(1)], 1)
        rows, places = [], []
        for stride, x in levels:
            batch, numbers, height, width = x.shape
            x = x.reshape(batch, self.anchors, numbers // self.anchors, height * width).permute(0, 1, 3, 2).reshape(batch, -1, numbers // self.anchors)
            rows.append(x)
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            cell = torch.stack([x.flatten(), y.flatten(), torch.full((height * width,), stride), torch.full((height * width,), stride)], 1).float()
            places.append(cell.repeat(self.anchors, 1))
        rows, places = torch.cat(rows, 1), torch.cat(places, 0)[None]
        numbers, scores = rows[..., : self.numbers], (rows[..., self.numbers :] + self.shift).sigmoid()
        if self.kind == "nanodet":
            return torch.cat([scores, numbers], 2)
        center = (places[..., :2] + numbers[..., :2].sigmoid()) * places[..., 2:3]
        size = (numbers[..., 2:4].sigmoid() * 4 + 1) * places[..., 2:3]
        objectness = (numbers[..., 4:5] + 2).sigmoid()
        if self.kind == "yolov8":
            return torch.cat([center, size, scores], 2).transpose(1, 2)
        if self.kind == "yolov5":
            return torch.cat([center, size, objectness, scores], 2)
        if self.kind == "yolox":
            return torch.cat([numbers[..., :4], objectness, scores], 2)
        if self.kind == "yolov10":
            best, index = scores.max(2)[0].topk(300, 1)
            pick = lambda x: x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
            top, chosen = pick(scores).max(2)
            return torch.cat([pick(center - size / 2), pick(center + size / 2), top[..., None], chosen[..., None].float()], 2)
        boxes = torch.cat([center, size], 2) / self.size
        if self.kind == "ultralytics-rtdetr":
            top, chosen = scores.max(2)
            return torch.cat([boxes, top[..., None], chosen[..., None].float()], 2)[:, :300]
        logits = rows[..., self.numbers :] + self.shift
        if self.kind == "detr":
            return torch.cat([logits, torch.zeros_like(logits[..., :1]) + 2.0], 2), boxes
        return logits[:, :300], boxes[:, :300]


def small(network, path, shift):
    """Exports the small network of a package."""
    kind = "yolov8" if network.name in ["yolo11", "yolov5u"] else "yolov10" if network.name == "yolo26" else network.name
    scale = {"yolox": 1 / 255, "nanodet": 0.25, "detr": 0.25}.get(kind, 1.0)
    outputs = ["logits", "pred_boxes"] if kind in ["detr", "rtdetr"] else ["output0"]
    names = {"input_names": ["images"], "output_names": outputs, "dynamic_axes": {}}
    if not isinstance(network, Ultralytics):
        names["dynamic_axes"] = {name: {0: "batch"} for name in ["images", *outputs]}
    torch.onnx.export(Small(kind, shift, network.size, scale).eval(), torch.zeros(1, 3, network.size, network.size), path, dynamo=False, opset_version=17, **names)
    if isinstance(network, Ultralytics):
        model = onnx.load(path)
        facts = {"author": "Ultralytics", "task": "detect", "stride": "32", "batch": "1", "imgsz": str([network.size] * 2)}
        facts["description"] = f"Ultralytics {pathlib.Path(network.config).stem} model"
        facts["names"] = str({number: f"class {number}" for number in range(20)})
        onnx.helper.set_model_props(model, facts)
        onnx.save(model, path)
    network.opened = None


def draw(folder):
    """Draws images of rectangles, without loss: decoders of JPEG differ by some gray levels, which small networks see."""
    generator = numpy.random.default_rng(SEED)
    for number, (width, height) in enumerate([(480, 360), (300, 420), (640, 240)]):
        image = numpy.full((height, width, 3), 128, numpy.uint8)
        for _ in range(80):
            x, y, w, h = (int(generator.integers(0, most)) for most in (width, height, 120, 120))
            image[y : y + h, x : x + w] = generator.integers(0, 256, 3)
        cv2.imwrite(str(folder / f"rectangles{number}.png"), image)


def prepare(network, path, photos, images):
    """Raises the biases of the classes until enough photos have the wanted number of boxes."""
    low, high = -14.0, 8.0
    for _ in range(9):
        shift = (low + high) / 2
        if images is None:
            small(network, path, shift)
        else:
            network.export(path, images, shift)
        counts = [len(network.boxes(path, photo)) for photo in photos]
        middle = numpy.median(counts)
        print(network.name, f"{shift:.3f}", counts, flush=True)
        if sum(FEWEST <= count < MOST for count in counts) >= min(PHOTOS, len(photos)):
            return shift
        low, high = (low, shift) if middle > 50 else (shift, high)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("sources", type=pathlib.Path)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--small", action="store_true", help="networks of a few thousand weights, for the folder detectors beside this script")
    args = parser.parse_args()
    args.dir.mkdir(parents=True, exist_ok=True)
    if args.small:
        draw(args.photos)
    photos = sorted([*args.photos.rglob("*.jpg"), *args.photos.rglob("*.png")])
    networks = [
        Ultralytics("yolov8", "yolov8n.yaml", 80),
        Ultralytics("yolo11", "yolo11n.yaml", 80),
        Ultralytics("yolov5u", "yolov5n.yaml", 80),
        Ultralytics("yolov10", "yolov10n.yaml", 80),
        Ultralytics("yolo26", "yolo26n.yaml", 80),
        Ultralytics("ultralytics-rtdetr", "rtdetr-l.yaml", 80),
        YoloV5(args.sources),
        YoloX(args.sources),
        NanoDet(args.sources),
        FastestDet(args.sources),
        Transformers("detr", 320),
        Transformers("rtdetr", 320),
    ]
    if args.small:
        twins = ["yolo11", "yolov5u", "yolo26"]
        networks = [network for network in networks if network.name not in twins]
    known = args.dir / "detectors.json"
    golden = json.loads(known.read_text()) if known.exists() else {}
    for network in networks:
        if args.name and network.name != args.name:
            continue
        path = args.dir / f"{network.name}.onnx"
        # Gray bars are a part of what a network sees.
        whole = lambda photo: cv2.resize(photo, (network.size, network.size))
        prepare_photo = whole if isinstance(network, (FastestDet, NanoDet, Transformers)) else lambda photo: letterbox(photo, network.size)
        images = None if args.small else [prepare_photo(cv2.imread(str(photo)))[..., ::-1] for photo in photos]
        images = images and torch.from_numpy(numpy.stack(images).transpose(0, 3, 1, 2).astype(numpy.float32) / 255)
        if prepare(network, path, photos, images) is None:
            print(network.name, "has no bias that keeps the wanted number of boxes")
        found = {}
        for photo in photos:
            rows = network.boxes(path, photo)
            if FEWEST <= len(rows) < MOST and len(found) < PHOTOS:
                found[photo.name] = [[round(float(number), 4 if place == 4 else 2) for place, number in enumerate(row)] for row in rows]
        golden[network.name] = found
        known.write_text(json.dumps(golden))


if __name__ == "__main__":
    main()
