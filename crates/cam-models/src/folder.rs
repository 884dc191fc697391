//! What lies beside a weight file, and what its name says: a card, the configuration of a repository of timm or transformers, words in
//! the names of the file and of its folders.

use crate::card_layers::{CardLayers, Origin};
use crate::{Error, text_file};
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// The weight files of repositories, which have a configuration beside them.
const OF_REPOSITORIES: [&str; 3] = ["model.safetensors", "pytorch_model.bin", "model.onnx"];

/// The most bytes of a configuration. One that names 20,000 classes has two million.
const LONGEST: u64 = 4 << 20;

/// Adds what lies beside a weight file.
///
/// # Errors
/// [`Error::ModelCard`] for a card that cannot be read.
pub(crate) fn stated(mut layers: CardLayers, weights: &Path) -> Result<CardLayers, Error> {
    let card = weights.with_extension("toml");
    if card.is_file() {
        layers = layers.with_file(&card)?;
    }
    let name = weights.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if OF_REPOSITORIES.contains(&name) {
        for (file, fields) in
            [("config.json", of_config as fn(&Json) -> Table), ("preprocessor_config.json", of_processor)]
        {
            if let Some(json) = json(&weights.with_file_name(file)) {
                layers = layers.with(Origin::Folder(file.into()), fields(&json));
            }
        }
    }
    Ok(layers)
}

/// Returns the text that names a weight file: its own name, that of its folder, and that of its repository in the cache of the hub, in
/// lower case.
pub(crate) fn names(weights: &Path) -> String {
    let parts: Vec<String> = weights.iter().map(|part| part.to_string_lossy().to_lowercase()).rev().collect();
    let named = parts.iter().enumerate().filter(|(place, part)| *place < 2 || part.starts_with("models--"));
    named.map(|(_, part)| part.as_str()).collect::<Vec<_>>().join("/")
}

/// Returns the options that the name of a weight file tells of, see [`Family::naming`](crate::Family::naming).
pub(crate) fn named_options(naming: &[(&str, &str)], names: &str) -> Option<Table> {
    let (_, options) = naming.iter().find(|(part, _)| names.contains(part))?;
    let options: Table = toml::from_str(options).expect("the options of a name are TOML");
    Some(Table::from_iter([("architecture".into(), Value::Table(options))]))
}

fn json(path: &Path) -> Option<Json> {
    serde_json::from_str(&text_file::read(path, LONGEST).ok()?).ok()
}

/// Returns the fields of a card in a `config.json`: of timm in `pretrained_cfg`, of transformers beside the sizes of the network.
fn of_config(config: &Json) -> Table {
    let mut card = Table::new();
    let trained = config.get("pretrained_cfg").unwrap_or(config);
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            card.insert(field.into(), value);
        }
    };
    put("name", config.get("architecture").and_then(text));
    if let Some([channels, height, width]) = trained.get("input_size").and_then(sides::<3>) {
        put("channels", Some(channels.into()));
        put("size", Some(vec![height, width].into()));
    }
    put("mean", trained.get("mean").and_then(numbers));
    put("std", trained.get("std").and_then(numbers));
    put("crop", trained.get("crop_pct").and_then(Json::as_f64).map(Value::from));
    put("filter", trained.get("interpolation").and_then(text).filter(is_filter));
    put("labels", trained.get("label_names").and_then(words));
    put("size", config.get("image_size").and_then(square));
    put("channels", config.get("num_channels").and_then(Json::as_i64).map(Value::from));
    put("labels", config.get("id2label").and_then(labels));
    let sigmoid = config.get("problem_type").is_some_and(|kind| kind == "multi_label_classification");
    put("logits", sigmoid.then(|| "sigmoid".into()));
    let architecture = options(config);
    if !architecture.is_empty() {
        card.insert("architecture".into(), Value::Table(architecture));
    }
    card
}

/// Returns the options of a transformer in its `config.json`.
fn options(config: &Json) -> Table {
    let mut options = Table::new();
    let word = |field: &str| config.get(field).and_then(Json::as_str).unwrap_or_default();
    if ["vit", "deit", "swin"].iter().any(|family| word("architecture").starts_with(family)) {
        let pool = word("global_pool");
        if ["token", "avg", "max", "avgmax"].contains(&pool) {
            options.insert("pool".into(), pool.into());
        }
    }
    let kind = word("model_type");
    if !["vit", "deit", "swin"].contains(&kind) {
        return options;
    }
    let activation = match word("hidden_act") {
        "gelu" => Some("gelu"),
        "gelu_new" | "gelu_pytorch_tanh" => Some("gelu-tanh"),
        "quick_gelu" => Some("quick-gelu"),
        "relu" => Some("relu"),
        _ => None,
    };
    options.extend(activation.map(|activation| ("activation".into(), activation.into())));
    let epsilon = config.get("layer_norm_eps").and_then(Json::as_f64);
    options.extend(epsilon.map(|epsilon| ("epsilon".into(), epsilon.into())));
    if kind != "swin" {
        let heads = config.get("num_attention_heads").and_then(Json::as_i64);
        options.extend(heads.map(|heads| ("heads".into(), heads.into())));
    }
    options
}

