//! A class against the most similar classes.

use super::{Goal, Target, Top};
use crate::{Error, Rows};
use burn::Tensor;
use burn::tensor::Int;
use burn::tensor::activation::softmax;

/// A class against the most similar classes: Finer-CAM.
///
/// $$ y = \sum_d p_d \thinspace (y_c - \alpha\thinspace y_d) $$
///
/// over the classes $d$ whose logits are nearest to that of $c$ in the plain output. The comparison is fixed there, so that
/// every further pass is asked for the same one.
///
/// Zhang et al., *Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation*, CVPR 2025, equation 5.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Finer, Rows, Target};
///
/// let logits = Tensor::<2>::from_floats([[3.0, 2.0, -9.0]], &Device::flex());
/// let against_the_nearest = Finer { with: 1, alpha: 1.0, ..Finer::paper(Class(0)) };
/// let score = against_the_nearest.resolve(&logits)?.score(&logits, Rows::All);
/// assert_eq!(score.into_data().try_to_vec::<f32>().unwrap(), [1.0]); // 3 - 2
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finer<T = Top> {
    /// Which class is explained.
    pub of: T,
    /// How many classes it is compared with: all others, if there are fewer; 0 leaves the class alone.
    pub with: usize,
    /// $\alpha$: how much of the others is subtracted; 0 leaves the class alone.
    pub alpha: f32,
    /// $p_d$
    pub weights: Rivals,
}

/// How Finer-CAM weighs the classes that it compares with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rivals {
    /// Equally, $p_d = 1 / n$, as in the paper.
    #[default]
    Even,
    /// By their probabilities among all classes, scaled to the sum 1, as in pytorch-grad-cam.
    Probable,
}

impl<T> Finer<T> {
    /// Makes a target with the settings of the paper: three classes, equally weighted, $\alpha = 0.6$.
    pub fn paper(of: T) -> Self {
        Self { of, with: 3, alpha: 0.6, weights: Rivals::Even }
    }
}

impl<T: Target> Target for Finer<T> {
    /// # Errors
    /// [`Error::NotAClass`] if the target inside asks for no class.
    fn resolve(&self, output: &Tensor<2>) -> Result<Goal, Error> {
        let goal = self.of.resolve(output)?;
        let chosen = goal.classes.clone().ok_or(Error::NotAClass)?;
        let [batch, classes] = output.dims();
        let with = self.with.min(classes.saturating_sub(1));
        if with == 0 {
            return Ok(goal);
        }
        let plain = output.clone().inner();
        let logit = plain.clone().gather(1, chosen.clone().reshape([batch, 1]));
        // The class is the nearest to itself. It is left out by its index, because another may have the same logit.
        let itself = Tensor::<1, Int>::arange(0..classes as i64, &plain.device()).unsqueeze::<2>();
        let itself = itself
            .expand([batch, classes])
            .equal(chosen.clone().reshape([batch, 1]).expand([batch, classes]));
        let distance = (plain - logit).abs().mask_fill(itself, f32::INFINITY);
        let rivals = distance.argsort(1).narrow(1, 0, with);
        let Self { alpha, weights, .. } = *self;
        let score = move |output: &Tensor<2>, rows: Rows| {
            let rivals = rows.of(rivals.clone());
            let of = |values: Tensor<2>| values.gather(1, rivals.clone());
            let class: Tensor<2> = goal.score(output, rows).unsqueeze_dim(1);
            let differences = class - of(output.clone()) * alpha;
            match weights {
                Rivals::Even => (differences.sum_dim(1) / with as f32).squeeze_dim(1),
                Rivals::Probable => {
                    let shares = of(softmax(output.clone(), 1));
                    let sum = shares.clone().sum_dim(1).clamp_min(f32::MIN_POSITIVE);
                    ((differences * shares).sum_dim(1) / sum).squeeze_dim(1)
                }
            }
        };
        Ok(Goal { classes: Some(chosen), ..Goal::new(score) })
    }
}
