#!/usr/bin/env python3
"""Writes folders.json and folders/: what transformers and timm make of photos by the configurations that they save with a model.

    venv/bin/pip install pillow==11.3.0          # images are resized across first; Pillow 13 takes the cheaper order
    venv/bin/python generate_folders.py          # a minute

A network is saved to a folder by its library. Its parameters are hashes of the names that its file has, so that names and shapes are all
that is kept of it. Every photo is read as RGB. The PNGs have the pixels that libjpeg-turbo finds in the JPEGs.
"""

import json
import math
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import PIL
import timm
import torch
import transformers
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config
from timm.models import save_for_hf

import files
from hashed import uniform

PACKAGES = ["torch", "torchvision", "transformers", "timm", "numpy", "safetensors"]
FOLDER = files.HERE / "folders"
CLASSES = 5
LABELS = dict(id2label={i: f"thing {i}" for i in range(CLASSES)}, label2id={f"thing {i}": i for i in range(CLASSES)})


def photo(name, width, height, mode):
    """Soft colors with sharp edges and some grain."""
    rough = uniform(f"{name}.rough", (6, 6, 3), 20, 235).numpy().astype(np.uint8)
    image = Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for box, color in zip(uniform(f"{name}.boxes", (14, 4), 0, 1).tolist(), uniform(f"{name}.colors", (14, 3), 0, 255).tolist()):
        x, y, w, h = box[0] * width, box[1] * height, (0.05 + box[2] / 3) * width, (0.05 + box[3] / 3) * height
        (draw.ellipse if box[2] > 0.5 else draw.rectangle)([x, y, x + w, y + h], fill=tuple(map(int, color)))
    grain = uniform(f"{name}.grain", (height, width, 1), -5, 5).numpy()
    image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    image.convert(mode).save(FOLDER / f"{name}.jpg", quality=90)
    Image.open(FOLDER / f"{name}.jpg").save(FOLDER / f"{name}.png", optimize=True)


def parameter_range(name, shape):
    """The range of a parameter, by the last part of its name, and its rank."""
    leaf = name.rpartition(".")[2]
    if leaf == "running_mean":
        return -0.2, 0.2
    if leaf == "running_var":
        return 0.5, 1.5
    if len(shape) == 3 or leaf == "relative_position_bias_table":
        return -0.5, 0.5
    if len(shape) > 1:
        bound = math.sqrt(6.0 / math.prod(shape[1:]))
        return -bound, bound
    if name.endswith((".bn2.weight", ".bn3.weight")):  # small at the end of a block, so that sums stay of order 1
        return 0.1, 0.3
    return (0.8, 1.2) if leaf == "weight" else (-0.5, 0.5)


def fill(folder):
    """Gives every tensor of floats of a saved model the hash of its name. Returns the shapes."""
    path = Path(folder) / "model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = uniform(name, tensor.shape, *parameter_range(name, tensor.shape))
    save_file(tensors, path, metadata={"format": "pt"})
    return {name: list(tensor.shape) for name, tensor in sorted(tensors.items()) if tensor.is_floating_point()}


@torch.no_grad()
def warm(network, inputs):
    """Gives the head weights that are so many times larger that the logits differ by some units, and returns the factor."""
    heads = {name: tensor for name, tensor in network.state_dict().items() if tensor.ndim == 2 and tensor.shape[0] == CLASSES}

    def fill_heads(factor):
        for name, tensor in heads.items():
            bound = factor * parameter_range(name, tensor.shape)[1]
            tensor.copy_(uniform(name, tensor.shape, -bound, bound))

    fill_heads(1.0)
    logits = torch.cat([getattr(y, "logits", y) for y in (network(x[None]) for x in inputs)])
    factor = float(f"{2 / float((logits - logits.mean(1, keepdim=True)).std()):.2g}")
    fill_heads(factor)
    return factor


def numbers(values):
    return [[float(f"{value:.6g}") for value in row] for row in values]


@torch.no_grad()
def probabilities(network, inputs, multi=False):
    rows = []
    for x in inputs:
        logits = network(x[None])
        logits = getattr(logits, "logits", logits)
        rows += (torch.sigmoid(logits) if multi else torch.softmax(logits, 1)).double().tolist()
    return rows


