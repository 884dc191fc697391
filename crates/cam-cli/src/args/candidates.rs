//! Which methods and layers are measured.

use crate::args::completion;
use crate::registry;
use crate::report::failure::Failure;
use burn_cam::metrics::baselines;
use burn_cam::{AnyModel, Method, layer_sweep};

/// Which methods and layers are measured.
#[derive(clap::Args)]
#[group(id = "candidates")]
#[command(next_help_heading = "Method")]
pub struct CandidateArgs {
    /// Methods, or `all`: see `cam methods` [default: all quick ones]
    ///
    /// Several are separated by commas. `--method` is the same.
    #[arg(long, alias = "method", value_name = "NAMES", value_delimiter = ',', value_parser = completion::METHODS, hide_possible_values = true)]
    pub methods: Vec<String>,
    /// Layers, or `all`: see `cam layers` [default: the card's; of `tune` all]
    ///
    /// By default it is the one of the model card, and of `cam tune` all. Several are separated by commas; `all` takes them from shallow to deep. `--layer` is the same.
    #[arg(long, alias = "layer", value_name = "NAMES", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Leave out tokens with outlying norms: artifacts of vision transformers (arXiv:2309.16588)
    #[arg(long, hide_short_help = true)]
    pub omit_outliers: bool,
}

impl CandidateArgs {
    /// Returns the methods without the baselines, which are always measured; if none is named those that are `quick`.
    pub fn methods(&self, quick: impl Fn(&dyn Method) -> bool) -> Result<Vec<&'static dyn Method>, Failure> {
        let all = registry().methods();
        let mut methods: Vec<&'static dyn Method> = match &self.methods[..] {
            [] => all.iter().copied().filter(|method| quick(*method)).collect(),
            [word] if word == "all" => all.to_vec(),
            names => names.iter().map(|name| registry().method(name)).collect::<Result<_, _>>()?,
        };
        let baselines = baselines().map(|method| method.name());
        methods.retain(|method| !baselines.contains(&method.name()));
        Ok(methods)
    }

    /// Returns the layers that are named; if none is, the default one of the model, or `all` of them.
    pub fn layers(&self, model: &AnyModel, all: bool) -> Result<Vec<String>, Failure> {
        match &self.layers[..] {
            [] if !all => {
                Ok(burn_cam::ImageModel::default_layer(model).map(String::from).into_iter().collect())
            }
            [] => Ok(layer_sweep(model)?),
            [word] if word == "all" => Ok(layer_sweep(model)?),
            names => Ok(names.to_vec()),
        }
    }
}
