//! A `config.json`: of timm, and of transformers.

use super::{numbers, refused};
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// The kinds of networks of transformers that have the same forward pass as a family here.
pub(super) const TRANSFORMERS: [&str; 8] =
    ["vit", "deit", "swin", "resnet", "convnext", "convnextv2", "mobilenet_v2", "efficientnet"];

/// Returns what a configuration says of a network, as fields of a card.
pub(super) fn fields(config: &Json, path: &Path) -> Result<Table, crate::Error> {
    let mut card = Table::new();
    put(&mut card, "name", config.get("architecture").and_then(text));
    if config.get("pretrained_cfg").is_some() || config.get("input_size").is_some() {
        card.extend(of_timm(config).map_err(|reason| refused(path, reason))?);
    }
    put(&mut card, "size", config.get("image_size").and_then(square));
    put(&mut card, "channels", config.get("num_channels").and_then(Json::as_i64).map(Value::from));
    put(&mut card, "labels", config.get("id2label").and_then(labels));
    match config.get("problem_type").and_then(Json::as_str) {
        Some("multi_label_classification") => put(&mut card, "logits", Some("sigmoid".into())),
        Some("regression") => put(&mut card, "task", Some("regress".into())),
        _ => {}
    }
    let architecture = options(config).map_err(|reason| refused(path, reason))?;
    if !architecture.is_empty() {
        card.insert("architecture".into(), Value::Table(architecture));
    }
    Ok(card)
}

fn put(card: &mut Table, field: &str, value: Option<Value>) {
    card.extend(value.map(|value| (field.into(), value)));
}

/// Returns what timm prepares images by. What is missing is as in timm's `resolve_data_config`.
pub(super) fn of_timm(config: &Json) -> Result<Table, String> {
    let trained = config.get("pretrained_cfg").unwrap_or(config);
    let known = |field: &str| trained.get(field).filter(|value| !value.is_null());
    let mut card = Table::new();
    if let Some([channels, height, width]) = known("input_size").and_then(sides::<3>) {
        put(&mut card, "channels", Some(channels.into()));
        put(&mut card, "size", Some(vec![height, width].into()));
    }
    let or = |value: Option<Value>, default: &[f64]| Some(value.unwrap_or_else(|| default.to_vec().into()));
    put(&mut card, "mean", or(known("mean").and_then(numbers), &[0.485, 0.456, 0.406]));
    put(&mut card, "std", or(known("std").and_then(numbers), &[0.229, 0.224, 0.225]));
    put(
        &mut card,
        "crop",
        Some(known("crop_pct").and_then(Json::as_f64).filter(|crop| *crop > 0.0).unwrap_or(0.875).into()),
    );
    put(
        &mut card,
        "resize",
        Some(match known("crop_mode").and_then(Json::as_str).unwrap_or("center") {
            "squash" => "squash-crop".into(),
            "center" => "crop".into(),
            other => {
                return Err(format!("images are cropped by the mode `{other}`, which is not known here"));
            }
        }),
    );
    let filters = ["bilinear", "bicubic", "lanczos", "nearest", "box", "hamming"];
    let filter = known("interpolation").and_then(Json::as_str).filter(|filter| filters.contains(filter));
    put(&mut card, "filter", Some(filter.unwrap_or("bicubic").into()));
    put(&mut card, "labels", described(config, trained));
    Ok(card)
}

/// Returns the names of the classes: what they are described as, or else their keys.
fn described(config: &Json, trained: &Json) -> Option<Value> {
    let find = |field: &str| config.get(field).or(trained.get(field)).filter(|value| !value.is_null());
    let descriptions = find("label_descriptions");
    if let Some(words) = descriptions.and_then(words) {
        return Some(words);
    }
    let names = words(find("label_names")?)?;
    let Some(descriptions) = descriptions.and_then(Json::as_object) else { return Some(names) };
    let described = |name: &Value| {
        let name = name.as_str()?;
        Some(descriptions.get(name).and_then(Json::as_str).unwrap_or(name).to_string())
    };
    names.as_array()?.iter().map(described).collect::<Option<Vec<String>>>().map(Value::from)
}

