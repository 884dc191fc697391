//! A `preprocessor_config.json` of transformers: how an image becomes the input of a network.
//!
//! The class that a file names has a default for each key that is absent. The defaults here are those of transformers 5.24.

use super::config::{of_timm, sides};
use super::refused;
use crate::Error;
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// The defaults of a class of image processors, and what it does in a way of its own.
struct Class {
    name: &'static str,
    size: Size,
    /// What its center crop keeps, if it makes one.
    crop: Option<[i64; 2]>,
    filter: &'static str,
    mean: [f64; 3],
    std: [f64; 3],
    /// Whether a size of one number is a square, and not a shorter side.
    is_square: bool,
    rule: Rule,
}

/// What an image is resized to.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    /// This height and width.
    Exact([i64; 2]),
    /// A shorter side of so many pixels.
    Short(i64),
    /// A shorter side of so many pixels, or a longer side of so many if that makes a smaller image.
    Within(i64, i64),
}

/// What a class does in a way of its own.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Plain,
    /// Below 384 pixels an image is resized to a larger size, of which this share is kept; from there on it is squeezed.
    ConvNext,
    /// An image is resized to a larger size, of which this share is kept.
    PoolFormer,
    /// The shorter side is larger by 256 / 224.
    Levit,
    /// 1 can be taken off, and the deviation is divided by twice.
    EfficientNet,
    /// The channels are turned round, and not normalized.
    MobileVit,
}

const HALF: [f64; 3] = [0.5; 3];
const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
const CLIP: [[f64; 3]; 2] = [[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]];

/// What most classes have.
const VIT: Class = Class {
    name: "ViT",
    size: Size::Exact([224; 2]),
    crop: None,
    filter: "bilinear",
    mean: HALF,
    std: HALF,
    is_square: true,
    rule: Rule::Plain,
};

const CLASSES: &[Class] = &[
    VIT,
    Class { name: "Beit", filter: "bicubic", ..VIT },
    Class { name: "Bit", mean: CLIP[0], std: CLIP[1], ..SHORT },
    Class { name: "CLIP", mean: CLIP[0], std: CLIP[1], ..SHORT },
    Class { name: "ConvNext", size: Size::Short(384), crop: None, rule: Rule::ConvNext, ..SHORT },
    Class { name: "DeiT", size: Size::Exact([256; 2]), crop: Some([224; 2]), filter: "bicubic", ..VIT },
    Class {
        name: "EfficientNet",
        size: Size::Exact([346; 2]),
        filter: "bicubic",
        rule: Rule::EfficientNet,
        ..VIT
    },
    Class { name: "Levit", mean: IMAGENET[0], std: IMAGENET[1], rule: Rule::Levit, ..SHORT },
    Class { name: "MobileNetV1", size: Size::Short(256), filter: "bilinear", ..SHORT },
    Class { name: "MobileNetV2", size: Size::Short(256), filter: "bilinear", ..SHORT },
    Class { name: "MobileViT", crop: Some([256; 2]), rule: Rule::MobileVit, ..SHORT },
    Class { name: "PoolFormer", mean: IMAGENET[0], std: IMAGENET[1], rule: Rule::PoolFormer, ..SHORT },
    Class { name: "Pvt", filter: "bicubic", mean: IMAGENET[0], std: IMAGENET[1], ..VIT },
    Class { name: "Segformer", size: Size::Exact([512; 2]), mean: IMAGENET[0], std: IMAGENET[1], ..VIT },
    Class { name: "Siglip", filter: "bicubic", is_square: false, ..VIT },
];

/// What classes have that resize the shorter side and keep the center.
const SHORT: Class = Class {
    name: "",
    size: Size::Short(224),
    crop: Some([224; 2]),
    filter: "bicubic",
    is_square: false,
    ..VIT
};

