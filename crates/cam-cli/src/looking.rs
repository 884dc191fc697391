//! How pictures are looked at: layers, and what is done around the methods.

use crate::cost::Cost;
use crate::failure::Failure;
use crate::options::{FuseArg, SignArg, positive};
use crate::strip::strip;
use burn::tensor::{Device, Tensor};
use cam_core::{Explain, Explainer, Explanation, Fusion, Method, Scale, Sess, Smooth, Target, Wrapped};
use cam_models::Classifier;
use indicatif::ProgressBar;
use serde::Serialize;

/// How pictures are looked at.
#[derive(clap::Args, Serialize)]
#[group(id = "looking")]
pub struct Asked {
    /// A layer: see `cam layers`; several with commas between, or given several times. `all` takes the blocks of the network
    /// from shallow to deep, `auto` the last layer with a grid and a gradient, `input` the pixels [default: the one the
    /// model's card names]
    #[arg(long = "layer", value_name = "NAME", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Which evidence is shown
    #[arg(long, value_name = "SIGN", default_value = "positive")]
    pub sign: SignArg,
    /// Combine channels by their first principal component instead of their sum
    #[arg(long)]
    pub eigen_smooth: bool,
    /// Average over six views: plain and mirrored, each in three brightnesses
    #[arg(long, group = "views")]
    pub aug_smooth: bool,
    /// Average over N views with noise
    #[arg(long, value_name = "N", group = "views", value_parser = clap::value_parser!(u32).range(1..))]
    pub noise: Option<u32>,
    /// The deviation of that noise, of inputs as the model gets them (normalized)
    #[arg(long, value_name = "SIGMA", default_value_t = 0.3, requires = "noise", value_parser = positive)]
    pub sigma: f64,
    /// Show beside each map how far it varies over those views: the standard deviation of its heat
    #[arg(long, requires = "views")]
    pub spread: bool,
    /// Put maps together from windows over the picture at N scales (SESS), so that small objects and several of them are
    /// found; the paper has 12
    #[arg(long, value_name = "N", conflicts_with = "views", value_parser = clap::value_parser!(u32).range(1..=24))]
    pub sess: Option<u32>,
    /// Make one map of all layers
    #[arg(long, value_name = "HOW")]
    pub fuse: Option<FuseArg>,
    #[command(flatten)]
    #[serde(flatten)]
    pub cost: Cost,
}

impl Asked {
    /// The layers asked for; none where the explainer is to choose.
    pub fn layers(&self, model: &Classifier, device: &Device) -> Result<Vec<String>, Failure> {
        match self.layers.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(vec![model.card().layer.clone()]),
            ["auto"] => Ok(Vec::new()),
            ["all"] => {
                let [height, width] = model.card().size;
                let all = cam_core::layers(model, Tensor::zeros([1, 3, height, width], device))?;
                Ok(strip(&all, &model.card().layer))
            }
            _ if self.layers.iter().any(|layer| ["all", "auto"].contains(&layer.as_str())) => {
                Err(Failure::Usage("`--layer all` and `--layer auto` stand alone".into()))
            }
            _ => Ok(self.layers.clone()),
        }
    }

    /// An explainer with these methods that looks at these layers.
    pub fn explainer<'m>(
        &self,
        model: &'m Classifier,
        layers: &[String],
        methods: &[&'static dyn Method],
        passes: ProgressBar,
    ) -> Explainer<'m, Classifier> {
        let mut explainer = self
            .cost
            .limit(Explainer::new(model))
            .eigen_smooth(self.eigen_smooth)
            .rectify(self.sign.into())
            .on_progress(move |progress| {
                passes.set_length(progress.total as u64);
                passes.set_position(progress.done as u64);
            });
        if self.sign.is_signed() {
            explainer = explainer.scale(Scale::Symmetric);
        }
        let explainer = layers.iter().fold(explainer, Explainer::layer);
        methods.iter().fold(explainer, |explainer, method| explainer.method(*method))
    }

    /// How the explainer is used.
    pub fn looking<'e>(&self, explainer: &'e Explainer<'_, Classifier>) -> Looking<'e> {
        let inner: Inner<'e> = match self.fuse {
            Some(fuse) => Box::new(Wrapped::new(explainer, Fusion::from(fuse))),
            None => Box::new(explainer),
        };
        let explainer: Inner<'e> = match (self.aug_smooth, self.noise, self.sess) {
            (true, ..) => Box::new(Wrapped::new(inner, Smooth::augmented())),
            (_, Some(samples), _) => {
                Box::new(Wrapped::new(inner, Smooth::noisy(samples as usize, self.sigma, 0)))
            }
            (.., Some(scales)) => {
                Box::new(Wrapped::new(inner, Sess { scales: scales as usize, ..Sess::PAPER }))
            }
            _ => inner,
        };
        Looking { explainer, spread: self.spread }
    }
}

type Inner<'e> = Box<dyn Explain<Tensor<4>, Tensor<2>> + 'e>;

/// How often each picture is looked at.
pub struct Looking<'e> {
    explainer: Inner<'e>,
    /// Whether anyone asks how far the maps vary over the views.
    spread: bool,
}

impl<'e> Looking<'e> {
    /// Each picture once.
    pub fn once(explainer: &'e Explainer<'_, Classifier>) -> Self {
        Self { explainer: Box::new(explainer), spread: false }
    }

    pub fn explain_each(
        &self,
        input: Tensor<4>,
        targets: &[&dyn Target],
    ) -> Result<Explanation, cam_core::Error> {
        let mut found = self.explainer.explain_each(input, targets)?;
        if !self.spread {
            found.maps.iter_mut().for_each(|map| map.std = None);
        }
        Ok(found)
    }
}