/// Returns what the tensors do not show of a network.
fn options(config: &Json) -> Result<Table, String> {
    let mut options = Table::new();
    let word = |field: &str| config.get(field).and_then(Json::as_str).unwrap_or_default();
    if ["vit", "deit", "swin"].iter().any(|family| word("architecture").starts_with(family)) {
        let pool = word("global_pool");
        if ["token", "avg", "max", "avgmax"].contains(&pool) {
            options.insert("pool".into(), pool.into());
        }
        let heads = config.get("model_args").and_then(|arguments| arguments.get("num_heads")?.as_i64());
        options.extend(heads.map(|heads| ("heads".into(), heads.into())));
    }
    let kind = word("model_type");
    if !TRANSFORMERS.contains(&kind) {
        return Ok(options);
    }
    if kind == "resnet" {
        let is = |field: &str| config.get(field).is_some_and(|value| value == true);
        if is("downsample_in_bottleneck") {
            return Err(
                "the first convolutions of its blocks have the stride, which no network here has".into()
            );
        }
        if !["", "relu"].contains(&word("hidden_act")) {
            return Err(format!("its activation is `{}`; a ResNet has `relu` here", word("hidden_act")));
        }
        let first = if is("downsample_in_first_stage") { 2 } else { 1 };
        options.insert("strides".into(), vec![2, first, 2, 2, 2].into());
        options.insert("dilations".into(), vec![1; 4].into());
        options.insert("stem_pool".into(), true.into());
        options.insert("antialias".into(), "none".into());
        return Ok(options);
    }
    if kind.starts_with("convnext") {
        return match word("hidden_act") {
            "" | "gelu" | "gelu_python" => Ok(options),
            other => Err(format!("its activation is `{other}`; a ConvNeXt has `gelu` here")),
        };
    }
    if kind == "mobilenet_v2" {
        return of_mobilenet(config);
    }
    if kind == "efficientnet" {
        return of_efficientnet(config);
    }
    let activation = match word("hidden_act") {
        "" | "gelu" | "gelu_python" => "gelu",
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" => "gelu-tanh",
        "quick_gelu" => "quick-gelu",
        "relu" => "relu",
        "silu" | "swish" => "silu",
        "tanh" => "tanh",
        other => return Err(format!("its activation is `{other}`, which is not known here")),
    };
    options.insert("activation".into(), activation.into());
    let norm = if kind == "swin" { 1e-5 } else { 1e-12 };
    let epsilon = config.get("layer_norm_eps").and_then(Json::as_f64).unwrap_or(norm);
    if kind == "swin" && (epsilon - norm).abs() > 1e-3 * norm {
        return Err(format!("some of its norms add {epsilon} to a variance, and others {norm}"));
    }
    options.insert("epsilon".into(), epsilon.into());
    options.insert("pool".into(), if kind == "swin" { "avg" } else { "token" }.into());
    if kind != "swin" {
        let heads = config.get("num_attention_heads").and_then(Json::as_i64).unwrap_or(12);
        options.insert("heads".into(), heads.into());
    }
    Ok(options)
}

/// Returns the activation of a network of inverted residuals.
fn activation(config: &Json, usual: &str) -> Result<Value, String> {
    Ok(match config.get("hidden_act").and_then(Json::as_str).unwrap_or(usual) {
        "relu6" => "relu6".into(),
        "relu" => "relu".into(),
        "silu" | "swish" => "silu".into(),
        "hardswish" => "hard-swish".into(),
        other => return Err(format!("its activation is `{other}`, which is not known here")),
    })
}