/// The classes of kinds of networks, of files that name none.
const OF_KINDS: &[(&str, &str)] = &[
    ("vit", "ViT"),
    ("swin", "ViT"),
    ("swinv2", "ViT"),
    ("deit", "DeiT"),
    ("beit", "Beit"),
    ("resnet", "ConvNext"),
    ("regnet", "ConvNext"),
    ("convnext", "ConvNext"),
    ("convnextv2", "ConvNext"),
    ("dinov2", "Bit"),
    ("bit", "Bit"),
    ("efficientnet", "EfficientNet"),
    ("levit", "Levit"),
    ("mobilenet_v1", "MobileNetV1"),
    ("mobilenet_v2", "MobileNetV2"),
    ("mobilevit", "MobileViT"),
    ("mobilevitv2", "MobileViT"),
    ("poolformer", "PoolFormer"),
    ("pvt", "Pvt"),
    ("segformer", "Segformer"),
    ("siglip", "Siglip"),
    ("clip", "CLIP"),
];

/// The size from which on ConvNeXt's images are squeezed.
const SQUEEZED: i64 = 384;

/// The center crops of classes that make none by default, when a file asks for one.
fn usual_crop(class: &Class) -> [i64; 2] {
    class.crop.unwrap_or(if class.rule == Rule::EfficientNet { [289; 2] } else { [224; 2] })
}

