//! The names that other publishers have for the tensors of the networks here, a table for each. Files of the first publisher of a network
//! (torchvision's convolutional networks, timm's transformers) are left as they are. Heads have a file of their own.

use super::PackTensor;
use super::staged::staged;
use burn::tensor::Bytes;
use std::collections::BTreeMap;

pub(super) type Tensors = BTreeMap<String, PackTensor>;

/// How a publisher names the tensors of a network.
struct Publisher {
    /// A tensor that its files have, by the end of its name.
    mark: &'static str,
    /// A tensor that only other files have.
    not: &'static str,
    /// What the names of the body start with; the head is outside.
    bodies: &'static [&'static str],
    /// What parts of names become, one after another. `#` is a number; a part without a dot before it is at the start.
    parts: &'static [(&'static str, &'static str)],
    /// What its norms add to a variance, where that is not what the first publisher's add.
    epsilon: Option<f64>,
}

const PUBLISHERS: &[Publisher] = &[
    // torchvision's ViT
    Publisher {
        mark: "encoder.layers.encoder_layer_0.ln_1.weight",
        not: "",
        bodies: &[""],
        parts: &[
            ("class_token", "cls_token"),
            ("conv_proj.", "patch_embed.proj."),
            ("encoder.pos_embedding", "pos_embed"),
            ("encoder.layers.encoder_layer_#.", "blocks.#."),
            ("encoder.ln.", "norm."),
            (".ln_#.", ".norm#."),
            (".self_attention.in_proj_", ".attn.qkv."),
            (".self_attention.out_proj.", ".attn.proj."),
            (".mlp.linear_#.", ".mlp.fc#."),
            (".mlp.0.", ".mlp.fc1."),
            (".mlp.3.", ".mlp.fc2."),
            ("heads.head.", "head."),
        ],
        epsilon: None,
    },
    // torchvision's Swin
    Publisher {
        mark: "features.1.0.attn.relative_position_bias_table",
        not: "features.1.0.attn.logit_scale",
        bodies: &[""],
        parts: &[
            ("features.0.0.", "patch_embed.proj."),
            ("features.0.2.", "patch_embed.norm."),
            ("features.1.", "layers.0.blocks."),
            ("features.2.", "layers.1.downsample."),
            ("features.3.", "layers.1.blocks."),
            ("features.4.", "layers.2.downsample."),
            ("features.5.", "layers.2.blocks."),
            ("features.6.", "layers.3.downsample."),
            ("features.7.", "layers.3.blocks."),
            (".mlp.0.", ".mlp.fc1."),
            (".mlp.3.", ".mlp.fc2."),
            ("head.", "head.fc."),
        ],
        epsilon: None,
    },
    // ViT and DeiT of transformers, in the names of its versions before 5 and from 5 on
    Publisher {
        mark: "embeddings.position_embeddings",
        not: "embeddings.mask_token",
        bodies: &["vit.", "deit.", ""],
        parts: &[
            ("embeddings.cls_token", "cls_token"),
            ("embeddings.distillation_token", "dist_token"),
            ("embeddings.position_embeddings", "pos_embed"),
            ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
            ("encoder.layer.#.", "blocks.#."),
            ("layers.#.", "blocks.#."),
            (".layernorm_before.", ".norm1."),
            (".layernorm_after.", ".norm2."),
            (".attention.attention.query.", ".attn.q."),
            (".attention.attention.key.", ".attn.k."),
            (".attention.attention.value.", ".attn.v."),
            (".attention.output.dense.", ".attn.proj."),
            (".attention.q_proj.", ".attn.q."),
            (".attention.k_proj.", ".attn.k."),
            (".attention.v_proj.", ".attn.v."),
            (".attention.o_proj.", ".attn.proj."),
            (".intermediate.dense.", ".mlp.fc1."),
            (".output.dense.", ".mlp.fc2."),
            ("layernorm.", "norm."),
            ("cls_classifier.", "head."),
            ("distillation_classifier.", "head_dist."),
            ("classifier.", "head."),
        ],
        epsilon: Some(1e-12),
    },
    // Swin of transformers
    Publisher {
        mark: "encoder.layers.0.blocks.0.layernorm_before.weight",
        not: "encoder.layers.0.blocks.0.attention.self.logit_scale",
        bodies: &["swin.", ""],
        parts: &[
            ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
            ("embeddings.norm.", "patch_embed.norm."),
            ("encoder.layers.", "layers."),
            (".layernorm_before.", ".norm1."),
            (".layernorm_after.", ".norm2."),
            (".attention.self.query.", ".attn.q."),
            (".attention.self.key.", ".attn.k."),
            (".attention.self.value.", ".attn.v."),
            (".attention.self.", ".attn."),
            (".attention.output.dense.", ".attn.proj."),
            (".attention.q_proj.", ".attn.q."),
            (".attention.k_proj.", ".attn.k."),
            (".attention.v_proj.", ".attn.v."),
            (".attention.o_proj.", ".attn.proj."),
            (".attention.relative_position_bias.", ".attn."),
            (".intermediate.dense.", ".mlp.fc1."),
            (".output.dense.", ".mlp.fc2."),
            ("layernorm.", "norm."),
            ("classifier.", "head.fc."),
        ],
        epsilon: None,
    },
    // ResNet of transformers
    Publisher {
        mark: "embedder.embedder.convolution.weight",
        not: "",
        bodies: &["resnet.", ""],
        parts: &[
            ("embedder.embedder.convolution.", "conv1."),
            ("embedder.embedder.normalization.", "bn1."),
            ("encoder.stages.0.layers.", "layer1."),
            ("encoder.stages.1.layers.", "layer2."),
            ("encoder.stages.2.layers.", "layer3."),
            ("encoder.stages.3.layers.", "layer4."),
            (".layer.0.convolution.", ".conv1."),
            (".layer.0.normalization.", ".bn1."),
            (".layer.1.convolution.", ".conv2."),
            (".layer.1.normalization.", ".bn2."),
            (".layer.2.convolution.", ".conv3."),
            (".layer.2.normalization.", ".bn3."),
            (".shortcut.convolution.", ".downsample.0."),
            (".shortcut.normalization.", ".downsample.1."),
            ("classifier.1.", "fc."),
        ],
        epsilon: None,
    },
    // torchvision's ConvNeXt
    Publisher {
        mark: "features.1.0.block.0.weight",
        not: "",
        bodies: &[""],
        parts: &[
            ("features.0.", "stem."),
            ("features.1.#.", "stages.0.blocks.#."),
            ("features.2.", "stages.1.downsample."),
            ("features.3.#.", "stages.1.blocks.#."),
            ("features.4.", "stages.2.downsample."),
            ("features.5.#.", "stages.2.blocks.#."),
            ("features.6.", "stages.3.downsample."),
            ("features.7.#.", "stages.3.blocks.#."),
            (".block.0.", ".conv_dw."),
            (".block.2.", ".norm."),
            (".block.3.", ".mlp.fc1."),
            (".block.5.", ".mlp.fc2."),
            (".layer_scale", ".gamma"),
            ("classifier.0.", "head.norm."),
            ("classifier.2.", "head.fc."),
        ],
        epsilon: None,
    },
    // ConvNeXt of transformers, version 1 and 2
    Publisher {
        mark: "encoder.stages.0.layers.0.dwconv.weight",
        not: "",
        bodies: &["convnext.", "convnextv2.", ""],
        parts: &[
            ("embeddings.patch_embeddings.", "stem.0."),
            ("embeddings.layernorm.", "stem.1."),
            ("encoder.stages.", "stages."),
            (".downsampling_layer.", ".downsample."),
            (".layers.", ".blocks."),
            (".dwconv.", ".conv_dw."),
            (".layernorm.", ".norm."),
            (".pwconv1.", ".mlp.fc1."),
            (".pwconv2.", ".mlp.fc2."),
            (".grn.", ".mlp.grn."),
            (".layer_scale_parameter", ".gamma"),
            ("layernorm.", "head.norm."),
            ("classifier.", "head.fc."),
        ],
        epsilon: None,
    },
    // ConvNeXt of its authors, version 1 and 2
    Publisher {
        mark: "stages.0.0.dwconv.weight",
        not: "",
        bodies: &[""],
        parts: &[
            ("downsample_layers.0.", "stem."),
            ("downsample_layers.#.", "stages.#.downsample."),
            ("stages.0.#.", "stages.0.blocks.#."),
            ("stages.1.#.", "stages.1.blocks.#."),
            ("stages.2.#.", "stages.2.blocks.#."),
            ("stages.3.#.", "stages.3.blocks.#."),
            (".dwconv.", ".conv_dw."),
            (".pwconv1.", ".mlp.fc1."),
            (".pwconv2.", ".mlp.fc2."),
            (".grn.gamma", ".mlp.grn.weight"),
            (".grn.beta", ".mlp.grn.bias"),
            ("head.", "head.fc."),
            ("norm.", "head.norm."),
        ],
        epsilon: None,
    },
    // MobileNetV2 of transformers, whose blocks are numbered through
    Publisher {
        mark: "conv_stem.first_conv.convolution.weight",
        not: "",
        bodies: &["mobilenet_v2.", ""],
        parts: &[
            ("conv_stem.conv_3x3.", "blocks.first.conv_3x3."),
            ("conv_stem.reduce_1x1.", "blocks.first.reduce_1x1."),
            ("conv_stem.first_conv.convolution.", "conv_stem."),
            ("conv_stem.first_conv.normalization.", "bn1."),
            ("layer.", "blocks."),
            ("conv_1x1.convolution.", "conv_head."),
            ("conv_1x1.normalization.", "bn2."),
            (".expand_1x1.convolution.", ".conv_pw."),
            (".expand_1x1.normalization.", ".bn1."),
            (".conv_3x3.convolution.", ".conv_dw."),
            (".conv_3x3.normalization.", ".bn2."),
            (".reduce_1x1.convolution.", ".conv_pwl."),
            (".reduce_1x1.normalization.", ".bn3."),
        ],
        epsilon: Some(1e-3),
    },
    // EfficientNet of transformers, whose blocks are numbered through
    Publisher {
        mark: "encoder.blocks.0.depthwise_conv.depthwise_conv.weight",
        not: "",
        bodies: &["efficientnet.", ""],
        parts: &[
            ("embeddings.convolution.", "conv_stem."),
            ("embeddings.batchnorm.", "bn1."),
            ("encoder.top_conv.", "conv_head."),
            ("encoder.top_bn.", "bn2."),
            ("encoder.blocks.", "blocks."),
            (".expansion.expand_conv.", ".conv_pw."),
            (".expansion.expand_bn.", ".bn1."),
            (".depthwise_conv.depthwise_conv.", ".conv_dw."),
            (".depthwise_conv.depthwise_norm.", ".bn2."),
            (".squeeze_excite.", ".se.conv_"),
            (".projection.project_conv.", ".conv_pwl."),
            (".projection.project_bn.", ".bn3."),
        ],
        epsilon: Some(1e-3),
    },
    // ResNets for CIFAR, whose shortcuts have another name
    Publisher {
        mark: "layer2.0.shortcut.0.weight",
        not: "",
        bodies: &[""],
        parts: &[(".shortcut.", ".downsample.")],
        epsilon: None,
    },
    // CLIP and SigLIP of transformers
    Publisher {
        mark: "vision_model.embeddings.patch_embedding.weight",
        not: "",
        bodies: &[""],
        parts: &[
            ("vision_model.embeddings.patch_embedding.", "visual.conv1."),
            ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
            ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
            // So is it spelled there.
            ("vision_model.pre_layrnorm.", "visual.ln_pre."),
            ("vision_model.post_layernorm.", "visual.ln_post."),
            ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
            ("vision_model.head.attention.in_proj_", "visual.pool.attn.qkv."),
            ("vision_model.head.attention.out_proj.", "visual.pool.attn.proj."),
            ("vision_model.head.", "visual.pool."),
            ("visual_projection.", "visual.projection."),
            ("text_model.embeddings.token_embedding.", "text.token_embedding."),
            ("text_model.embeddings.position_embedding.weight", "text.positional_embedding"),
            ("text_model.encoder.layers.", "text.transformer.resblocks."),
            ("text_model.final_layer_norm.", "text.ln_final."),
            ("text_model.head.", "text.projection."),
            ("text_projection.", "text.projection."),
            (".self_attn.q_proj.", ".attn.q."),
            (".self_attn.k_proj.", ".attn.k."),
            (".self_attn.v_proj.", ".attn.v."),
            (".self_attn.out_proj.", ".attn.proj."),
            (".layer_norm1.", ".ln_1."),
            (".layer_norm2.", ".ln_2."),
            (".mlp.fc1.", ".mlp.c_fc."),
            (".mlp.fc2.", ".mlp.c_proj."),
        ],
        epsilon: None,
    },
    // CLIP of OpenAI and open_clip
    Publisher {
        mark: "visual.transformer.resblocks.0.attn.in_proj_weight",
        not: "",
        bodies: &[""],
        parts: &[
            ("transformer.", "text.transformer."),
            ("token_embedding.", "text.token_embedding."),
            ("positional_embedding", "text.positional_embedding"),
            ("ln_final.", "text.ln_final."),
            ("text_projection", "text.proj"),
            ("text.text_projection", "text.proj"),
            (".attn.in_proj_", ".attn.qkv."),
            (".attn.out_proj.", ".attn.proj."),
        ],
        epsilon: None,
    },
];