/// Returns what the tensors do not show of transformers' MobileNetV2.
fn of_mobilenet(config: &Json) -> Result<Table, String> {
    let number = |field: &str| config.get(field).and_then(Json::as_f64);
    if let Some(stride) = number("output_stride").filter(|stride| *stride != 32.0) {
        return Err(format!("its output stride is {stride}; a MobileNetV2 has 32 here"));
    }
    let same = config.get("tf_padding").and_then(Json::as_bool).unwrap_or(true);
    Ok(Table::from_iter([
        ("activation".into(), activation(config, "relu6")?),
        ("epsilon".into(), number("layer_norm_eps").unwrap_or(1e-3).into()),
        ("same_padding".into(), same.into()),
    ]))
}

/// Returns what the tensors do not show of transformers' EfficientNet. It pads as TensorFlow does for images of its size, by a list of
/// those blocks whose images have odd sides.
fn of_efficientnet(config: &Json) -> Result<Table, String> {
    let numbers = |field: &str, usual: &[i64]| -> Vec<i64> {
        let given = config.get(field).and_then(Json::as_array);
        given.map_or_else(|| usual.to_vec(), |list| list.iter().filter_map(Json::as_i64).collect())
    };
    let strides = numbers("strides", &[1, 2, 2, 2, 1, 2, 1]);
    let depth = config.get("depth_coefficient").and_then(Json::as_f64).unwrap_or(3.1);
    let mut side = config.get("image_size").and_then(Json::as_i64).unwrap_or(600);
    let mut is_of_tensorflow = side % 2 == 0;
    side = (side + 1) / 2;
    let (odd, mut block) = (numbers("depthwise_padding", &[]), 0);
    for (count, stride) in numbers("num_block_repeats", &[1, 2, 2, 3, 3, 4, 1]).into_iter().zip(&strides) {
        if *stride == 2 {
            is_of_tensorflow &= odd.contains(&block) == (side % 2 == 1);
            side = (side + 1) / 2;
        }
        block += (count as f64 * depth).ceil() as i64;
    }
    if !is_of_tensorflow {
        return Err("it pads images otherwise than TensorFlow, which no network here does".into());
    }
    match config.get("pooling_type").and_then(Json::as_str) {
        None | Some("mean") => {}
        Some(other) => return Err(format!("its pooling is `{other}`; an EfficientNet has `mean` here")),
    }
    Ok(Table::from_iter([
        ("activation".into(), activation(config, "swish")?),
        ("epsilon".into(), config.get("batch_norm_eps").and_then(Json::as_f64).unwrap_or(1e-3).into()),
        ("same_padding".into(), true.into()),
        ("strides".into(), strides.into()),
    ]))
}

fn text(json: &Json) -> Option<Value> {
    json.as_str().map(Value::from)
}

fn words(json: &Json) -> Option<Value> {
    let words: Option<Vec<String>> =
        json.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect();
    words.map(Value::from)
}

pub(super) fn sides<const N: usize>(json: &Json) -> Option<[i64; N]> {
    let sides: Option<Vec<i64>> = json.as_array()?.iter().map(Json::as_i64).collect();
    sides?.try_into().ok()
}

/// Returns a size: one number or two.
fn square(json: &Json) -> Option<Value> {
    let sides = json.as_i64().map(|side| [side, side]).or_else(|| sides::<2>(json));
    sides.map(|sides| sides.to_vec().into())
}

