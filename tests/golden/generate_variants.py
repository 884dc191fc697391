#!/usr/bin/env python3
"""Writes variants.safetensors and .json: the logits of networks whose tensors do not show how they are computed.

    venv/bin/python generate_variants.py         # seconds
"""


import torch
from timm.layers import BlurPool2d, Mlp, set_fused_attn
from timm.models import resnet as timm_resnet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import files
from hashed import fill, images
from networks import CLASSES, picture

PACKAGES = ["torch", "torchvision", "timm", "numpy", "safetensors"]
set_fused_attn(False)


class Cifar(ResNet):
    """torchvision's ResNet with a 3x3 stem, as usual for images of 32 x 32 pixels; `stride` and `pool` of the stem."""

    def __init__(self, stride, pool):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = 8, 1, 1, 64
        self.conv1 = nn.Conv2d(3, 8, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if pool else nn.Identity()
        self.layer1 = self._make_layer(BasicBlock, 8, 1)
        self.layer2 = self._make_layer(BasicBlock, 16, 1, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 32, 1, stride=2)
        self.layer4 = self._make_layer(BasicBlock, 64, 1, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, CLASSES)


def dilated():
    """torchvision's bottlenecks with dilations in the place of the last two strides."""
    return ResNet(Bottleneck, [2, 2, 2, 2], num_classes=CLASSES, replace_stride_with_dilation=[False, True, True])


def resnet(block, **more):
    return timm_resnet.ResNet(block, [1, 1, 1, 1], num_classes=CLASSES, **more)


def vit(**more):
    sizes = dict(img_size=(64, 96), patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=CLASSES)
    return VisionTransformer(**(sizes | more))


def swin(activation=None, **more):
    model = SwinTransformer(**(dict(img_size=64, patch_size=4, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4),
                                   num_classes=CLASSES) | more))
    for module in model.modules():
        if activation and isinstance(module, Mlp):
            module.act = activation()
    return model


WIDE = picture(64, 96, 16)
SMALL = picture(32, 32, 8)
VARIANTS = {
    "cifar": (lambda: Cifar(1, False), SMALL),
    "cifar_pool": (lambda: Cifar(1, True), SMALL),
    "cifar_halved": (lambda: Cifar(2, False), SMALL),
    "dilated": (dilated, WIDE),
    "dilated_basic": (lambda: resnet(timm_resnet.BasicBlock, output_stride=8), WIDE),
    "blur_basic": (lambda: resnet(timm_resnet.BasicBlock, aa_layer=BlurPool2d), WIDE),
    "blur": (lambda: resnet(timm_resnet.Bottleneck, aa_layer=BlurPool2d), WIDE),
    "avg": (lambda: resnet(timm_resnet.Bottleneck, aa_layer=nn.AvgPool2d), WIDE),
    "vit_avg": (lambda: vit(global_pool="avg", fc_norm=False), WIDE),
    "vit_max": (lambda: vit(global_pool="max", fc_norm=False), WIDE),
    "vit_avgmax": (lambda: vit(global_pool="avgmax", fc_norm=False), WIDE),
    "vit_avg_norm": (lambda: vit(global_pool="avg"), WIDE),
    "vit_no_token": (lambda: vit(global_pool="avg", class_token=False, fc_norm=False), WIDE),
    "vit_registers": (lambda: vit(global_pool="avg", reg_tokens=2, fc_norm=False), WIDE),
    "vit_relu": (lambda: vit(act_layer=nn.ReLU), WIDE),
    "vit_ratio": (lambda: vit(mlp_ratio=2.5), WIDE),
    # 2 x 8 patches: as many as 4 x 4
    "vit_wide": (lambda: vit(img_size=(32, 128)), picture(32, 128, 16)),
    "swin_large": (lambda: swin(img_size=128), picture(128, 128, 16)),
    "swin_relu": (lambda: swin(activation=nn.ReLU), picture(64, 64, 16)),
    "swin_max": (lambda: swin(global_pool="max"), picture(64, 64, 16)),
}


def logits(build, shown):
    with torch.no_grad():
        return fill(build())(images(**shown))


def generate():
    tensors, report = {}, dict(versions=files.versions(PACKAGES), networks={})
    for name, (build, shown) in VARIANTS.items():
        found = logits(build, shown)
        tensors[f"{name}/logits"] = found.numpy()
        report["networks"][name] = dict(input=shown)
        print(name, found[0].numpy().round(2))
    files.write("variants", tensors, report)


if __name__ == "__main__":
    files.main(generate, PACKAGES, __doc__)
