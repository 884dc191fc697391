#!/usr/bin/env python3
"""Writes publishers.json: the names, the shapes, the logits and a Grad-CAM of small networks as other publishers name them.

    venv/bin/python generate_publishers.py       # seconds
"""

import functools
import math
import re
from collections import OrderedDict

import timm
import torch
import torchvision
import transformers
from torch import nn

import files
from hashed import images, uniform

PACKAGES = ["torch", "torchvision", "transformers", "timm", "numpy"]
INPUT = dict(name="publishers", batch=2, height=32, width=32, block=8)


def parameter_range(name, shape):
    """The range of a parameter, by the last part of its name and its rank."""
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
    return (0.8, 1.2) if leaf == "weight" else (-0.1, 0.1)


def fill(network, rename=lambda name: name):
    """Gives every tensor of floats the hash of its name; `rename` is what the file calls it."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(uniform(rename(name), tensor.shape, *parameter_range(rename(name), tensor.shape)))
    return network.eval()


class CifarBlock(nn.Module):
    """Two convolutions; the shortcut of another shape is every second position, with channels of zeros around."""

    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.conv2, self.bn2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        self.stride, self.pad = stride, (outer - inner) // 2

    def forward(self, x):
        shortcut = nn.functional.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + shortcut)


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2, as its reimplementations name it."""

    def __init__(self, blocks, width, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        inner = width
        for stage in range(3):
            outer = width << stage
            layers = [CifarBlock(inner if block == 0 else outer, outer, 2 if stage and block == 0 else 1) for block in range(blocks)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            inner = outer
        self.linear = nn.Linear(inner, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Transfer(nn.Module):
    """A backbone without its head, and a head of its own."""

    def __init__(self, backbone, features, classes):
        super().__init__()
        self.backbone, self.classifier = backbone, nn.Linear(features, classes)

    def forward(self, x):
        return self.classifier(self.backbone(x))


class TwoHeads(nn.Module):
    """A backbone with two heads beside one another; the first is what it returns."""

    def __init__(self, backbone, features):
        super().__init__()
        self.backbone, self.fc_a, self.fc_b = backbone, nn.Linear(features, 3), nn.Linear(features, 5)

    def forward(self, x):
        x = self.backbone(x)
        return dict(logits=self.fc_a(x), fc_a=self.fc_a(x), fc_b=self.fc_b(x))


def resnet18(**options):
    return torchvision.models.resnet.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10, **options)


def replaced(network, **parts):
    for name, part in parts.items():
        setattr(network, name, part)
    return network


def with_head(network, head):
    """torchvision's ViT with another head."""
    network.heads = nn.Sequential(OrderedDict(head=head))
    return network


def vgg(last):
    """A narrow VGG, whose last layer is a sequence."""
    network = torchvision.models.VGG(torchvision.models.vgg.make_layers([8, "M", 16, 16, "M"]), init_weights=False)
    network.classifier = nn.Sequential(nn.Linear(16 * 7 * 7, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 24), nn.ReLU(), nn.Dropout(), last)
    return network


def of_vit(kind, model):
    return model(kind(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, image_size=32,
                      patch_size=8, num_labels=10))


def before_5(name):
    """The name of a tensor of a ViT in transformers before 5."""
    for new, old in {".layers.": ".encoder.layer.", ".attention.q_proj.": ".attention.attention.query.",
                     ".attention.k_proj.": ".attention.attention.key.", ".attention.v_proj.": ".attention.attention.value.",
                     ".attention.o_proj.": ".attention.output.dense.", ".mlp.fc1.": ".intermediate.dense.",
                     ".mlp.fc2.": ".output.dense."}.items():
        name = name.replace(new, old)
    return name


def before_5_swin(name):
    """The name of a tensor of a Swin in transformers before 5."""
    for new, old in {".attention.q_proj.": ".attention.self.query.", ".attention.k_proj.": ".attention.self.key.",
                     ".attention.v_proj.": ".attention.self.value.", ".attention.o_proj.": ".attention.output.dense.",
                     ".attention.relative_position_bias.": ".attention.self.", ".mlp.fc1.": ".intermediate.dense.",
                     ".mlp.fc2.": ".output.dense."}.items():
        name = name.replace(new, old)
    return name


def hf_resnet(kind):
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 32, 64] if kind == "basic" else [32, 64, 128, 256],
                                       depths=[1, 1, 1, 1], layer_type=kind, num_labels=10)
    return transformers.ResNetForImageClassification(config)


def hf_swin():
    return transformers.SwinForImageClassification(transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4, num_labels=10))