/// Returns the names in order of a table of names by number.
fn labels(json: &Json) -> Option<Value> {
    let table = json.as_object()?;
    let name = |class: usize| Some(table.get(&class.to_string())?.as_str()?.to_string());
    (0..table.len()).map(name).collect::<Option<Vec<String>>>().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(config: &Json) -> Table {
        fields(config, Path::new("config.json")).unwrap()
    }

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_configuration_of_timm_is_a_card() {
        let config = serde_json::json!({
            "architecture": "vit_base_patch16_224", "global_pool": "avg",
            "label_names": ["n1", "n2"], "label_descriptions": {"n1": "a tench", "n3": "a cock"},
            "pretrained_cfg": {
                "input_size": [3, 256, 224], "interpolation": "bilinear", "crop_pct": 0.9, "mean": [0.5, 0.5, 0.5],
                "std": [0.25, 0.25, 0.25], "crop_mode": "squash",
            },
        });
        assert_eq!(
            card(&config),
            table(
                "name = 'vit_base_patch16_224'\nchannels = 3\nsize = [256, 224]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n\
             crop = 0.9\nresize = 'squash-crop'\nfilter = 'bilinear'\nlabels = ['a tench', 'n2']\narchitecture = { pool = 'avg' }",
            )
        );
        // As `resolve_data_config` has it.
        let config = serde_json::json!({"pretrained_cfg": {"crop_pct": null, "label_names": ["a", "b"]}});
        assert_eq!(
            card(&config),
            table(
                "mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\ncrop = 0.875\nresize = 'crop'\nfilter = 'bicubic'\n\
             labels = ['a', 'b']",
            )
        );
        let border = serde_json::json!({"pretrained_cfg": {"crop_mode": "border"}});
        assert!(fields(&border, Path::new("config.json")).unwrap_err().to_string().contains("`border`"));
    }

    #[test]
    fn a_configuration_of_transformers_is_a_card() {
        let config = serde_json::json!({
            "model_type": "vit", "image_size": 384, "num_channels": 3, "num_attention_heads": 16, "hidden_act": "gelu",
            "layer_norm_eps": 1e-6, "id2label": {"1": "b", "0": "a"}, "problem_type": "multi_label_classification",
        });
        assert_eq!(
            card(&config),
            table(
                "size = [384, 384]\nchannels = 3\nlabels = ['a', 'b']\nlogits = 'sigmoid'\n\
             architecture = { heads = 16, activation = 'gelu', epsilon = 1e-6, pool = 'token' }",
            )
        );
        let config = serde_json::json!({"model_type": "deit", "problem_type": "regression"});
        assert_eq!(
            card(&config),
            table(
                "task = 'regress'\narchitecture = { heads = 12, activation = 'gelu', epsilon = 1e-12, pool = 'token' }",
            )
        );
        let config = serde_json::json!({"model_type": "resnet", "downsample_in_first_stage": true});
        assert_eq!(
            card(&config),
            table(
                "architecture = { strides = [2, 2, 2, 2, 2], dilations = [1, 1, 1, 1], stem_pool = true, antialias = 'none' }",
            )
        );
        let config = serde_json::json!({"model_type": "mobilenet_v2", "tf_padding": false});
        assert_eq!(
            card(&config),
            table("architecture = { activation = 'relu6', epsilon = 0.001, same_padding = false }"),
        );
        // EfficientNet-B1: the images of block 16 have an odd side.
        let b1 = |padded: &[usize]| serde_json::json!({"model_type": "efficientnet", "image_size": 240, "depth_coefficient": 1.1, "depthwise_padding": padded});
        assert_eq!(
            card(&b1(&[16])),
            table(
                "size = [240, 240]\narchitecture = { activation = 'silu', epsilon = 0.001, same_padding = true, strides = [1, 2, 2, 2, 1, 2, 1] }",
            )
        );
        for (config, words) in [
            (b1(&[]), "TensorFlow"),
            (serde_json::json!({"model_type": "mobilenet_v2", "output_stride": 16}), "stride is 16"),
            (serde_json::json!({"model_type": "resnet", "downsample_in_bottleneck": true}), "stride"),
            (serde_json::json!({"model_type": "resnet", "hidden_act": "gelu"}), "`gelu`"),
            (serde_json::json!({"model_type": "swin", "hidden_act": "selu"}), "`selu`"),
        ] {
            let error = fields(&config, Path::new("config.json")).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
