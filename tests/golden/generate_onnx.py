#!/usr/bin/env python3
"""Writes ONNX files and what onnxruntime and pytorch-grad-cam compute of them.

    venv/bin/python generate_onnx.py                        # the small networks of crates/cam-onnx/tests/golden, a minute
    venv/bin/python generate_onnx.py --networks DIR [NAME]  # networks of torchvision and timm at full size, for the ignored test
    venv/bin/python generate_onnx.py --operators DIR        # the tests of the package onnx, for the ignored test
"""

import argparse
import logging
import pathlib
import warnings

import numpy
import onnx
import onnxruntime
import timm
import torch
import torchvision
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.numpy import save_file
from torch import nn
from torchvision.models import convnext, mobilenetv3

import files

PACKAGES = ["torch", "torchvision", "timm", "onnx", "onnxruntime", "onnxscript", "grad-cam", "numpy"]
GOLDEN = files.HERE.parents[1] / "crates/cam-onnx/tests/golden"
# The class that is explained.
CLASS = 1

# Networks at full size: torchvision's, and timm's after a colon, each with a layer whose Grad-CAM is compared.
NETWORKS = {
    "alexnet": None, "convnext_tiny": "features.7.2", "densenet121": None, "efficientnet_b0": None, "efficientnet_v2_s": None,
    "googlenet": None, "inception_v3": None, "maxvit_t": None, "mnasnet0_5": None, "mobilenet_v2": None, "mobilenet_v3_small": None,
    "mobilenet_v3_large": None, "regnet_x_400mf": None, "regnet_y_400mf": None, "resnet18": "layer4.1", "resnet50": "layer4.2",
    "resnext50_32x4d": None, "shufflenet_v2_x0_5": None, "squeezenet1_1": None, "swin_t": None, "swin_v2_t": None, "vgg11_bn": None,
    "vit_b_32": None, "wide_resnet50_2": None,
    ":vit_tiny_patch16_224": "blocks.11.norm1", ":deit_tiny_distilled_patch16_224": None, ":swin_tiny_patch4_window7_224": None,
    ":convnext_pico": None, ":mobilevit_xxs": None, ":edgenext_xx_small": None, ":ghostnet_100": None, ":resmlp_12_224": None,
    ":mixer_s32_224": None, ":pvt_v2_b0": None, ":levit_128s": None, ":efficientformer_l1": None, ":fastvit_t8": None,
    ":poolformer_s12": None, ":xcit_nano_12_p16_224": None, ":coat_lite_tiny": None, ":regnetz_b16": None, ":resnest14d": None,
    ":res2net50_26w_4s": None, ":hrnet_w18_small": None, ":dla34": None, ":cspresnet50": None, ":darknet53": None, ":tinynet_e": None,
    ":mobilenetv4_conv_small": None, ":repvgg_a0": None, ":rexnet_100": None, ":nfnet_l0": None, ":volo_d1_224": None, ":cait_xxs24_224": None,
    ":beit_base_patch16_224": None, ":eva02_tiny_patch14_224": None, ":maxvit_nano_rw_256": None, ":twins_pcpvt_small": None,
    ":visformer_tiny": None, ":crossvit_tiny_240": None, ":gmlp_s16_224": None, ":convmixer_768_32": None, ":focalnet_tiny_srf": None,
    ":davit_tiny": None, ":inception_next_tiny": None, ":mambaout_femto": None, ":hgnetv2_b0": None, ":efficientvit_b0": None,
    ":tiny_vit_5m_224": None, ":repvit_m0_9": None, ":starnet_s1": None, ":lcnet_050": None, ":selecsls42": None, ":vovnet39a": None,
    ":xception41": None, ":senet154": None, ":dpn48b": None, ":nextvit_small": None, ":swiftformer_xs": None, ":mvitv2_tiny": None,
}


class Residual(nn.Module):
    """A block with a sum, as torchvision's BasicBlock."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class SmallResNet(nn.Module):
    """A stem, two stages of residual blocks, a classifier."""

    def __init__(self, activation=None):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Residual(8), Residual(8))
        self.layer2 = nn.Sequential(nn.Conv2d(8, 12, 3, 1, 1), Residual(12))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 5)
        self.activation = activation or nn.Identity()

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.activation(self.fc(self.avgpool(self.layer2(self.layer1(x))).flatten(1)))


class ChannelsLast(nn.Module):
    """A network whose input has its channels last, as TensorFlow's."""

    def __init__(self):
        super().__init__()
        self.net = SmallResNet(nn.Softmax(1))

    def forward(self, x):
        return self.net(x.permute(0, 3, 1, 2))


class Ports(nn.Module):
    """A network with two more inputs, numbers of which one row is for all images, and a second output."""

    def __init__(self):
        super().__init__()
        self.net, self.other = SmallResNet(), nn.Linear(5, 3)

    def forward(self, images, scale, offset):
        logits = self.net(images) * scale + offset
        return logits, torch.sigmoid(self.other(logits))