def photos():
    return [Image.open(FOLDER / f"{name}.jpg").convert("RGB") for name in ["wide", "tall", "gray"]]


def check(name, rows, changed):
    """The probabilities have to tell a crop that is one pixel off, so that the test of them can fail."""
    assert np.abs(np.array(rows) - np.array(changed)).max() > 5e-4, (name, rows, changed)
    assert np.ptp(np.array(rows), axis=0).max() > 4e-3, (name, rows)


def prepared(processor, images):
    return [torch.tensor(np.ascontiguousarray(processor(image)["pixel_values"][0])).float()
            for image in images]


NETWORKS = dict(
    resnet=lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], layer_type="basic", **LABELS)),
    resnet_strided=lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1], layer_type="bottleneck",
        downsample_in_first_stage=True, **LABELS)),
    vit=lambda: transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=64, patch_size=16,
        hidden_act="quick_gelu", layer_norm_eps=0.05, **LABELS)),
    vit_sigmoid=lambda: transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, image_size=[48, 80], patch_size=16,
        problem_type="multi_label_classification", **LABELS)),
    deit=lambda: transformers.DeiTForImageClassification(transformers.DeiTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=64, patch_size=16, **LABELS)),
    deit_teacher=lambda: transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, image_size=64, patch_size=16, **LABELS)),
    convnext=lambda: transformers.ConvNextForImageClassification(transformers.ConvNextConfig(
        hidden_sizes=[8, 12, 16, 24], depths=[1, 2, 1, 1], **LABELS)),
    convnextv2=lambda: transformers.ConvNextV2ForImageClassification(transformers.ConvNextV2Config(
        hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1], **LABELS)),
    swin=lambda: transformers.SwinForImageClassification(transformers.SwinConfig(
        embed_dim=12, depths=[1, 2], num_heads=[2, 4], window_size=4, image_size=64, **LABELS)),
)