/// The most networks that are looked for in one file.
pub(super) const MOST_NETWORKS: usize = 16;

/// Returns the tensors of a file under the names of the first publisher of their network, and what its norms add to a variance if that
/// is known to be another number.
pub(super) fn translated(mut tensors: Tensors) -> (Tensors, Option<f64>) {
    let mut epsilon = None;
    for publisher in PUBLISHERS {
        // A file may hold a network several times.
        for _ in 0..MOST_NETWORKS {
            let Some((outer, body)) = publisher.found(&tensors) else { break };
            tensors = fused(publisher.renamed(tensors, &outer, body));
            epsilon = epsilon.or(publisher.epsilon);
        }
    }
    (staged(tensors), epsilon)
}

impl Publisher {
    /// Returns what the names of a network of this publisher start with in a file, outside and inside of its body.
    fn found(&self, tensors: &Tensors) -> Option<(String, &'static str)> {
        self.bodies.iter().find_map(|body| {
            let inside = format!("{body}{}", self.mark);
            let outer = tensors.keys().find_map(|name| name.strip_suffix(&inside))?;
            let is_whole = outer.is_empty() || outer.ends_with('.');
            let is_other =
                !self.not.is_empty() && tensors.contains_key(&format!("{outer}{body}{}", self.not));
            (is_whole && !is_other).then(|| (outer.to_string(), *body))
        })
    }

