"""How each method is asked of its reference: pytorch-grad-cam (`pgc`), torch-cam (`torchcam`), Captum, or, where neither has it, its paper's
formula in numpy (`own`). What is patched in a reference stands here, each with its reason.

A call takes a `Scene`, a list of layers and a class for each image, and returns some of

    raw       [B, h, w]      the map before it is rectified, scaled and resized
    map       [B, H, W]      the reference's result
    weights   [B, C]         the weights of the channels
    gradient  [B, 3, H, W]   of guided backpropagation
"""

import contextlib
import dataclasses
import typing
from unittest import mock

import captum.attr as captum
import numpy as np
import pytorch_grad_cam as pgc
import torch
import torchcam.methods as torchcam
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.fem import FEM
from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUModel
from pytorch_grad_cam.refine_cam import RefineCAM
from pytorch_grad_cam.seg_eigen_cam import SegEigenCAM
from pytorch_grad_cam.sess import SESS
from pytorch_grad_cam.shapley_cam import ShapleyCAM
from pytorch_grad_cam.utils.find_layers import find_layer_types_recursive
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputReST, ClassifierOutputSoftmaxTarget, ClassifierOutputTarget, FinerWeightedTarget)
from sklearn.cluster import AgglomerativeClustering
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from files import rescale, resize
from networks import GRID, Network, Nhwc, Tokens


@dataclasses.dataclass
class Scene:
    """A network and the pictures it looks at, in float32 or float64."""

    network: Network
    double: bool = False

    def __post_init__(self):
        self.model, self.pictures = self.fresh(), self.network.pictures()
        if self.double:
            self.pictures = self.pictures.double()

    def fresh(self):
        """The model built anew, for references that change it."""
        return self.network.build().double() if self.double else self.network.build()

    def logits(self):
        with torch.no_grad():
            return self.model(self.pictures)

    def modules(self, layers):
        return [self.model.get_submodule(layer) for layer in layers]

    @property
    def prefix(self):
        """How many tokens stand for no place."""
        return getattr(self.network.layout, "prefix", 0)

    @property
    def transform(self):
        """What both references call `reshape_transform`: from a layer's output to [B, C, h, w]."""
        match self.network.layout:
            case Tokens(prefix, (height, width)):
                return lambda x: x[:, prefix:].unflatten(1, (height, width)).permute(0, 3, 1, 2)
            case Nhwc():
                return lambda x: x.permute(0, 3, 1, 2)
            case _:
                return None


# ---------------------------------------------------------------------------------------------------------------------
# pytorch-grad-cam
# ---------------------------------------------------------------------------------------------------------------------

def recording(method):
    """The method, keeping also what it computes on the way: the map before rectification, and the weights of the channels."""

    class Recording(method):
        raw = None
        weights = None

        def get_cam_image(self, *args, **kwargs):
            self.raw = super().get_cam_image(*args, **kwargs)
            return self.raw

        def get_cam_weights(self, *args, **kwargs):
            self.weights = super().get_cam_weights(*args, **kwargs)
            return self.weights

    return Recording


class ZeroAblation(AblationLayer):
    """Writes zero, as the paper does. The reference writes its minimum - 1e7 where a layer has negative values, and reads the
    minimum again after each write, so that the value wanders with the place in the batch."""

    def __call__(self, x):
        for i in range(self.activations.size(0)):
            self.activations[i, self.indices[i]] = 0
        return self.activations