/// Returns what a file says of the input of a network of this kind, as fields of a card, and what is assumed.
pub(super) fn fields(file: &Json, kind: Option<&str>, path: &Path) -> Result<(Table, Option<String>), Error> {
    let refuse = |reason: String| refused(path, reason);
    if file.get("pretrained_cfg").is_some() {
        return Ok((of_timm(file).map_err(refuse)?, None));
    }
    let known = |field: &str| file.get(field).filter(|value| !value.is_null());
    let word = |field: &str| known(field).and_then(Json::as_str);
    let named = word("image_processor_type").or(word("feature_extractor_type"));
    let name = named.map(|name| {
        let name = name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(name);
        name.strip_suffix("ImageProcessor").or(name.strip_suffix("FeatureExtractor")).unwrap_or(name)
    });
    let of_kind = || OF_KINDS.iter().find(|(known, _)| Some(*known) == kind).map(|(_, class)| *class);
    let class = CLASSES.iter().find(|class| Some(class.name) == name.or_else(of_kind));
    let assumed = match (class, named) {
        (None, Some(name)) => Some(format!("images prepared as a ViT's, by the keys of its `{name}`")),
        _ => None,
    };
    let class = class.unwrap_or(&VIT);
    let is = |field: &str, default: bool| known(field).and_then(Json::as_bool).unwrap_or(default);
    let share = || known("crop_pct").and_then(Json::as_f64).filter(|share| *share > 0.0);

    let stated = match known("size") {
        Some(size) => size_of(size, class.is_square, known("max_size").and_then(Json::as_i64)),
        None => Some(class.size),
    };
    let stated = stated.filter(|size| size.sides().iter().all(|side| SIDES.contains(side)));
    let mut size = stated.ok_or_else(|| refuse(format!("its `size` is {}", file["size"])))?;
    let crops = is("do_center_crop", class.crop.is_some());
    let mut crop = match known("crop_size") {
        _ if !crops => None,
        None => Some(usual_crop(class)),
        Some(stated) => {
            let crop = size_of(stated, true, None).and_then(|size| match size {
                Size::Exact(sides) => {
                    Some(sides).filter(|sides| sides.iter().all(|side| SIDES.contains(side)))
                }
                _ => None,
            });
            Some(crop.ok_or_else(|| refuse(format!("its `crop_size` is {stated}")))?)
        }
    };
    let grown = |side: i64, share: f64| (side as f64 / share) as i64;
    if is("do_resize", true) {
        match (class.rule, size) {
            (Rule::ConvNext, Size::Short(side)) if side < SQUEEZED => {
                size = Size::Short(grown(side, share().unwrap_or(0.875)));
                crop = Some(crop.unwrap_or([side; 2]));
            }
            (Rule::ConvNext, Size::Short(side)) => size = Size::Exact([side; 2]),
            (Rule::ConvNext, _) => return Err(refuse("its `size` needs a `shortest_edge`".into())),
            (Rule::PoolFormer, Size::Short(side)) => size = Size::Short(grown(side, share().unwrap_or(0.9))),
            (Rule::PoolFormer, Size::Exact([height, width])) => {
                let sides = [height, width].map(|side| grown(side, share().unwrap_or(0.9)));
                size = if height == width { Size::Short(sides[0]) } else { Size::Exact(sides) };
            }
            (Rule::Levit, Size::Short(side)) => size = Size::Short((256.0 / 224.0 * side as f64) as i64),
            _ => {}
        }
    } else if crop.is_some() {
        return Err(refuse("images are cropped without being resized, which is not done here".into()));
    } else {
        // An image that fits stays as it is when it is squeezed.
        size = Size::Exact(size.sides());
    }
    let mut card = placed(size, crop).map_err(refuse)?;

    let filter = match known("resample").and_then(Json::as_i64) {
        None => class.filter,
        // Pillow's numbers.
        Some(0) => "nearest",
        Some(1) => "lanczos",
        Some(2) => "bilinear",
        Some(3) => "bicubic",
        Some(4) => "box",
        Some(5) => "hamming",
        Some(other) => {
            return Err(refuse(format!("its `resample` is {other}, which is no filter of Pillow")));
        }
    };
    card.insert("filter".into(), filter.into());
    let channels = |field: &str, default: [f64; 3]| match known(field) {
        None => Ok(default.to_vec()),
        Some(number) if number.is_number() => Ok(vec![number.as_f64().unwrap_or_default()]),
        Some(list) => {
            let read: Option<Vec<f64>> =
                list.as_array().and_then(|list| list.iter().map(Json::as_f64).collect());
            read.filter(|list| !list.is_empty()).ok_or_else(|| refuse(format!("its `{field}` is {list}")))
        }
    };
    let (mut mean, mut std) = (channels("image_mean", class.mean)?, channels("image_std", class.std)?);
    let own = std.clone();
    if !is("do_normalize", true) || class.rule == Rule::MobileVit {
        (mean, std) = (vec![0.0], vec![1.0]);
    }
    if class.rule == Rule::EfficientNet && is("include_top", true) {
        std = (0..own.len()).map(|at| std.get(at).unwrap_or(&std[0]) * own[at]).collect();
    }
    if let Some(zero) = std.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
        return Err(refuse(format!("a deviation is {zero}")));
    }
    // A pixel of 0..255 becomes pixel * factor - offset, and then (that - mean) / std.
    let rescales = is("do_rescale", true);
    let factor = known("rescale_factor").and_then(Json::as_f64).unwrap_or(1.0 / 255.0);
    let unit = if rescales { 255.0 * factor } else { 1.0 };
    if !(unit.is_finite() && unit > 0.0) {
        return Err(refuse(format!("its `rescale_factor` is {factor}")));
    }
    let offset =
        f64::from(u8::from(rescales && class.rule == Rule::EfficientNet && is("rescale_offset", false)));
    if (unit - 1.0).abs() > 1e-9 || offset > 0.0 {
        mean.iter_mut().for_each(|mean| *mean = (*mean + offset) / unit);
        std.iter_mut().for_each(|std| *std /= unit);
    }
    if class.rule == Rule::MobileVit && is("do_flip_channel_order", true) {
        card.insert("order".into(), "bgr".into());
    }
    card.insert("mean".into(), mean.into());
    card.insert("std".into(), std.into());
    if !rescales {
        card.insert("range".into(), "0..255".into());
    }
    Ok((card, assumed))
}

/// The sides of inputs that there are.
const SIDES: std::ops::RangeInclusive<i64> = 1..=1 << 16;

impl Size {
    fn sides(self) -> [i64; 2] {
        match self {
            Self::Exact(sides) => sides,
            Self::Short(side) => [side; 2],
            Self::Within(short, long) => [short, long],
        }
    }
}