    fn renamed(&self, tensors: Tensors, outer: &str, body: &str) -> Tensors {
        let renamed = |(name, tensor): (String, PackTensor)| {
            let Some(inside) = name.strip_prefix(outer) else { return (name, tensor) };
            let inside = inside.strip_prefix(body).unwrap_or(inside);
            let ours =
                self.parts.iter().fold(inside.to_string(), |name, (from, to)| replaced(&name, from, to));
            (format!("{outer}{ours}"), tensor)
        };
        tensors.into_iter().map(renamed).collect()
    }
}

/// Replaces a part of a name, in which `#` is a number.
fn replaced(name: &str, from: &str, to: &str) -> String {
    let (before, after) = from.split_once('#').unwrap_or((from, ""));
    let place = if from.starts_with('.') { name.find(before) } else { name.starts_with(before).then_some(0) };
    let Some(place) = place else { return name.into() };
    let rest = &name[place + before.len()..];
    let digits = if from.contains('#') {
        rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len()
    } else {
        0
    };
    let (number, rest) = rest.split_at(digits);
    match rest.strip_prefix(after) {
        Some(rest) if from.contains('#') != number.is_empty() => {
            format!("{}{}{rest}", &name[..place], to.replace('#', number))
        }
        _ => name.into(),
    }
}

