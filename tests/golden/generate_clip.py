#!/usr/bin/env python3
"""Writes clip.json: embeddings of images and texts by the CLIP and SigLIP of transformers and open_clip, of small sizes.

    pip install open_clip_torch==3.3.0
    venv/bin/python generate_clip.py          # seconds

Parameters are hashes of the names that the file of a network has, so that names and shapes are all that is kept of it.
"""

import json
import math

import open_clip
import torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

import files
from hashed import images, uniform

PACKAGES = ["torch", "transformers", "open_clip_torch", "numpy"]
FEATURES, CONTEXT, END = 24, 9, 49
TEXTS = {"softmax": [[48, 3, 7, 49, 0, 0, 0, 0, 0], [48, 11, 5, 30, 2, 9, 41, 6, 49], [48, 49, 0, 0, 0, 0, 0, 0, 0]],
         "sigmoid": [[3, 7, 1, 1, 1, 1, 1, 1, 1], [11, 5, 30, 2, 9, 41, 6, 8, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1]]}


def parameter_range(name, shape):
    """The range of a parameter, by its name and rank."""
    if name == "logit_scale":
        return 2.0, 3.0
    if name == "logit_bias":
        return -3.0, -2.0
    if "embedding" in name or name.endswith(".probe"):
        return -0.5, 0.5
    if len(shape) > 1:
        bound = math.sqrt(6.0 / math.prod(shape[1:]))
        return -bound, bound
    return (0.8, 1.2) if name.endswith(".weight") else (-0.3, 0.3)


def fill(model):
    """Gives every parameter the hash of its name. Returns the shapes of what the file has."""
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(uniform(name, value.shape, *parameter_range(name, tuple(value.shape))))
    model.eval()
    return {name: list(value.shape) for name, value in sorted(state.items()) if value.is_floating_point()}


def tower(**more):
    return dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4) | more


def vision(**more):
    return tower(image_size=32, patch_size=8, **more)


def text(**more):
    return tower(vocab_size=50, max_position_embeddings=CONTEXT, **more)


def of_transformers(model, kind):
    config = json.loads(model.config.to_json_string())
    keep = ("num_attention_heads", "hidden_act", "layer_norm_eps", "eos_token_id")
    parts = {part: {key: config[part][key] for key in keep if config[part].get(key) is not None} for part in ("vision_config", "text_config")}
    shapes = fill(model)
    pixels, ids = images("clip", 2, 32, 32, 8), torch.tensor(TEXTS[kind])
    out = model(input_ids=ids, pixel_values=pixels)
    pooled = model.vision_model(pixels).pooler_output, model.text_model(ids).pooler_output
    if kind == "softmax":
        pooled = model.visual_projection(pooled[0]), model.text_projection(pooled[1])
    return dict(config=dict(model_type=config["model_type"], **parts), kind=kind, tensors=shapes, texts=TEXTS[kind],
                image=pooled[0].tolist(), text=pooled[1].tolist(), logits=out.logits_per_image.tolist())


def of_open_clip(quick, custom):
    kind = open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP
    model = kind(embed_dim=FEATURES, vision_cfg=dict(image_size=32, layers=2, width=64, patch_size=8, head_width=64),
                 text_cfg=dict(context_length=CONTEXT, vocab_size=50, width=64, heads=1, layers=2), quick_gelu=quick)
    shapes = fill(model)
    pixels, ids = images("clip", 2, 32, 32, 8), torch.tensor(TEXTS["softmax"])
    image, text_ = model.encode_image(pixels), model.encode_text(ids)
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (image, text_)]
    logits = model.logit_scale.exp() * unit[0] @ unit[1].T
    activation = dict(hidden_act="quick_gelu" if quick else "gelu")
    return dict(config=dict(vision_config=activation, text_config=activation), kind="softmax", tensors=shapes, texts=TEXTS["softmax"],
                image=image.tolist(), text=text_.tolist(), logits=logits.tolist())


@torch.no_grad()
def generate():
    end = dict(eos_token_id=END, bos_token_id=48, pad_token_id=0)
    clip = lambda act, end: CLIPModel(CLIPConfig(vision_config=vision(hidden_act=act), text_config=text(hidden_act=act, **end), projection_dim=FEATURES))
    gelu = dict(hidden_act="gelu_pytorch_tanh")
    networks = {
        "clip": of_transformers(clip("quick_gelu", end), "softmax"),
        "clip_gelu_first_configuration": of_transformers(clip("gelu", end | dict(eos_token_id=2)), "softmax"),
        "siglip": of_transformers(SiglipModel(SiglipConfig(vision_config=vision(**gelu), text_config=text(**gelu, projection_size=32))), "sigmoid"),
        "openai": of_open_clip(True, False),
        "open_clip": of_open_clip(False, False),
        "open_clip_custom_text": of_open_clip(False, True),
    }
    rounded = json.loads(json.dumps(networks), parse_float=lambda number: float(f"{float(number):.8g}"))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(network)}" for name, network in rounded.items())
    (files.HERE / "clip.json").write_text(f'{{"versions": {json.dumps(files.versions(PACKAGES))}, "networks": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    torch.set_num_threads(1)
    generate()