def timm_convnext(**options):
    return timm.models.convnext.ConvNeXt(depths=(1, 2, 1, 1), dims=(8, 12, 16, 24), num_classes=10, **options)


def authors_convnext(name):
    """How the files of ConvNeXt's authors call a tensor of timm's."""
    name = re.sub(r"^stages\.(\d)\.downsample", r"downsample_layers.\1", re.sub("^stem", "downsample_layers.0", name))
    for ours, theirs in {".blocks.": ".", "conv_dw": "dwconv", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2",
                         "mlp.grn.weight": "grn.gamma", "mlp.grn.bias": "grn.beta", "head.norm": "norm", "head.fc": "head"}.items():
        name = name.replace(ours, theirs)
    return name


def torchvision_convnext():
    block = torchvision.models.convnext.CNBlockConfig
    return torchvision.models.convnext.ConvNeXt(
        [block(8, 12, 1), block(12, 16, 2), block(16, 24, 1), block(24, None, 1)], num_classes=10)


def torchvision_mobilenet_v2():
    rows = [[1, 8, 1, 1], [4, 16, 2, 2], [4, 24, 1, 2], [4, 32, 1, 2], [4, 40, 1, 1], [4, 48, 2, 2], [4, 56, 1, 1]]
    return torchvision.models.MobileNetV2(num_classes=10, inverted_residual_setting=rows)


def torchvision_mobilenet_v3():
    """The stages of MobileNetV3-Small."""
    rows = [(16, 3, 16, 16, True, "RE", 2), (16, 3, 40, 24, False, "RE", 2), (24, 3, 48, 24, False, "RE", 1),
            (24, 5, 64, 32, True, "HS", 2), (32, 5, 64, 32, True, "HS", 1), (32, 5, 72, 40, True, "HS", 1),
            (40, 5, 80, 48, True, "HS", 2), (48, 5, 80, 48, True, "HS", 1)]
    rows = [torchvision.models.mobilenetv3.InvertedResidualConfig(*row, 1, 1) for row in rows]
    return torchvision.models.MobileNetV3(rows, 64, num_classes=10)


def torchvision_efficientnet():
    rows = [(1, 3, 1, 32, 8, 1), (4, 3, 2, 8, 16, 2), (4, 5, 2, 16, 24, 1), (4, 3, 2, 24, 32, 1), (4, 5, 1, 32, 40, 2),
            (4, 5, 2, 40, 48, 1), (4, 3, 1, 48, 56, 1)]
    rows = [torchvision.models.efficientnet.MBConvConfig(*row) for row in rows]
    return torchvision.models.EfficientNet(rows, 0.2, num_classes=10)


def torchvision_efficientnet_v2():
    config = torchvision.models.efficientnet
    rows = [config.FusedMBConvConfig(*row) for row in [(1, 3, 1, 16, 16, 2), (4, 3, 2, 16, 24, 2), (4, 3, 2, 24, 32, 1)]]
    rows += [config.MBConvConfig(*row) for row in [(4, 3, 2, 32, 40, 1), (6, 3, 1, 40, 48, 2), (6, 3, 2, 48, 56, 1)]]
    return config.EfficientNet(rows, 0.2, num_classes=10, norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3), last_channel=64)


def timm_mobilenet_v3():
    return timm.create_model("mobilenetv3_small_050", num_classes=10, bn_eps=1e-3)


def timm_efficientnet():
    return timm.models.efficientnet._gen_efficientnet("efficientnet_b0", 0.25, 0.5, num_classes=10)


def timm_efficientnet_lite():
    return timm.models.efficientnet._gen_efficientnet_lite(
        "tf_efficientnet_lite0", 0.25, 0.5, num_classes=10, bn_eps=1e-3, pad_type="same")


