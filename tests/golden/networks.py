"""The small networks of the golden files, built from torchvision's and timm's own classes: only widths and depths differ.

Each is a `Network`: how to build it, the picture it looks at, and how its layers lay out space.
"""

import collections
import dataclasses
import typing

import torch
from timm.layers import set_fused_attn
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models import DenseNet, MNASNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from hashed import fill, images

set_fused_attn(False)  # so that the matrix of attention weights exists and can be looked at

CLASSES = 10


class NarrowResNet(ResNet):
    """torchvision's ResNet with other widths: base, 2 base, 4 base, 8 base. The same modules, names and forward pass."""

    def __init__(self, block, layers, base, num_classes, groups=1, width_per_group=64):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = base, 1, groups, width_per_group
        self.conv1 = nn.Conv2d(3, base, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, base, layers[0])
        self.layer2 = self._make_layer(block, 2 * base, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 4 * base, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 8 * base, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * base * block.expansion, num_classes)


def tiny() -> ResNet:
    return fill(NarrowResNet(BasicBlock, [1, 1, 1, 1], base=8, num_classes=CLASSES))


def tiny_resnext() -> ResNet:
    return fill(NarrowResNet(Bottleneck, [2, 1, 1, 1], base=8, num_classes=CLASSES, groups=4, width_per_group=8))


class NarrowVgg(VGG):
    """torchvision's VGG with a narrow classifier: `hidden` in the place of 4096. The same modules, names and forward pass."""

    def __init__(self, channels, batch_norm, hidden, num_classes):
        nn.Module.__init__(self)
        self.features = make_layers(channels, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        last = [c for c in channels if c != "M"][-1]
        self.classifier = nn.Sequential(
            nn.Linear(last * 7 * 7, hidden), nn.ReLU(True), nn.Dropout(),
            nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(),
            nn.Linear(hidden, num_classes))


def vgg(batch_norm: bool) -> VGG:
    return fill(NarrowVgg([8, "M", 16, "M", 16, 16, "M", 24, "M"], batch_norm, hidden=32, num_classes=CLASSES))


def densenet() -> DenseNet:
    return fill(DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=CLASSES))


def mnasnet() -> MNASNet:
    return fill(MNASNet(alpha=0.25, num_classes=CLASSES))


def vit(**more) -> VisionTransformer:
    kind = VisionTransformerDistilled if more.pop("distilled", False) else VisionTransformer
    return fill(kind(img_size=(64, 96), patch_size=16, embed_dim=48, depth=3, num_heads=3, num_classes=CLASSES, **more))


def swin(size) -> SwinTransformer:
    model = SwinTransformer(img_size=size, patch_size=4, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4),
                            num_classes=CLASSES)
    for module in model.modules():
        if hasattr(module, "_attn"):  # see `SpatialAttention`
            module.spatial_attn = SpatialAttention()
            module._attn = lambda x, inner=module._attn, seen=module.spatial_attn: seen(inner(x))
    return fill(model)


class SpatialAttention(nn.Module):
    """Swin's attention as [batch, height, width, channels]: timm's own module `attn` works window by window, and puts the windows
    together outside of it. This does nothing, and is called with what has been put together."""

    def forward(self, x):
        return x


@dataclasses.dataclass(frozen=True)
class Nchw:
    """Channels first: [batch, channels, height, width]."""

    def map_form(self, name, x):
        return x.flatten(2) if x.dim() == 4 else None


@dataclasses.dataclass(frozen=True)
class Nhwc:
    """Channels last: [batch, height, width, channels], or [batch, height * width, channels] in the second half of timm's blocks.
    What works on windows is left out."""

    def map_form(self, name, x):
        if x.dim() < 3 or ".attn" in name or name == "patch_embed.proj":
            return None
        return x.flatten(1, -2).transpose(1, 2)


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Tokens, `prefix` of which stand for no place: [batch, prefix + height * width, channels]."""

    prefix: int
    grid: tuple[int, int]

    def map_form(self, name, x):
        patches = self.grid[0] * self.grid[1]
        if name.endswith(".attn_drop"):  # the matrix of attention weights: the channels are heads * queries, the places keys
            return x[..., self.prefix:].flatten(1, 2)
        if x.dim() != 3 or x.shape[1] not in (patches, self.prefix + patches):
            return None
        return x[:, x.shape[1] - patches:].transpose(1, 2)


@dataclasses.dataclass(frozen=True)
class Network:
    build: typing.Callable[[], nn.Module]
    layout: Nchw | Nhwc | Tokens
    input: dict

    def pictures(self) -> torch.Tensor:
        return images(**self.input)


def picture(height, width, block, name="input") -> dict:
    return dict(name=name, batch=2, height=height, width=width, block=block)


GRID = (4, 6)
WIDE = picture(64, 96, 16)
FAMILIES = {
    "resnet_tiny": Network(tiny, Nchw(), WIDE),
    "resnext_tiny": Network(tiny_resnext, Nchw(), WIDE),
    "vgg_tiny": Network(lambda: vgg(False), Nchw(), WIDE),
    "vgg_bn_tiny": Network(lambda: vgg(True), Nchw(), WIDE),
    "densenet_tiny": Network(densenet, Nchw(), WIDE),
    "mnasnet_tiny": Network(mnasnet, Nchw(), WIDE),
    "vit_tiny": Network(vit, Tokens(1, GRID), WIDE),
    "vit_reg_tiny": Network(lambda: vit(reg_tokens=2), Tokens(3, GRID), WIDE),
    "deit_distilled_tiny": Network(lambda: vit(distilled=True), Tokens(2, GRID), WIDE),
    "swin_tiny": Network(lambda: swin((64, 64)), Nhwc(), picture(64, 64, 16)),
    # 9 x 13 places: padded to 12 x 16 for the windows, and to 10 x 14 when patches are merged to 5 x 7
    "swin_padded_tiny": Network(lambda: swin((36, 52)), Nhwc(), picture(36, 52, 4)),
}


def activations(model: nn.Module, layout, pictures: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """The output of every layer, by its name and in map form [batch, channels, places], and the logits. Layers that run more
    than once (ResNet's `relu`), that do nothing or that have no places are left out."""
    held, calls, handles = {}, collections.Counter(), []
    for name, module in model.named_modules():
        silent = isinstance(module, nn.Identity) or isinstance(module, nn.Dropout) and not name.endswith(".attn_drop")
        if not name or silent:
            continue

        def keep(_module, _input, output, name=name):
            calls[name] += 1
            form = layout.map_form(name, output) if isinstance(output, torch.Tensor) else None
            if form is not None and len(form) == len(pictures):
                held[name] = form.detach().clone()  # the next layer may work in place

        def keep_attention(module, args, output, name=name):
            held[name.replace("spatial_attn", "attn")] = output.detach().flatten(1, 2).transpose(1, 2).clone()

        handles.append(module.register_forward_hook(keep_attention if isinstance(module, SpatialAttention) else keep))
    with torch.no_grad():
        logits = model(pictures)
    for handle in handles:
        handle.remove()
    return {name: x for name, x in held.items() if calls[name] <= 1}, logits
