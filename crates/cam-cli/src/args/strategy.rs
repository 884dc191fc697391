//! How images are explained: layers, and what is done around the methods.

use crate::args::budget::BudgetArgs;
use crate::args::target::TargetArgs;
use crate::report::console::Console;
use crate::report::failure::Failure;
use burn_cam::{
    AnyTarget, Fusion, GradCam, ImageExplainer, ImageModel, Method, Rectify, Rise, Scale, Sess, Smooth,
    default_method, layer_sweep,
};
use clap::ValueEnum;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// So few passes need no progress bar.
const FEW: usize = 8;

/// How images are explained.
#[derive(clap::Args, Serialize)]
#[group(id = "strategy")]
#[command(next_help_heading = "Method")]
pub struct StrategyArgs {
    /// A layer, or several: see `cam layers` [default: that of the card]
    ///
    /// Several are separated by commas, or given several times. `all` takes the blocks of the network from shallow to deep, `auto` the last
    /// layer with a grid and a gradient, `input` the pixels.
    #[arg(long = "layer", value_name = "NAME", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Which evidence: positive, negative, absolute, both [default: positive]
    ///
    /// Evidence for the class, against it, how much there is of either, or both in two colors. By default it is positive, and both of numbers
    /// that are no classes (`--task regress`).
    #[arg(long, help_heading = "What to explain", value_name = "SIGN", hide_possible_values = true)]
    #[serde(skip)]
    pub sign: Option<SignArg>,
    /// Combine channels by their first principal component instead of their sum
    #[arg(long, hide_short_help = true)]
    pub eigen_smooth: bool,
    /// Leave out tokens with outlying norms: artifacts of vision transformers, which warnings report (arXiv:2309.16588)
    #[arg(long, hide_short_help = true)]
    pub omit_outliers: bool,
    /// Average over six views: plain and mirrored, each in three brightnesses
    #[arg(long, hide_short_help = true, group = "views")]
    pub aug_smooth: bool,
    /// Average over N views with noise, 1000 at most
    #[arg(long, hide_short_help = true, value_name = "N", group = "views", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub noise: Option<u32>,
    /// The standard deviation of that noise, in normalized inputs
    #[arg(long, hide_short_help = true, value_name = "SIGMA", default_value_t = 0.3, requires = "noise", value_parser = positive)]
    pub sigma: f64,
    /// Show beside each map its standard deviation over those views
    #[arg(long, hide_short_help = true, requires = "views")]
    pub show_std: bool,
    /// Put maps together from windows that slide over the image at N scales (SESS), which finds small objects; the paper has 12
    #[arg(long, hide_short_help = true, value_name = "N", conflicts_with = "views", value_parser = clap::value_parser!(u32).range(1..=24))]
    pub sess: Option<u32>,
    /// Explain by random masks (RISE; of boxes D-RISE), N at most, instead of by a method and a layer: they end as soon as
    /// the maps are accurate
    #[arg(long, hide_short_help = true, value_name = "N", group = "views", num_args = 0..=1, require_equals = true, default_missing_value = "5000", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub masks: Option<u32>,
    /// The mean standard error at which no masks are added, as a share of the range of a map
    #[arg(long, hide_short_help = true, value_name = "SHARE", default_value_t = 0.02, requires = "masks", value_parser = positive)]
    pub tolerance: f64,
    /// The seed of what is random: noise, masks, and methods that draw numbers
    #[arg(long, hide_short_help = true, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Fuse the maps of all layers into one
    #[arg(long, hide_short_help = true, value_name = "HOW")]
    pub fuse: Option<FuseArg>,
    #[command(flatten)]
    #[serde(flatten)]
    pub budget: BudgetArgs,
}