# The network, the class, what is stated of it, and keys that are then taken out of its file (the class's default has to be known).
A = "height", "width"
PROCESSORS = [
    ("vit", "ViT", dict(size=dict(height=64, width=64)), []),
    ("vit", "ViT", dict(size=dict(height=64, width=64), resample=3, do_rescale=False, image_mean=[100.0, 120.0, 130.0], image_std=[60.0] * 3), []),
    ("vit", "CLIP", dict(size=dict(shortest_edge=72), crop_size=dict(height=64, width=64)), ["image_mean", "resample"]),
    ("vit_sigmoid", "ViT", dict(size=dict(height=48, width=80), resample=4), ["image_mean", "image_std"]),
    ("deit", "DeiT", dict(size=dict(height=72, width=72), crop_size=dict(height=64, width=64)), ["do_center_crop"]),
    ("deit_teacher", "DeiT", dict(size=dict(height=64, width=64), do_center_crop=False), []),
    ("swin", "ViT", dict(size=dict(height=64, width=64), resample=1), []),
    ("convnext", "ConvNext", dict(size=dict(shortest_edge=96)), []),
    ("convnextv2", "ConvNext", dict(size=dict(shortest_edge=384)), []),
    ("resnet_strided", "ConvNext", dict(size=dict(shortest_edge=224), crop_pct=0.875), []),
    ("resnet", "ViT", {}, ["size", "resample", "image_mean", "image_std", "do_normalize", "do_rescale", "rescale_factor", "do_resize"]),
    ("resnet", "ViT", dict(resample=0, do_normalize=False), []),
    ("resnet", "ViT", dict(resample=5, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], size=dict(height=97, width=120)), []),
    ("resnet", "Beit", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "Beit", dict(do_center_crop=True, size=dict(height=256, width=256)), ["crop_size"]),
    ("resnet", "Bit", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "Bit", dict(size=dict(shortest_edge=257), crop_size=dict(height=224, width=200)), []),
    ("resnet", "CLIP", dict(do_center_crop=False, size=dict(shortest_edge=101)), []),
    ("resnet", "CLIP", dict(do_center_crop=False, size=dict(shortest_edge=150, longest_edge=200)), []),
    ("resnet", "ConvNext", {}, ["size", "crop_pct", "resample", "image_mean", "image_std"]),
    ("resnet", "ConvNext", dict(size=dict(shortest_edge=160), crop_pct=0.95), []),
    ("resnet", "DeiT", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "EfficientNet", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std", "include_top", "rescale_offset"]),
    ("resnet", "EfficientNet", dict(rescale_factor=1 / 127.5, rescale_offset=True, include_top=False, do_center_crop=True, image_std=[0.4785, 0.4732, 0.4743]), []),
    ("resnet", "Levit", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "MobileNetV1", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "MobileNetV2", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std"]),
    ("resnet", "MobileViT", {}, ["size", "crop_size", "do_center_crop", "resample", "do_flip_channel_order"]),
    ("resnet", "MobileViT", dict(size=dict(shortest_edge=288), do_flip_channel_order=False), []),
    ("resnet", "PoolFormer", {}, ["size", "crop_size", "do_center_crop", "resample", "image_mean", "image_std", "crop_pct"]),
    ("resnet", "PoolFormer", dict(size=dict(height=160, width=160), crop_pct=0.95, crop_size=dict(height=150, width=150)), []),
    ("resnet", "Pvt", {}, ["size", "resample", "image_mean", "image_std"]),
    ("resnet", "Segformer", dict(size=dict(height=128, width=128)), ["resample", "image_mean", "image_std"]),
    ("resnet", "Siglip", {}, ["size", "resample", "image_mean", "image_std"]),
]


def of_transformers(report):
    networks = {}
    for name, make in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            make().save_pretrained(folder)
            shapes = fill(folder)
            auto = transformers.AutoModelForImageClassification
            kind = type(make()) if name == "deit_teacher" else auto
            networks[name] = kind.from_pretrained(folder).eval()
            config = json.loads((Path(folder) / "config.json").read_text())
        report["networks"][name] = dict(config=config, tensors=shapes)
    images = photos()
    shifted = [image.crop((1, 1, image.width, image.height)) for image in images]
    for network, kind, stated, absent in PROCESSORS:
        pil = getattr(transformers, f"{kind}ImageProcessorPil")(**stated)
        with tempfile.TemporaryDirectory() as folder:
            pil.save_pretrained(folder)
            config = json.loads((Path(folder) / "preprocessor_config.json").read_text())
        config = {key: value for key, value in config.items() if key not in absent}
        again = type(pil)(**{key: value for key, value in config.items() if key != "image_processor_type"})
        multi = network == "vit_sigmoid"
        inputs = prepared(again, images)
        head = warm(networks[network], inputs)
        rows, changed = (probabilities(networks[network], some, multi) for some in (inputs, prepared(again, shifted)))
        check((network, kind), rows, changed)
        other = getattr(transformers, f"{kind}ImageProcessor")(**stated)
        try:
            others = [other(image, return_tensors="pt")["pixel_values"][0] for image in images]
            off = np.abs(np.array(rows) - np.array(probabilities(networks[network], others, multi))).max()
            print(f"{network:15} {kind:14} the backend of torchvision is off by {off:.1e}")
        except (NotImplementedError, KeyError) as error:
            print(f"{network:15} {kind:14} the backend of torchvision fails: {type(error).__name__}")
        report["cases"].append(dict(network=network, head=head, preprocessor_config=config, probabilities=numbers(rows)))


# Networks that are opened through ONNX: the image processor that transformers saves with them, and its size.
ONNX = dict(
    regnet=(lambda: transformers.RegNetForImageClassification(transformers.RegNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], groups_width=4, **LABELS)), "ConvNext",
        dict(size=dict(shortest_edge=96), crop_pct=0.95, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])),
)