class ZeroAblationLast(AblationLayerVit):
    """The same where the channels are the last axis, at the places that the map shows: the reference ablates the channel in the
    prefix tokens too, which are no part of the map that it weighs."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix

    def __call__(self, x):
        for i in range(self.activations.size(0)):
            self.activations[i, self.prefix:, ..., self.indices[i]] = 0
        return self.activations


def ablation(scene, layers, classes):
    layer = ZeroAblation() if scene.transform is None else ZeroAblationLast(scene.prefix)
    return reference(pgc.AblationCAM, keep=WEIGHTS, ablation_layer=layer)(scene, layers, classes)


def shapley(target):
    """The reference itself on convolutions. On tokens it transforms the activation for the weights only and then refuses it, and when
    it lets go of gradients that are views it fails; its direction there has the prefix tokens too, which are no part of the map."""

    def call(scene, layers, classes):
        class TokenShapleyCAM(ShapleyCAM):
            def get_cam_weights(self, input_tensor, target_layer, targets, activations, grads):
                shown = activations.detach().clone()
                shown[:, :scene.prefix] = 0
                [product] = torch.autograd.grad(grads, activations, shown)
                return scene.transform((grads - 0.5 * product).detach()).mean((2, 3)).numpy()

            def get_cam_image(self, input_tensor, target_layer, targets, activations, grads, eigen_smooth=False):
                weights = self.get_cam_weights(input_tensor, target_layer, targets, activations, grads)
                self.activations_and_grads.clear = lambda: None
                return (weights[:, :, None, None] * scene.transform(activations).detach().numpy()).sum(1)

        method = ShapleyCAM if scene.transform is None else TokenShapleyCAM
        return reference(method, target, keep=WEIGHTS)(scene, layers, classes)

    return call


def finer_targets(classes, logits):
    """Finer-CAM's targets as the reference makes them: the class against the three whose logits are nearest, alpha 1."""
    order = np.argsort(np.abs(logits - np.take_along_axis(logits, np.array(classes)[:, None], 1)), axis=1)
    assert order[:, 0].tolist() == list(classes)
    return [FinerWeightedTarget(int(row[0]), [int(c) for c in row[1:4]], 1.0) for row in order]


WEIGHTS = ("raw", "map", "weights")


def reference(method, target=ClassifierOutputTarget, keep=("raw", "map"), ablation_layer=None, **options):
    """A call of pytorch-grad-cam; `target` is a class of targets, or makes them from (classes, logits)."""
    made_with = dict(ablation_layer=ablation_layer) if ablation_layer else {}

    def call(scene, layers, classes):
        if isinstance(target, type):
            targets = [target(c) for c in classes]
        else:
            targets = target(classes, scene.logits().numpy())
        with recording(method)(scene.model, scene.modules(layers), scene.transform, **made_with) as cam:
            result = cam(input_tensor=scene.pictures, targets=targets, **options)
        found = dict(raw=cam.raw, map=result, weights=cam.weights)
        return {name: found[name] for name in keep}

    return call


def half_pixel_scorecam(scene, layers, classes):
    """Score-CAM with `torch.nn.UpsamplingBilinear2d` (aligned corners) replaced by the convention of everything else."""
    original = nn.UpsamplingBilinear2d
    torch.nn.UpsamplingBilinear2d = lambda size: nn.Upsample(size=size, mode="bilinear", align_corners=False)
    try:
        return reference(pgc.ScoreCAM, keep=("raw", "map", "weights"))(scene, layers, classes)
    finally:
        torch.nn.UpsamplingBilinear2d = original


def scaled_after_resizing(cam, target_size=None, scale=scale_cam_image):
    """What the mean over layers calls in the place of the reference's `scale_cam_image`: that scales and then resizes, so that a
    layer whose peak lies between two pixels counts less than another."""
    return scale(cam) if target_size is None else scale(scale(cam, target_size))


def layer_mean(scene, layers, classes):
    call = reference(pgc.GradCAM, keep=("map",))
    unpatched = call(scene, layers, classes)["map"]
    with mock.patch("pytorch_grad_cam.base_cam.scale_cam_image", scaled_after_resizing):
        return dict(map=call(scene, layers, classes)["map"], unpatched=unpatched)


def fused(base, fusion):
    """The maps of several layers, each as the reference finishes it, fused by torch-cam and scaled again. (torch-cam by itself scales
    and fuses at the resolution of the largest layer.)"""

    def call(scene, layers, classes):
        maps = [torch.from_numpy(reference(base)(scene, [layer], classes)["map"]) for layer in layers]
        return dict(map=np.stack([rescale(m) for m in fusion.fuse_cams(maps).numpy()]))

    return call