impl StrategyArgs {
    /// Returns the methods of these names, within the budget and with the seed; without names the first of the registry.
    pub fn methods(&self, names: &[String]) -> Result<Vec<&'static dyn Method>, Failure> {
        let methods = self.budget.methods(names)?;
        Ok(methods.into_iter().map(|method| self.seeded(method)).collect())
    }

    /// Returns the methods that are named, or the default one of the model; of one that reads no layer, Grad-CAM takes the place if something
    /// is asked that is about a layer.
    pub fn methods_of(
        &self,
        names: &[String],
        model: &impl ImageModel,
    ) -> Result<Vec<&'static dyn Method>, Failure> {
        let own = model.decoder().method().unwrap_or(GradCam.name());
        let is_of_layers = !self.layers.is_empty() || self.eigen_smooth || self.omit_outliers;
        let default = match is_of_layers || self.sign(model) != SignArg::Positive {
            true => own,
            false => default_method(model),
        };
        let default = [default.to_string()];
        self.methods(if names.is_empty() { &default } else { names })
    }

    /// Returns a method with the seed, if it draws random numbers.
    pub fn seeded(&self, method: &'static dyn Method) -> &'static dyn Method {
        match method.with_seed(self.seed) {
            Some(seeded) if self.seed != 0 => Box::leak(seeded),
            _ => method,
        }
    }

    /// Returns the layers that are asked for; none when the explainer chooses.
    pub fn layers(&self, model: &impl ImageModel) -> Result<Vec<String>, Failure> {
        let layers = match self.layers.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => model.default_layer().map(String::from).into_iter().collect(),
            ["auto"] => Vec::new(),
            ["all"] => layer_sweep(model)?,
            _ if self.layers.iter().any(|layer| ["all", "auto"].contains(&layer.as_str())) => {
                return Err(Failure::Usage(
                    "`--layer all` and `--layer auto` cannot be combined with other layers".into(),
                ));
            }
            _ => self.layers.clone(),
        };
        if self.fuse.is_some() && layers.len() < 2 {
            return Err(Failure::Usage("`--fuse` needs several layers: name them by `--layer`".into()));
        }
        Ok(layers)
    }

    /// Returns whether the sign that is asked for has values below zero; so options are refused before a model is opened.
    pub fn asks_for_both(&self) -> bool {
        self.sign.is_some_and(SignArg::is_signed)
    }

    /// Returns the sign that is asked for, or else that of what the model predicts.
    pub fn sign(&self, model: &impl ImageModel) -> SignArg {
        let own = if model.decoder().is_signed() { SignArg::Both } else { SignArg::Positive };
        self.sign.unwrap_or(own)
    }

    /// Returns whether the explainer chooses the layer.
    fn chooses(&self) -> bool {
        self.layers == ["auto"]
    }

    /// Returns an explainer with these targets, methods and layers. Slow methods have a progress bar, and so have views, windows and masks.
    pub fn explainer<'m, M: ImageModel>(
        &self,
        model: &'m M,
        (args, targets): (&TargetArgs, &[AnyTarget]),
        methods: &[&'static dyn Method],
        layers: &[String],
        console: &Console,
    ) -> ImageExplainer<'m, M> {
        let mut explainer = ImageExplainer::new(model).configure(|explainer| {
            let explainer = if self.chooses() { explainer.search_layer() } else { explainer };
            let explainer = self.budget.limit(explainer).eigen_smooth(self.eigen_smooth);
            let explainer = explainer.omit_outliers(self.omit_outliers);
            // Without a sign it is that of the model's decoder.
            let explainer = match self.sign {
                Some(sign) => explainer.rectify(sign.into()).scale(sign.scale()),
                None => explainer,
            };
            let (console, bars) = (console.clone(), Mutex::new(HashMap::new()));
            let quick: Vec<&str> = methods
                .iter()
                .map(|method| method.info())
                .filter(|info| !info.cost.is_slow())
                .map(|info| info.name)
                .collect();
            explainer.on_progress(move |progress| {
                if progress.total > FEW && !quick.contains(&progress.method) {
                    let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
                    let bar = bars.entry(progress.method).or_insert_with(|| console.passes(progress.method));
                    bar.set_length(progress.total as u64);
                    bar.set_position(progress.done as u64);
                }
            })
        });
        explainer = args.explainer(explainer);
        explainer = targets.iter().cloned().fold(explainer, ImageExplainer::target);
        explainer = methods.iter().fold(explainer, |explainer, method| explainer.method(*method));
        explainer = layers.iter().fold(explainer, ImageExplainer::layer);
        if let Some(fuse) = self.fuse {
            explainer = explainer.wrap(Fusion::from(fuse));
        }
        if let Some(most) = self.masks {
            let own = if explainer.has_places() { Rise::BOXES } else { Rise::PAPER };
            return explainer.masked(Rise {
                most: most as usize,
                tolerance: self.tolerance,
                seed: self.seed,
                ..own
            });
        }
        match (self.aug_smooth, self.noise, self.sess) {
            (true, ..) => explainer.wrap(Smooth::augmented()),
            (_, Some(samples), _) => explainer.wrap(Smooth::noisy(samples as usize, self.sigma, self.seed)),
            (.., Some(scales)) => explainer.wrap(Sess { scales: scales as usize, ..Sess::PAPER }),
            _ => explainer,
        }
    }
}

/// Which evidence is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignArg {
    /// Evidence for the class
    Positive,
    /// Evidence against it
    Negative,
    /// How much there is of either
    Absolute,
    /// Evidence for it and against it, in two colors
    Both,
}

impl SignArg {
    /// Returns whether maps have values below zero.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Both)
    }

    /// Returns how its maps are scaled.
    fn scale(self) -> Scale {
        if self.is_signed() { Scale::Symmetric } else { Scale::default() }
    }
}

impl From<SignArg> for Rectify {
    fn from(sign: SignArg) -> Self {
        match sign {
            SignArg::Positive => Rectify::Positive,
            SignArg::Negative => Rectify::Negative,
            SignArg::Absolute => Rectify::Absolute,
            SignArg::Both => Rectify::Signed,
        }
    }
}

/// How the maps of several layers become one.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FuseArg {
    Mean,
    Max,
    /// What all layers agree on (RefineCAM)
    Product,
    /// The largest, after weak evidence of shallow layers is raised (LayerCAM)
    Tanh,
}

impl From<FuseArg> for Fusion {
    fn from(fuse: FuseArg) -> Self {
        match fuse {
            FuseArg::Mean => Fusion::Mean,
            FuseArg::Max => Fusion::Max,
            FuseArg::Product => Fusion::Product,
            FuseArg::Tanh => Fusion::TanhMax(2.0),
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "a number above 0".into())
}