NETWORKS = {
    "torchvision_vit": lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 128, 96, num_classes=10),
    "torchvision_swin": lambda: torchvision.models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10),
    "transformers_vit": lambda: of_vit(transformers.ViTConfig, transformers.ViTForImageClassification),
    "transformers_vit_before_5": lambda: of_vit(transformers.ViTConfig, transformers.ViTForImageClassification),
    "transformers_deit": lambda: of_vit(transformers.DeiTConfig, transformers.DeiTForImageClassificationWithTeacher),
    "transformers_deit_one_head": lambda: of_vit(transformers.DeiTConfig, transformers.DeiTForImageClassification),
    "transformers_swin": hf_swin,
    "transformers_swin_before_5": hf_swin,
    "transformers_resnet_basic": lambda: hf_resnet("basic"),
    "transformers_resnet_bottleneck": lambda: hf_resnet("bottleneck"),
    "timm_convnext": timm_convnext,
    "timm_convnextv2_of_convolutions": lambda: timm_convnext(conv_mlp=True, use_grn=True, ls_init_value=None),
    "authors_convnext": timm_convnext,
    "authors_convnextv2": lambda: timm_convnext(use_grn=True, ls_init_value=None),
    "torchvision_convnext": torchvision_convnext,
    "torchvision_mobilenet_v2": torchvision_mobilenet_v2,
    "torchvision_mobilenet_v3": torchvision_mobilenet_v3,
    "torchvision_efficientnet": torchvision_efficientnet,
    "torchvision_efficientnet_v2": torchvision_efficientnet_v2,
    "timm_mobilenet_v3": timm_mobilenet_v3,
    "timm_efficientnet": timm_efficientnet,
    "timm_efficientnet_lite": timm_efficientnet_lite,
    "cifar_resnet": lambda: CifarResNet(2, 8, 10),
    "backbone_and_classifier": lambda: Transfer(replaced(resnet18(), fc=nn.Identity()), 512, 3),
    "dropout_and_linear": lambda: replaced(resnet18(), fc=nn.Sequential(nn.Dropout(), nn.Linear(512, 2))),
    "two_linear_layers": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.Linear(512, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4))),
    "norm_in_head": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.Linear(512, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 8), nn.ReLU(), nn.BatchNorm1d(8),
        nn.Linear(8, 4))),
    "no_room_for_a_relu": lambda: replaced(resnet18(), fc=nn.Sequential(nn.Linear(512, 16), nn.Linear(16, 4))),
    "norm_first": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.BatchNorm1d(512), nn.Dropout(), nn.Linear(512, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 4))),
    "prelu_in_head": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.Linear(512, 16), nn.PReLU(), nn.Dropout(), nn.Linear(16, 4))),
    "layer_norm_in_head": lambda: with_head(torchvision.models.VisionTransformer(32, 8, 2, 2, 128, 96), nn.Sequential(
        nn.LayerNorm(128), nn.Linear(128, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4))),
    "vgg_norm_first": lambda: vgg(nn.Sequential(nn.BatchNorm1d(24), nn.Linear(24, 4))),
    "dropout_before_norm": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.Linear(512, 16), nn.Dropout(), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))),
    "gelu_and_slopes": lambda: replaced(resnet18(), fc=nn.Sequential(
        nn.GELU(), nn.Linear(512, 16), nn.PReLU(16), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))),
    "two_heads": lambda: TwoHeads(replaced(resnet18(), fc=nn.Identity()), 512),
    "densenet_head": lambda: replaced(torchvision.models.DenseNet(4, (2, 2, 2, 2), 8, num_classes=10),
                                      classifier=nn.Sequential(nn.Dropout(), nn.Linear(16, 5))),
    "one_channel": lambda: replaced(resnet18(), conv1=nn.Conv2d(1, 64, 7, 2, 3, bias=False)),
    "four_channels": lambda: replaced(resnet18(), conv1=nn.Conv2d(4, 64, 7, 2, 3, bias=False), fc=nn.Linear(512, 1)),
}
# The module of the publisher, the layer here, and the axes of its output: channels first, channels last, or the tokens before the patches.
LAYERS = {
    "torchvision_vit": ("encoder.layers.encoder_layer_1.ln_1", "blocks.1.norm1", 1),
    "torchvision_swin": ("features.3.1.norm1", "layers.1.blocks.1.norm1", "last"),
    "transformers_vit": ("vit.layers.1.layernorm_before", "blocks.1.norm1", 1),
    "transformers_deit": ("deit.layers.1.layernorm_before", "blocks.1.norm1", 2),
    "transformers_deit_one_head": ("deit.layers.1.layernorm_before", "blocks.1.norm1", 2),
    "transformers_swin": ("swin.encoder.layers.1.blocks.1.layernorm_before", "layers.1.blocks.1.norm1", 0),
    "transformers_resnet_basic": ("resnet.encoder.stages.1", "layer2.0", "first"),
    "transformers_resnet_bottleneck": ("resnet.encoder.stages.1", "layer2.0", "first"),
    "timm_convnext": ("stages.1", "stages.1", "first"),
    "authors_convnextv2": ("stages.1", "stages.1", "first"),
    "torchvision_convnext": ("features.3", "stages.1", "first"),
    "torchvision_mobilenet_v2": ("features.4", "blocks.2", "first"),
    "torchvision_mobilenet_v3": ("features.2", "blocks.1.0", "first"),
    "torchvision_efficientnet": ("features.3", "blocks.2", "first"),
    "torchvision_efficientnet_v2": ("features.2", "blocks.1", "first"),
    "timm_mobilenet_v3": ("blocks.1", "blocks.1", "first"),
    "timm_efficientnet": ("blocks.2", "blocks.2", "first"),
    "timm_efficientnet_lite": ("blocks.2", "blocks.2", "first"),
    "cifar_resnet": ("layer3", "layer3.1", "first"),
    "backbone_and_classifier": ("backbone.layer2", "layer2.0", "first"),
    "norm_in_head": ("layer2", "layer2.0", "first"),
    "norm_first": ("layer2", "layer2.0", "first"),
    "layer_norm_in_head": ("encoder.layers.encoder_layer_1.ln_1", "blocks.1.norm1", 1),
    "gelu_and_slopes": ("layer2", "layer2.0", "first"),
    "two_heads": ("backbone.layer2", "layer2.0", "first"),
    "four_channels": ("layer2", "layer2.0", "first"),
}
# What a file does not show of a head.
STATED = {
    "dropout_before_norm": ["linear", "batch-norm", "relu", "linear"],
    "gelu_and_slopes": ["gelu", "linear", "prelu", "linear", "tanh", "linear"],
}
for name in ("transformers_vit", "transformers_swin"):
    LAYERS[f"{name}_before_5"] = LAYERS[name]