def layer_product(base):
    def call(scene, layers, classes):
        cam = RefineCAM(scene.model, scene.modules(layers), scene.transform, base_method=base)
        return dict(map=cam(scene.pictures, [ClassifierOutputTarget(c) for c in classes]))
    return call


def aug_smooth(scene, layers, classes):
    """The mean over the views, scaled again: the reference leaves its peak below 1."""
    maps = reference(pgc.GradCAM, aug_smooth=True)(scene, layers, classes)["map"]
    return dict(map=np.stack([rescale(m) for m in maps]))


def sess(**options):
    def call(scene, layers, classes):
        with SESS(scene.model, scene.modules(layers), scene.transform, base_method=pgc.GradCAM, **options) as cam:
            return dict(map=cam(scene.pictures, [ClassifierOutputTarget(c) for c in classes]))
    return call


def fullgrad(scene, _layers, classes):
    with pgc.FullGrad(scene.model, [], None) as cam:
        return dict(map=cam(scene.pictures.clone(), [ClassifierOutputTarget(c) for c in classes]))


def guided(scene, _layers, classes):
    gradients = [GuidedBackpropReLUModel(scene.fresh())(picture[None].clone(), c)
                 for picture, c in zip(scene.pictures, classes)]
    return dict(gradient=np.stack(gradients).transpose(0, 3, 1, 2))


def guided_gradcam(scene, layers, classes):
    maps = reference(pgc.GradCAM)(scene, layers, classes)["map"]
    return dict(gradient=maps[:, None] * guided(scene, layers, classes)["gradient"])


# ---------------------------------------------------------------------------------------------------------------------
# torch-cam
# ---------------------------------------------------------------------------------------------------------------------

class Silence:
    """Noise that is none, in the place of SS-CAM's normal distribution (which torch does not build with deviation 0)."""

    def sample(self, size):
        return torch.zeros(size)


def torch_cam(method, *arguments, silent=False, **options):
    """A call of torch-cam at the resolution of the layer; not rectified, as ours keeps raw maps signed."""

    def call(scene, layers, classes):
        [layer] = layers
        with method(scene.model, layer, *arguments, reshape_transform=scene.transform, **options) as cam:
            inner = getattr(cam, "base_cam", cam)
            inner._relu = False
            if isinstance(cam, torchcam.ScoreCAM):  # it scales the masks and then enlarges them; the authors' code does this
                cam._upsample = lambda masks, enlarge=cam._upsample: scaled_masks(enlarge(masks))
            if silent:
                cam._distrib = Silence()
            scores = scene.model(scene.pictures)
            return dict(raw=cam(list(classes), scores, normalized=False)[0].detach().numpy())

    return call


def scaled_masks(masks):
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low + 1e-8)


class NonSquareViT(VisionTransformer):
    """torchvision's ViT for our picture that is not square."""

    def _process_input(self, x):
        return self.conv_proj(x).flatten(2).transpose(1, 2)