class Logits(torch.nn.Module):
    """A network of transformers whose output is a tensor."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixel_values):
        return self.network(pixel_values).logits


def of_onnx(report):
    images = photos()
    shifted = [image.crop((1, 1, image.width, image.height)) for image in images]
    for name, (make, kind, stated) in ONNX.items():
        network = make().eval()
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(uniform(key, tensor.shape, *parameter_range(key, tensor.shape)))
        processor = getattr(transformers, f"{kind}ImageProcessorPil")(**stated)
        inputs = prepared(processor, images)
        warm(network, inputs)
        rows, changed = (probabilities(network, some) for some in (inputs, prepared(processor, shifted)))
        check(name, rows, changed)
        torch.onnx.export(Logits(network), inputs[0][None], FOLDER / f"{name}.onnx", opset_version=17, dynamo=False,
                          input_names=["pixel_values"], output_names=["logits"],
                          dynamic_axes=dict(pixel_values={0: "batch"}, logits={0: "batch"}))
        with tempfile.TemporaryDirectory() as folder:
            network.save_pretrained(folder), processor.save_pretrained(folder)
            config, preprocessor = (json.loads((Path(folder) / f"{part}.json").read_text())
                                    for part in ("config", "preprocessor_config"))
            shapes = {key: list(tensor.shape) for key, tensor in load_file(Path(folder) / "model.safetensors").items()}
        print(name, (FOLDER / f"{name}.onnx").stat().st_size, "bytes")
        report["onnx"].append(dict(network=name, config=config, preprocessor_config=preprocessor, tensors=shapes,
                                   probabilities=numbers(rows)))


TIMM = [
    ("vit_tiny_patch16_224", dict(embed_dim=24, depth=2, num_heads=3, img_size=64), dict(input_size=(3, 64, 64), crop_pct=0.9)),
    ("deit_tiny_patch16_224", dict(embed_dim=24, depth=1, num_heads=3, img_size=64, global_pool="avg"),
     dict(input_size=(3, 64, 64), crop_pct=1.0, crop_mode="squash", interpolation="bilinear")),
    ("swin_tiny_patch4_window7_224", dict(embed_dim=12, depths=(1, 2), num_heads=(2, 4), window_size=4, img_size=64),
     dict(input_size=(3, 64, 64), crop_pct=0.95, crop_mode="squash", interpolation="lanczos")),
    ("resnet18", {}, dict(input_size=(3, 90, 133), crop_pct=0.875, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))),
    ("densenet121", dict(growth_rate=8, block_config=(2, 2, 2, 2)),
     dict(input_size=(3, 111, 111), crop_pct=0.8, interpolation="nearest")),
]


def of_timm(report):
    images = photos()
    shifted = [image.crop((1, 1, image.width, image.height)) for image in images]
    for name, arguments, trained in TIMM:
        model = timm.create_model(name, num_classes=CLASSES, **arguments)
        model.pretrained_cfg.update(trained, num_classes=CLASSES, label_names=[f"n{i}" for i in range(CLASSES)],
                                    label_descriptions={f"n{i}": f"thing {i}" for i in range(CLASSES)})
        with tempfile.TemporaryDirectory() as folder:
            save_for_hf(model, folder, model_args=arguments, safe_serialization=True)
            shapes = fill(folder)
            config = json.loads((Path(folder) / "config.json").read_text())
            model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        transform = create_transform(**resolve_data_config(pretrained_cfg=config["pretrained_cfg"]))
        model.eval()
        head = warm(model, [transform(image) for image in images])
        rows, changed = (probabilities(model, [transform(image) for image in some]) for some in (images, shifted))
        check(name, rows, changed)
        print(f"{name}")
        report["networks"][name] = dict(config=config, tensors=shapes)
        report["cases"].append(dict(network=name, head=head, preprocessor_config=None, probabilities=numbers(rows)))


def main():
    """The photos, the networks, and what they say of the photos."""
    assert PIL.__version__.startswith("11."), PIL.__version__
    FOLDER.mkdir(exist_ok=True)
    photo("wide", 241, 145, "RGB"), photo("tall", 112, 192, "RGB"), photo("gray", 150, 128, "L")
    torch.manual_seed(0)
    report = dict(versions=files.versions(PACKAGES) | {"pillow": PIL.__version__}, networks={}, cases=[], onnx=[])
    of_transformers(report)
    of_timm(report)
    of_onnx(report)
    text = json.dumps(report, separators=(",", ":"))
    # A network and a case are a line each.
    text = text.replace('{"network":', '\n{"network":').replace('"config":{', '\n"config":{').replace('"tensors":{', '\n"tensors":{')
    (files.HERE / "folders.json").write_text(text + "\n")


if __name__ == "__main__":
    files.main(main, PACKAGES, __doc__)