def small():
    """Small networks of the kinds that there are: name, network, side of the input, layer, shape of its tokens."""
    Setting, Block = mobilenetv3.InvertedResidualConfig, convnext.CNBlockConfig
    depthwise = mobilenetv3.MobileNetV3(
        [Setting(8, 3, 16, 8, True, "RE", 2, 1, 0.5), Setting(8, 5, 24, 12, True, "HS", 1, 1, 0.5)], 16, num_classes=5)
    densenet = torchvision.models.DenseNet(4, (2, 2), 8, num_classes=5)
    last = convnext.ConvNeXt([Block(8, 12, 1), Block(12, None, 1)], num_classes=5, layer_scale=0.5)
    vit = timm.models.VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5)
    swin = torchvision.models.SwinTransformer([2, 2], 12, [2, 2], [2, 4], [4, 4], num_classes=5)
    return [
        ("residual", SmallResNet(), 32, "layer2.1", None),
        ("depthwise", depthwise, 32, "features.2", None),
        ("densenet", densenet, 32, "features.denseblock2", None),
        ("convnext", last, 32, "features.3", None),
        ("vit", vit, 32, "blocks.1.norm1", (4, 4)),
        ("swin", swin, 32, "features.3.1.norm1", "last"),
        ("nhwc", ChannelsLast(), 32, "net.layer2.1", None),
    ]


@torch.no_grad()
def spread(network, generator):
    """Gives norms statistics and parameters that are not those of a new network, and classifiers weights that are not zero."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.75)
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)) and module.weight is not None:
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) * 0.5 + 0.75)
            module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.1)
        if isinstance(module, nn.Linear) and module.weight.abs().max() == 0:
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * 0.05)
    return network.eval()


def export(network, images, path, dynamo):
    names = dict(input_names=["images"], output_names=["logits"])
    if dynamo:
        options = dict(dynamo=True, external_data=False, verbose=False, **names)
        try:
            batch = torch.export.Dim("batch", min=1, max=64)
            torch.onnx.export(network, (images,), path, dynamic_shapes=({0: batch},), **options)
        except Exception:
            # Of some networks only one batch size can be exported.
            torch.onnx.export(network, (images,), path, **options)
        model = onnx.load(path)
        for node in model.graph.node:
            # Traces of the stack name files of this machine.
            for entry in [entry for entry in node.metadata_props if "name_scopes" not in entry.key]:
                node.metadata_props.remove(entry)
        onnx.save(model, path)
    else:
        torch.onnx.export(network, images, path, opset_version=17, dynamo=False,
                          dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}}, **names)


def outputs(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images.numpy()})[0]


def grad_cam(network, layer, images, tokens):
    """pytorch-grad-cam's map, not blank; NCHW images whatever the network reads."""
    reshape = None
    if tokens == "last":
        reshape = lambda x: x.permute(0, 3, 1, 2)
    elif tokens:
        reshape = lambda x: x[:, -tokens[0] * tokens[1]:].reshape(len(x), *tokens, -1).permute(0, 3, 1, 2)
    cam = GradCAM(network, [dict(network.named_modules())[layer]], reshape_transform=reshape)
    cam = cam(images, [ClassifierOutputTarget(CLASS)] * len(images))
    return cam if cam.std() > 0.01 else None


def write(path, network, shape, layer, tokens, dynamo, numbers_file=None):
    """The file, and the outputs and the map of its images; all exporters of a network may share the latter."""
    torch.manual_seed(5)
    one, three = torch.randn(1, *shape), torch.randn(3, *shape)
    export(network, one, str(path), dynamo)
    numbers_file = numbers_file or path.with_suffix(".safetensors")
    if numbers_file.exists():
        return
    numbers = {}
    for batch, images in ((1, one), (3, three)):
        try:
            found = outputs(str(path), images)
        except Exception:
            # The file is for one image only.
            found = numpy.concatenate([outputs(str(path), image[None]) for image in images])
        numbers[f"input{batch}"], numbers[f"output{batch}"] = images.numpy(), found
    if layer is not None:
        cam = grad_cam(network, layer, one, tokens)
        if cam is not None:
            numbers[f"map:{layer}"] = cam
    save_file({name: numpy.ascontiguousarray(array, dtype=numpy.float32) for name, array in numbers.items()}, numbers_file)