/// Returns the fields of a card in a `preprocessor_config.json` of transformers.
fn of_processor(config: &Json) -> Table {
    let mut card = Table::new();
    let off = |field: &str| config.get(field).is_some_and(|value| value == false);
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            card.insert(field.into(), value);
        }
    };
    let size = config.get("crop_size").filter(|_| !off("do_center_crop")).or(config.get("size"));
    put("size", size.and_then(square));
    match off("do_normalize") {
        true => {
            put("mean", Some(vec![0.0].into()));
            put("std", Some(vec![1.0].into()));
        }
        false => {
            put("mean", config.get("image_mean").and_then(numbers));
            put("std", config.get("image_std").and_then(numbers));
        }
    }
    put("range", off("do_rescale").then(|| "0..255".into()));
    // Pillow's numbers.
    put(
        "filter",
        match config.get("resample").and_then(Json::as_i64) {
            Some(1) => Some("lanczos".into()),
            Some(2) => Some("bilinear".into()),
            Some(3) => Some("bicubic".into()),
            _ => None,
        },
    );
    put("crop", config.get("crop_pct").and_then(Json::as_f64).map(Value::from));
    card
}

fn text(json: &Json) -> Option<Value> {
    json.as_str().map(Value::from)
}

fn is_filter(name: &Value) -> bool {
    ["bilinear", "bicubic", "lanczos"].into_iter().any(|filter| name.as_str() == Some(filter))
}

fn numbers(json: &Json) -> Option<Value> {
    let numbers: Option<Vec<f64>> = json.as_array()?.iter().map(Json::as_f64).collect();
    numbers.map(Value::from)
}

fn words(json: &Json) -> Option<Value> {
    let words: Option<Vec<String>> =
        json.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect();
    words.map(Value::from)
}

fn sides<const N: usize>(json: &Json) -> Option<[i64; N]> {
    let sides: Option<Vec<i64>> = json.as_array()?.iter().map(Json::as_i64).collect();
    sides?.try_into().ok()
}

/// Returns a size: one number, two, or named ones.
fn square(json: &Json) -> Option<Value> {
    let named = |height: &str, width: &str| Some([json.get(height)?.as_i64()?, json.get(width)?.as_i64()?]);
    let sides = json.as_i64().map(|side| [side, side]).or_else(|| sides::<2>(json));
    let sides =
        sides.or_else(|| named("height", "width")).or_else(|| named("shortest_edge", "shortest_edge"));
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

    #[test]
    fn a_repository_in_the_cache_of_the_hub_names_its_weights() {
        let path = "/cache/models--timm--DeiT_tiny_patch16_224.fb_in1k/snapshots/0123/model.safetensors";
        let names = names(Path::new(path));
        assert_eq!(names, "model.safetensors/0123/models--timm--deit_tiny_patch16_224.fb_in1k");
    }

    #[test]
    fn a_configuration_of_timm_is_a_card() {
        let config = serde_json::json!({
            "architecture": "vit_base_patch16_224", "global_pool": "avg",
            "pretrained_cfg": {
                "input_size": [3, 256, 224], "interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5, 0.5, 0.5],
                "std": [0.25, 0.25, 0.25], "label_names": ["a", "b"],
            },
        });
        let card = of_config(&config);
        let expected: Table = toml::from_str(
            "name = 'vit_base_patch16_224'\nchannels = 3\nsize = [256, 224]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n\
             crop = 0.9\nfilter = 'bicubic'\nlabels = ['a', 'b']\narchitecture = { pool = 'avg' }",
        )
        .unwrap();
        assert_eq!(card, expected);
    }

    #[test]
    fn a_configuration_of_transformers_is_a_card() {
        let config = serde_json::json!({
            "model_type": "vit", "image_size": 384, "num_channels": 3, "num_attention_heads": 12, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "id2label": {"1": "b", "0": "a"}, "problem_type": "multi_label_classification",
        });
        let expected: Table = toml::from_str(
            "size = [384, 384]\nchannels = 3\nlabels = ['a', 'b']\nlogits = 'sigmoid'\n\
             architecture = { heads = 12, activation = 'gelu', epsilon = 1e-12 }",
        )
        .unwrap();
        assert_eq!(of_config(&config), expected);
        let processor = serde_json::json!({
            "size": {"height": 384, "width": 384}, "image_mean": [0.5], "image_std": [0.5], "resample": 3, "do_rescale": false,
        });
        let expected: Table = toml::from_str(
            "size = [384, 384]\nmean = [0.5]\nstd = [0.5]\nrange = '0..255'\nfilter = 'bicubic'",
        )
        .unwrap();
        assert_eq!(of_processor(&processor), expected);
    }
}