RENAMED = {"transformers_vit_before_5": before_5, "transformers_swin_before_5": before_5_swin,
           "authors_convnext": authors_convnext, "authors_convnextv2": authors_convnext}


def channels(network):
    return next(p for p in network.parameters() if p.dim() == 4).shape[1]


def gradcam(activation, gradient, axes):
    """Selvaraju et al. 2017, before the ReLU: sum_c mean_p(gradient[c]) activation[c], [batch, height, width]."""
    if axes == "last":
        activation, gradient = (x.permute(0, 3, 1, 2) for x in (activation, gradient))
    elif axes != "first":
        side = math.isqrt(activation.shape[1] - axes)
        activation, gradient = (x[:, axes:].transpose(1, 2).unflatten(2, (side, side)) for x in (activation, gradient))
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1)


def explained(network, pictures, layer):
    """The output of the network, and the Grad-CAM of its top classes at a layer."""
    path, ours, axes = layer
    kept = []
    handle = network.get_submodule(path).register_forward_hook(lambda module, args, output: kept.append(output))
    output = network(pictures)
    handle.remove()
    logits = output if torch.is_tensor(output) else output["logits"]
    gradient, = torch.autograd.grad(logits.max(1).values.sum(), kept[0])
    raw = gradcam(kept[0], gradient, axes).detach()
    assert (raw.amax((1, 2)) > 0.05 * raw.abs().amax((1, 2))).all(), f"{path}: a blank map"
    return output, dict(layer=ours, raw=[[float(f"{x:.6g}") for x in one.flatten()] for one in raw.double().numpy()])


def heads(output):
    """The logits of each head of a network with two."""
    names = dict(head="cls_logits", head_dist="distillation_logits", fc_a="fc_a", fc_b="fc_b")
    output = {} if torch.is_tensor(output) else output
    return {head: output[theirs].tolist() for head, theirs in names.items() if theirs in output}


def generate():
    report = dict(versions=files.versions(PACKAGES), input=INPUT, networks={})
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        network, rename = build(), RENAMED.get(name, lambda name: name)
        fill(network, rename)
        pictures = images(INPUT["name"], INPUT["batch"], INPUT["height"], INPUT["width"], INPUT["block"])
        bands = [0, 1, 2, 0][:channels(network)]
        if name in LAYERS:
            output, gradcam = explained(network, pictures[:, bands], LAYERS[name])
        else:
            output, gradcam = network(pictures[:, bands]), None
        logits = output if torch.is_tensor(output) else output["logits"]
        tensors = {rename(n): list(t.shape) for n, t in network.state_dict().items() if t.is_floating_point()}
        report["networks"][name] = dict(bands=bands, tensors=tensors, logits=logits.tolist(), heads=heads(output),
                                        gradcam=gradcam, head_layers=STATED.get(name))
        print(f"{name}: {len(tensors)} tensors, logits {logits[0].detach().numpy().round(2)}")
    (files.HERE / "publishers.json").write_text(files.json.dumps(report, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    files.main(generate, PACKAGES, __doc__)