/// Reads a size: one number, two, or named ones.
fn size_of(json: &Json, is_square: bool, longest: Option<i64>) -> Option<Size> {
    let named = |name: &str| json.get(name).and_then(Json::as_i64);
    match (json.as_i64(), longest) {
        (Some(side), _) if is_square => return Some(Size::Exact([side; 2])),
        (Some(side), None) => return Some(Size::Short(side)),
        (Some(side), Some(longest)) => return Some(Size::Within(side, longest)),
        _ => {}
    }
    if let Some(sides) = sides::<2>(json) {
        return Some(Size::Exact(sides));
    }
    match (named("height"), named("width"), named("shortest_edge"), named("longest_edge")) {
        (_, _, Some(short), Some(long)) => Some(Size::Within(short, long)),
        (_, _, Some(short), None) => Some(Size::Short(short)),
        (Some(height), Some(width), ..) => Some(Size::Exact([height, width])),
        _ => None,
    }
}

/// Returns the fields of a card for a size and the crop of its center.
fn placed(size: Size, crop: Option<[i64; 2]>) -> Result<Table, String> {
    let mut card = Table::new();
    let mut put = |field: &str, value: Value| card.insert(field.into(), value);
    put("cropping", "transformers".into());
    let (resize, sides) = match (size, crop) {
        (Size::Exact(sides), None) => ("squash", sides),
        (Size::Exact(sides), Some(crop)) if sides == crop => ("squash", sides),
        (Size::Exact([height, width]), Some([rows, columns])) if rows * width == columns * height => {
            put("crop", (rows as f64 / height as f64).into());
            ("squash-crop", [rows, columns])
        }
        (Size::Short(short), None) => ("short-side", [short; 2]),
        (Size::Short(short), Some(crop)) => {
            put("crop", (crop[0].min(crop[1]) as f64 / short as f64).into());
            ("crop", crop)
        }
        (Size::Within(short, longest), None) => {
            put("longest", longest.into());
            ("short-side", [short; 2])
        }
        (Size::Exact(_) | Size::Within(..), Some([rows, columns])) => {
            return Err(format!(
                "its center crop of {rows} x {columns} pixels has another form than its `size`, which is not done here"
            ));
        }
    };
    put("resize", resize.into());
    put("size", sides.to_vec().into());
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(file: &Json) -> Table {
        let (card, assumed) = fields(file, None, Path::new("preprocessor_config.json")).unwrap();
        assert_eq!(assumed, None, "{file}");
        card
    }

    /// Asserts that these fields of a card are so.
    #[track_caller]
    fn assert_card(file: Json, expected: &str) {
        let (card, expected) = (card(&file), toml::from_str::<Table>(expected).unwrap());
        for (field, value) in expected {
            assert_eq!(card.get(&field), Some(&value), "{field} of {file}");
        }
    }

    #[test]
    fn a_size_has_many_forms() {
        let vit = |size: Json| serde_json::json!({"image_processor_type": "ViTImageProcessor", "size": size});
        assert_card(vit(384.into()), "resize = 'squash'\nsize = [384, 384]");
        assert_card(vit(serde_json::json!([96, 64])), "resize = 'squash'\nsize = [96, 64]");
        assert_card(vit(serde_json::json!({"height": 96, "width": 64})), "size = [96, 64]");
        assert_card(vit(serde_json::json!({"shortest_edge": 64})), "resize = 'short-side'\nsize = [64, 64]");
        assert_card(
            vit(serde_json::json!({"shortest_edge": 64, "longest_edge": 90})),
            "resize = 'short-side'\nsize = [64, 64]\nlongest = 90",
        );
        // The old name, and a number that is the shorter side.
        let clip = serde_json::json!({"feature_extractor_type": "CLIPFeatureExtractor", "size": 64, "crop_size": 56});
        assert_card(clip, "resize = 'crop'\nsize = [56, 56]\ncrop = 0.875\ncropping = 'transformers'");
        let off = serde_json::json!({"feature_extractor_type": "CLIPFeatureExtractor", "size": 64, "do_center_crop": false});
        assert_card(off, "resize = 'short-side'\nsize = [64, 64]");
    }

    #[test]
    fn classes_have_rules_of_their_own() {
        let of = |class: &str, more: &str| -> Json {
            serde_json::from_str(&format!("{{\"image_processor_type\": \"{class}ImageProcessor\"{more}}}"))
                .unwrap()
        };
        let convnext = |size: i64| {
            of("ConvNext", &format!(", \"size\": {{\"shortest_edge\": {size}}}, \"crop_pct\": 0.95"))
        };
        assert_card(convnext(224), &format!("resize = 'crop'\nsize = [224, 224]\ncrop = {}", 224.0 / 235.0));
        assert_card(convnext(384), "resize = 'squash'\nsize = [384, 384]");
        assert_card(
            of("DeiT", ""),
            "resize = 'squash-crop'\nsize = [224, 224]\ncrop = 0.875\nfilter = 'bicubic'",
        );
        assert_card(of("Levit", ""), "resize = 'crop'\ncrop = 0.875");
        assert_card(of("PoolFormer", ""), &format!("resize = 'crop'\ncrop = {}", 224.0 / 248.0));
        assert_card(
            of("MobileViT", ""),
            &format!("order = 'bgr'\nmean = [0.0]\nstd = [1.0]\ncrop = {}", 256.0 / 224.0),
        );
        assert_card(of("MobileViT", ", \"do_flip_channel_order\": false"), "mean = [0.0]");
        let offset = ", \"rescale_factor\": 0.00784313725490196, \"rescale_offset\": true, \"include_top\": false, \"image_mean\": 0.0, \
                      \"image_std\": 1.0, \"resample\": 0";
        assert_card(of("EfficientNet", offset), "mean = [0.5]\nstd = [0.5]\nfilter = 'nearest'");
        assert_card(of("EfficientNet", ""), "mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]");
        assert_card(of("ViT", ", \"do_rescale\": false"), "range = '0..255'\nmean = [0.5, 0.5, 0.5]");
        assert_card(
            of("ViT", ", \"do_normalize\": false, \"resample\": 5"),
            "mean = [0.0]\nstd = [1.0]\nfilter = 'hamming'",
        );
        assert_card(serde_json::json!({"pretrained_cfg": {"crop_pct": 0.9}}), "resize = 'crop'\ncrop = 0.9");
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_what_is_not_known_is_said() {
        for (file, words) in [
            (serde_json::json!({"size": {"longest_edge": 3}}), "`size`"),
            (serde_json::json!({"size": -3}), "`size` is -3"),
            (serde_json::json!({"size": 1e30}), "`size`"),
            (serde_json::json!({"resample": 9}), "`resample` is 9"),
            (serde_json::json!({"image_std": [0.0, 1.0, 1.0]}), "a deviation is 0"),
            (serde_json::json!({"image_mean": ["a"]}), "`image_mean`"),
            (serde_json::json!({"rescale_factor": 0}), "`rescale_factor`"),
            (serde_json::json!({"do_center_crop": true, "crop_size": [224, 100]}), "another form"),
            (serde_json::json!({"do_resize": false, "do_center_crop": true}), "without being resized"),
        ] {
            let error = fields(&file, None, Path::new("preprocessor_config.json")).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("preprocessor_config.json"), "{error}");
        }
        let other = serde_json::json!({"image_processor_type": "PerceiverImageProcessor"});
        let (_, assumed) = fields(&other, None, Path::new("")).unwrap();
        assert!(assumed.unwrap().contains("`PerceiverImageProcessor`"));
        // A file without a name has the class of its network.
        let (card, _) = fields(&serde_json::json!({}), Some("deit"), Path::new("")).unwrap();
        assert_eq!(card["resize"].as_str(), Some("squash-crop"));
    }
}