def ports(folder):
    """A network of several inputs and outputs."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    network = spread(Ports(), torch.Generator().manual_seed(2))
    scale, offset = torch.tensor([[1.0, 2.0, -1.0, 0.5, 3.0]]), torch.tensor([2])
    inputs, path = ["images", "scale", "offset"], folder / "ports.onnx"
    torch.onnx.export(network, (torch.randn(1, 3, 32, 32), scale, offset), str(path), opset_version=17, dynamo=False, input_names=inputs,
                      output_names=["logits", "others"], dynamic_axes={name: {0: "batch"} for name in ("images", "scale", "logits", "others")})
    numbers = {"scale": scale.numpy(), "offset": offset.float().numpy()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(batch, 3, 32, 32).numpy()
        given = dict(zip(inputs, (images, scale.numpy().repeat(batch, 0), offset.numpy())))
        numbers |= dict(zip((f"input{batch}", f"logits{batch}", f"others{batch}"), (images, *session.run(None, given))))
    save_file({name: numpy.ascontiguousarray(array, dtype=numpy.float32) for name, array in numbers.items()},
              path.with_suffix(".safetensors"))
    print(path.name, path.stat().st_size)


class Images(CalibrationDataReader):
    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"images": image[None]}


def golden():
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.glob("*.safetensors"):
        path.unlink()
    for name, network, side, layer, tokens in small():
        torch.manual_seed(1)
        network = spread(network, torch.Generator().manual_seed(2))
        timm.layers.set_fused_attn(False)
        shape = (side, side, 3) if name == "nhwc" else (3, side, side)
        for exporter in ("torchscript", "dynamo"):
            path = GOLDEN / f"{name}_{exporter}.onnx"
            write(path, network, shape, None if name == "nhwc" else layer, tokens, exporter == "dynamo",
                  GOLDEN / f"{name}.safetensors")
            print(path.name, path.stat().st_size)
    ports(GOLDEN / "ports")
    float_file = GOLDEN / "residual_torchscript.onnx"
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(4)).numpy()
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        path = GOLDEN / f"residual_{form.name.lower()}.onnx"
        quantize_static(float_file, path, Images(images), quant_format=form, per_channel=form == QuantFormat.QDQ)
        one, three = torch.from_numpy(images[:1]), torch.from_numpy(images[1:4])
        numbers = {f"input{len(x)}": x.numpy() for x in (one, three)}
        numbers |= {f"output{len(x)}": outputs(str(path), x) for x in (one, three)}
        save_file(numbers, path.with_suffix(".safetensors"))
        print(path.name, path.stat().st_size)


def networks(folder, wanted):
    folder.mkdir(exist_ok=True)
    for name, layer in NETWORKS.items():
        if wanted and name not in wanted:
            continue
        torch.manual_seed(0)
        if name.startswith(":"):
            timm.layers.set_fused_attn(False)
            network = timm.create_model(name[1:])
            side = network.default_cfg["input_size"][-1]
        else:
            options = dict(aux_logits=False, init_weights=True) if name in ("googlenet", "inception_v3") else {}
            network, side = getattr(torchvision.models, name)(**options), 299 if name == "inception_v3" else 224
        network = spread(network, torch.Generator().manual_seed(2))
        tokens = (14, 14) if "vit_tiny" in name else None
        for exporter in ("torchscript", "dynamo"):
            path = folder / f"{name.replace(':', 'timm_')}_{exporter}.onnx"
            try:
                write(path, network, (3, side, side), layer, tokens, exporter == "dynamo")
                print(path.name, path.stat().st_size, flush=True)
            except Exception as error:
                path.unlink(missing_ok=True)
                print(path.name, "is not exported:", str(error)[:120].replace("\n", " "), flush=True)


def operators(folder):
    from onnx.backend.test.case.node import collect_testcases
    folder.mkdir(exist_ok=True)
    for case in collect_testcases(None):
        numbers = {}
        for kind, ports, arrays in zip(("input", "output"), (case.model.graph.input, case.model.graph.output), case.data_sets[0]):
            for port, array in zip(ports, arrays):
                if isinstance(array, (numpy.ndarray, numpy.generic)) and numpy.asarray(array).dtype.kind in "fiub":
                    array = numpy.asarray(array)
                    kept = array if array.dtype == bool else array.astype("f4" if array.dtype.kind == "f" else "i8")
                    numbers[f"{kind}:{port.name}"] = numpy.array(kept, order="C")
        if len(numbers) == sum(map(len, case.data_sets[0])):
            save_file(numbers, folder / f"{case.name}.safetensors")
            onnx.save(case.model, folder / f"{case.name}.onnx")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--any-version", action="store_true", help="do not insist on the versions of requirements.txt")
    parser.add_argument("--networks", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--operators", type=pathlib.Path, metavar="DIR")
    parser.add_argument("names", nargs="*", help="of the networks; by default all")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if not arguments.any_version:
        files.insist(PACKAGES)
    if arguments.networks:
        networks(arguments.networks, arguments.names)
    elif arguments.operators:
        operators(arguments.operators)
    else:
        golden()


if __name__ == "__main__":
    main()