def as_torchvision(vit):
    """timm's ViT with the names of torchvision, which is what torch-cam's LeGrad takes."""
    size, depth, heads, width = vit.patch_embed.patch_size[0], len(vit.blocks), vit.blocks[0].attn.num_heads, vit.embed_dim
    twin = NonSquareViT(64, size, depth, heads, width, 4 * width, num_classes=vit.num_classes)
    twin.encoder.pos_embedding = nn.Parameter(torch.zeros_like(vit.pos_embed))
    names = {"cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj",
             "norm": "encoder.ln", "head": "heads.head"}
    for i in range(depth):
        block = f"encoder.layers.encoder_layer_{i}"
        names |= {f"blocks.{i}.{ours}": f"{block}.{theirs}" for ours, theirs in {
            "norm1": "ln_1", "norm2": "ln_2", "attn.proj": "self_attention.out_proj", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3"}.items()}
    state = {}
    for name, value in vit.state_dict().items():
        module, _, leaf = name.rpartition(".")
        if module.endswith(".attn.qkv"):
            block = f"encoder.layers.encoder_layer_{module.split('.')[1]}"
            state[f"{block}.self_attention.in_proj_{leaf}"] = value
        else:
            state[names[name] if name in names else f"{names[module]}.{leaf}"] = value
    twin.load_state_dict(state)
    return twin.to(vit.pos_embed.dtype).eval()


def legrad(scene, _layers, classes):
    twin = as_torchvision(scene.model)
    assert (twin(scene.pictures) - scene.logits()).abs().max() < 1e-5, "torchvision's twin is another network"
    with torchcam.LeGrad(twin, list(twin.encoder.layers), grid_shape=GRID) as cam:
        twin(scene.pictures)
        return dict(raw=cam(list(classes), normalized=False)[0].numpy())


# ---------------------------------------------------------------------------------------------------------------------
# Formulas of papers that neither library follows
# ---------------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def outputs(modules):
    """The outputs of the modules in the forward pass within, on the tape."""
    held = []
    handles = [module.register_forward_hook(lambda _m, _i, output: held.append(output)) for module in modules]
    yield held
    for handle in handles:
        handle.remove()


def activation_and_gradient(scene, layer, classes):
    """Of one layer, [B, C, h, w] each, in float64."""
    with outputs(scene.modules([layer])) as held:
        logits = scene.model(scene.pictures)
    gradients = torch.autograd.grad(sum(row[c] for row, c in zip(logits, classes)), held)
    form = scene.transform or (lambda x: x)
    return tuple(np.float64(form(x[0]).detach()) for x in (held, gradients))


def plus_plus(scene, layers, classes):
    """Chattopadhyay et al., Grad-CAM++, WACV 2018, equations 5 and 19, with nothing added to the denominator. (pytorch-grad-cam adds
    1e-6, by which small gradients vanish; torch-cam divides a temporary copy, so that its alpha is the squared gradient.)"""
    a, g = activation_and_gradient(scene, layers[0], classes)
    denominator = 2 + g * a.sum((2, 3), keepdims=True)
    return dict(raw=((np.maximum(g, 0) / denominator).sum((2, 3), keepdims=True) * a).sum(1))


def fem(scene, layers, classes):
    """Fuad et al., Features Understanding in 3D CNNs for Actions Recognition in Video, IPTA 2020: a channel's mean where it is above
    its mean plus two deviations. (pytorch-grad-cam weighs the activation by the share of such places.)"""
    a, _ = activation_and_gradient(scene, layers[0], classes)
    mean, deviation = a.mean((2, 3), keepdims=True), a.std((2, 3), keepdims=True)
    return dict(raw=(mean * (a > mean + 2 * deviation)).sum(1))


def iscam(scene, layers, classes, steps=10):
    """Naidu et al., IS-CAM, 2020, section 3: Score-CAM's scores, their mean as the mask fades in from 1/N to N/N. (torch-cam
    adds up its steps to 1/N, 3/N, 6/N ... and ends at 5.5.)"""
    a, _ = activation_and_gradient(scene, layers[0], classes)
    masks = nn.functional.interpolate(torch.from_numpy(a), scene.pictures.shape[2:], mode="bilinear", align_corners=False)
    masks = scaled_masks(masks).to(scene.pictures.dtype)
    with torch.no_grad():
        scores = torch.stack([
            sum(scene.model(picture * mask[:, None] * (step / steps))[:, c] for step in range(1, steps + 1)) / steps
            for picture, mask, c in zip(scene.pictures, masks, classes)])
    weights = torch.softmax(scores, 1).numpy()
    return dict(raw=(weights[:, :, None, None] * a).sum(1))


def rollout(scene, _layers, _classes):
    """Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020: A = (mean over heads + identity) / 2, its rows
    made to sum to one, multiplied over the blocks; the row of the class token over the patches."""
    with outputs([block.attn.attn_drop for block in scene.model.blocks]) as matrices, torch.no_grad():
        scene.model(scene.pictures)
    total = None
    for matrix in matrices:
        a = 0.5 * np.float64(matrix).mean(1) + 0.5 * np.eye(matrix.shape[-1])
        a /= a.sum(-1, keepdims=True)
        total = a if total is None else a @ total
    prefix, grid = scene.network.layout.prefix, scene.network.layout.grid
    return dict(raw=total[:, 0, prefix:].reshape(-1, *grid))


@contextlib.contextmanager
def edited(module, edit):
    """The module with its output edited."""
    handle = module.register_forward_hook(lambda _m, _i, output: edit(output))
    yield
    handle.remove()


def reciprocam(kernel):
    """Byun and Lee, Recipro-CAM, 2022, and ViT-ReciproCAM, 2023: the score of the layer seen through each of its places, with the kernel
    around it. Tokens of no place stay. The lowest is zero here; the papers scale from the lowest to the highest."""

    def call(scene, layers, classes):
        [layer] = scene.modules(layers)
        a, _ = activation_and_gradient(scene, layers[0], classes)
        height, width = a.shape[2:]
        kept = np.zeros((height, width, height, width))
        for place in np.ndindex(height, width):
            for down, across in np.ndindex(3, 3):
                y, x = place[0] + down - 1, place[1] + across - 1
                if 0 <= y < height and 0 <= x < width:
                    kept[place][y, x] = kernel[down][across]
        scores = np.zeros((len(classes), height, width))
        for place in np.ndindex(height, width):
            mask = torch.from_numpy(kept[place]).to(scene.pictures.dtype)
            match scene.network.layout:
                case Tokens(prefix, _):
                    mask = torch.cat([torch.ones(prefix), mask.flatten()]).to(mask.dtype)[None, :, None]
                case Nhwc():
                    mask = mask[None, :, :, None]
            with edited(layer, lambda output: output * mask), torch.no_grad():
                logits = scene.model(scene.pictures)
            for image, c in enumerate(classes):
                scores[image][place] = logits[image, c]
        return dict(raw=scores - scores.min((1, 2), keepdims=True))

    return call


ALONE = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
GAUSSIAN = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def score_weighted(scene, a, masks, classes):
    """Score-CAM's map of channels [B, C, h, w], seen through masks [B, C, H, W]."""
    with torch.no_grad():
        scores = torch.stack([scene.model(picture * mask[:, None])[:, c]
                              for picture, mask, c in zip(scene.pictures, masks, classes)])
    weights = torch.softmax(scores, 1).numpy()
    return dict(raw=(weights[:, :, None, None] * a).sum(1))


def enlarged(scene, maps):
    """Maps [B, C, h, w] at the size of the picture, scaled to 0..1."""
    maps = nn.functional.interpolate(torch.from_numpy(maps), scene.pictures.shape[2:], mode="bilinear", align_corners=False)
    return scaled_masks(maps).to(scene.pictures.dtype)


def gscorecam(scene, layers, classes, channels=5):
    """Chen et al., gScoreCAM, ACCV 2022: Score-CAM of the channels with the highest mean gradient."""
    a, g = activation_and_gradient(scene, layers[0], classes)
    chosen = np.argsort(-g.mean((2, 3)), axis=1)[:, :channels]
    a = np.take_along_axis(a, chosen[:, :, None, None], 1)
    return score_weighted(scene, a, enlarged(scene, a), classes)


def vitcx(scene, layers, classes, distance=0.1):
    """Xie et al., ViT-CX, IJCAI 2023, without noise: scikit-learn joins the channels by complete linkage; the map at the layer's size."""
    a, _ = activation_and_gradient(scene, layers[0], classes)
    raw = []
    for a, picture, c in zip(a, scene.pictures, classes):
        alive = np.stack([m for m in a if m.max() > m.min()])
        scaled = np.stack([rescale(m) for m in alive])
        flat = scaled.reshape(len(scaled), -1)
        flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        labels = AgglomerativeClustering(None, metric="precomputed", linkage="complete", distance_threshold=distance).fit_predict(
            np.maximum(1 - flat @ flat.T, 0))
        masks = np.stack([rescale(scaled[labels == label].sum(0)) for label in range(labels.max() + 1)])
        seen = enlarged(scene, masks[None])[0]
        with torch.no_grad():
            scores = np.float64(scene.model(picture * seen[:, None])[:, c])
        with np.errstate(invalid="ignore"):
            mean = (scores[:, None, None] * masks).sum(0) / masks.sum(0)
        raw.append(np.nan_to_num(mean - np.nanmin(mean)))
    return dict(raw=np.stack(raw))


def of_captum(attribution, **options):
    """A call of Captum on the picture; its channels summed. `raw_full` is thinned like maps."""

    def call(scene, _layers, classes):
        found = attribution(scene.model).attribute(scene.pictures, target=torch.tensor(classes), **options)
        raw = np.float64(found.detach()).sum(1)
        return dict(raw_full=raw, map=np.float32([rescale(np.maximum(image, 0)) for image in raw]))

    return call


def attentions(scene, classes):
    """The attention weights of all blocks and their gradients, [B, heads, tokens, tokens] each, in float64."""
    with outputs([block.attn.attn_drop for block in scene.model.blocks]) as matrices:
        logits = scene.model(scene.pictures)
    gradients = torch.autograd.grad(sum(row[c] for row, c in zip(logits, classes)), matrices)
    return [(np.float64(a.detach()), np.float64(g)) for a, g in zip(matrices, gradients)]


def chefer(scene, _layers, classes):
    """Chefer, Gur and Wolf, Generic Attention-model Explainability, ICCV 2021, equations 5 and 6; the row of the class token."""
    total = np.eye(scene.prefix + np.prod(scene.network.layout.grid))
    for a, g in attentions(scene, classes):
        total = total + np.maximum(g * a, 0).mean(1) @ total
    return dict(raw=total[:, 0, scene.prefix:].reshape(-1, *scene.network.layout.grid))


def fullgrad_of_the_paper(scene, _layers, classes):
    """Srinivas and Fleuret, Full-Gradient Representation for Neural Network Visualization, NeurIPS 2019, with psi as in their
    code: magnitudes, scaled to 0..1 over all channels of a layer of an image, resized, summed. (pytorch-grad-cam scales every channel
    alone, by which a channel that matters little counts as much as one that matters. Their code resizes with aligned corners,
    this one on half-pixel centers.)"""
    norms = find_layer_types_recursive(scene.model, [nn.BatchNorm2d])
    assert all(m.bias is None for m in scene.model.modules() if isinstance(m, nn.Conv2d))
    pictures = scene.pictures.clone().requires_grad_(True)
    with outputs(norms) as held:
        # ReLUs work in place here: a clone keeps the norm's own output on the tape.
        handles = [norm.register_forward_hook(lambda _m, _i, output: output.clone()) for norm in norms]
        logits = scene.model(pictures)
        for handle in handles:
            handle.remove()
    gradients = torch.autograd.grad(sum(row[c] for row, c in zip(logits, classes)), [pictures, *held])
    biases = [n.bias - n.weight * n.running_mean / torch.sqrt(n.running_var + n.eps) for n in norms]
    parts = [gradients[0] * pictures] + [b[:, None, None] * g for b, g in zip(biases, gradients[1:])]
    height, width = pictures.shape[2:]
    raw = np.zeros((len(classes), height, width))
    for part in parts:
        for image, part in zip(raw, np.abs(np.float64(part.detach()))):
            image += sum(resize(channel, height, width) for channel in rescale(part))
    return dict(raw_full=raw, map=np.float32([rescale(image) for image in raw]))


# ---------------------------------------------------------------------------------------------------------------------
# The list
# ---------------------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Method:
    """`name[.variant]`, how it is asked for, and for what."""

    name: str
    call: typing.Callable
    layers: str = "each"  # each: one call a layer; last: of the last layer; both: one call of both layers; network: no layer
    classes: bool = True  # whether it asks for a class
    signless: bool = False  # a component whose sign is an accident of the decomposition


SESS_MEAN = dict(num_scales=3)
SESS_MAX = dict(num_scales=4, pre_filter_ratio=0.3, pool="max", smooth=False)

# On every kind of layer.
ANY = [
    Method("gradcam", reference(pgc.GradCAM, keep=WEIGHTS)),
    Method("hirescam", reference(pgc.HiResCAM)),
    Method("gradcamelementwise", reference(pgc.GradCAMElementWise)),
    Method("gradcam++", plus_plus),
    Method("gradcam++.epsilon", reference(pgc.GradCAMPlusPlus, keep=WEIGHTS)),
    Method("xgradcam", reference(pgc.XGradCAM, keep=WEIGHTS)),
    Method("layercam", reference(pgc.LayerCAM)),
    Method("ablationcam", ablation),
    Method("scorecam", reference(pgc.ScoreCAM, keep=WEIGHTS)),
    Method("scorecam_half_pixel", half_pixel_scorecam),
    Method("eigencam", reference(pgc.EigenCAM), classes=False, signless=True),
    Method("eigengradcam", reference(pgc.EigenGradCAM), signless=True),
    Method("segeigencam", reference(SegEigenCAM)),
    Method("kpcacam", reference(pgc.KPCA_CAM), classes=False, signless=True),
    Method("fem", fem, classes=False),
    Method("fem.share", reference(FEM), classes=False),
    Method("shapleycam", shapley(ClassifierOutputTarget)),
    Method("shapleycam.rest", shapley(ClassifierOutputReST)),
    Method("gradcam.softmax", reference(pgc.GradCAM, ClassifierOutputSoftmaxTarget)),
    Method("gradcam.rest", reference(pgc.GradCAM, ClassifierOutputReST)),
    Method("gradcam.finer", reference(pgc.GradCAM, finer_targets)),
    Method("gradcam.finer_mean", torch_cam(torchcam.FinerCAM, base_method=torchcam.GradCAM)),
    Method("layercam.finer_mean", torch_cam(torchcam.FinerCAM, base_method=torchcam.LayerCAM)),
    Method("gradcam.eigen_smooth", reference(pgc.GradCAM, eigen_smooth=True), signless=True),
    Method("gradcam++.eigen_smooth", reference(pgc.GradCAMPlusPlus, eigen_smooth=True), signless=True),
    Method("gradcam.aug_smooth", aug_smooth),
    Method("gradcam.layer_mean", layer_mean, layers="both"),
    Method("gradcam.layer_max", fused(pgc.GradCAM, torchcam.GradCAM), layers="both"),
    Method("layercam.layer_tanh_max", fused(pgc.LayerCAM, torchcam.LayerCAM), layers="both"),
    Method("gradcam.layer_product", layer_product(pgc.GradCAM), layers="both"),
    Method("gradcam++.layer_product", layer_product(pgc.GradCAMPlusPlus), layers="both"),
    Method("iscam", iscam),
    Method("iscam.accumulated", torch_cam(torchcam.ISCAM)),
    Method("gscorecam.five", gscorecam),
    Method("vitcx.silent", vitcx),
    Method("inputxgradient", of_captum(captum.InputXGradient), layers="network"),
    Method("smoothgrad.silent", of_captum(captum.Saliency), layers="network"),
    Method("integratedgradients", of_captum(captum.IntegratedGradients, n_steps=50, method="riemann_middle"), layers="network"),
    Method("reciprocam", reciprocam(ALONE)),
    Method("vitreciprocam", reciprocam(GAUSSIAN)),
    Method("sscam.silent", torch_cam(torchcam.SSCAM, num_samples=2, silent=True)),
]

# Of convolutions and their ReLUs.
CONVOLUTIONS = [
    Method("cam", torch_cam(torchcam.CAM, "fc"), layers="last"),
    Method("fullgrad.each_channel", fullgrad, layers="network"),
    Method("fullgrad", fullgrad_of_the_paper, layers="network"),
    Method("guided_backprop", guided, layers="network"),
    Method("guided_gradcam", guided_gradcam),
]

# Of networks that take square windows of the picture.
WINDOWS = [
    Method("gradcam.sess", sess(**SESS_MEAN)),
    Method("gradcam.sess_max", sess(**SESS_MAX)),
]

# Of attention over the whole picture.
ATTENTION = [
    Method("legrad", legrad, layers="network"),
    Method("rollout", rollout, layers="network", classes=False),
    Method("chefer", chefer, layers="network"),
]