/// Joins queries, keys and values, which some publishers have apart, into one tensor each.
fn fused(mut tensors: Tensors) -> Tensors {
    let queries: Vec<String> = tensors.keys().filter(|name| name.contains(".attn.q.")).cloned().collect();
    for query in queries {
        let [key, value, joined] =
            ["k", "v", "qkv"].map(|part| query.replace(".attn.q.", &format!(".attn.{part}.")));
        let parts = [&query, &key, &value].map(|name| tensors.get(name).cloned());
        let [Some(q), Some(k), Some(v)] = parts else { continue };
        if q.shape != k.shape || q.shape != v.shape || [k.dtype, v.dtype] != [q.dtype; 2] {
            continue;
        }
        if let Some(tensor) = concatenated(joined.clone(), [q, k, v]) {
            for part in [&query, &key, &value] {
                tensors.remove(part);
            }
            tensors.insert(joined, tensor);
        }
    }
    tensors
}

/// Returns tensors of one shape behind one another. Their numbers are read when they are used. `None` if that is no tensor.
fn concatenated(name: String, parts: [PackTensor; 3]) -> Option<PackTensor> {
    let (dtype, mut shape) = (parts[0].dtype, parts[0].shape.to_vec());
    let first = shape.first_mut()?;
    *first = first.checked_mul(parts.len())?;
    let length = shape.iter().try_fold(dtype.size(), |length, side| length.checked_mul(*side))?;
    Some(PackTensor::deferred(name, dtype, shape, None, length, move || {
        let mut bytes = Vec::with_capacity(length);
        for part in &parts {
            let (.., read) = part.clone().into_parts()?;
            bytes.extend_from_slice(&read);
        }
        Ok(Bytes::from_bytes_vec(bytes))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_names_are_replaced_with_their_numbers() {
        assert_eq!(replaced("encoder.layer.11.x", "encoder.layer.#.", "blocks.#."), "blocks.11.x");
        assert_eq!(replaced("a.encoder.layer.11.x", "encoder.layer.#.", "blocks.#."), "a.encoder.layer.11.x");
        assert_eq!(replaced("blocks.1.ln_2.bias", ".ln_#.", ".norm#."), "blocks.1.norm2.bias");
        assert_eq!(replaced("blocks.1.ln_.bias", ".ln_#.", ".norm#."), "blocks.1.ln_.bias");
        assert_eq!(replaced("class_token", "class_token", "cls_token"), "cls_token");
    }
}
