//! The networks, each an ordinary Burn module in its own file: configuration, variants, one forward pass, detection and the names of
//! other publishers. The model cards of a family are in the TOML file beside it.

pub mod clip;
pub mod convnext;
pub mod densenet;
pub mod inverted;
pub mod mnasnet;
pub mod resnet;
pub mod scenes;
pub mod swin;
pub mod vgg;
pub mod vit;

mod antialias;
mod bicubic;
mod head;
mod numbered;
mod sequence;
mod tokens;

use crate::Family;
use std::sync::Arc;

/// Returns the families, in the order in which their models are listed.
pub(crate) fn families() -> Vec<Arc<dyn Family>> {
    vec![
        Arc::new(scenes::ScenesFamily),
        Arc::new(resnet::ResNetFamily),
        Arc::new(vgg::VggFamily),
        Arc::new(vit::VitFamily),
        Arc::new(swin::SwinFamily),
        Arc::new(densenet::DenseNetFamily),
        Arc::new(mnasnet::MnasNetFamily),
        Arc::new(convnext::ConvNextFamily),
        Arc::new(inverted::InvertedFamily),
    ]
}
