//! The built-in methods.

use super::*;
use crate::{Error, Method};

/// All built-in methods, with their default settings: those of the paper, unless the documentation of the method gives a reason.
/// The tool's `--method`, its list and the conformance tests come from here.
pub static METHODS: &[&dyn Method] = &[
    &GradCam,
    &GradCamPlusPlus::BOUNDED,
    &SmoothGradCamPlusPlus::BOUNDED,
    &XGradCam,
    &HiResCam,
    &GradCamElementWise,
    &LayerCam,
    &ShapleyCam,
    &Cam,
    &EigenCam,
    &EigenGradCam,
    &SegEigenCam,
    &KpcaCam::PAPER,
    &Fem::PAPER,
    &AblationCam::PAPER,
    &ScoreCam::PAPER,
    &GScoreCam::PAPER,
    &SsCam::PAPER,
    &IsCam::PAPER,
    &VitCx::PAPER,
    &ReciproCam::PAPER,
    &ReciproCam::VIT,
    &FullGrad::PAPER,
    &InputXGradient,
    &SmoothGrad::PAPER,
    &VarGrad::PAPER,
    &IntegratedGradients::PAPER,
    &ExpectedGradients::PAPER,
    &Occlusion::PAPER,
    &KernelShap::PAPER,
    &Lime::PAPER,
    &LeGrad,
    &Chefer,
    &Rollout,
    &RandomCam::PAPER,
];

/// Returns the built-in method with this name.
///
/// # Errors
/// [`Error::UnknownMethod`] with the names of all methods.
///
/// ```
/// use cam_core::{Method, method_named};
///
/// assert_eq!(method_named("gradcam")?.info().paper, "https://arxiv.org/abs/1610.02391");
/// assert!(method_named("gradcan").err().unwrap().to_string().contains("did you mean gradcam, "));
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn method_named(name: &str) -> Result<&'static dyn Method, Error> {
    METHODS.iter().copied().find(|method| method.name() == name).ok_or_else(|| Error::UnknownMethod {
        asked: name.into(),
        known: METHODS.iter().map(|method| method.name().into()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::info::Needs;
    use crate::{
        Attention, Evidence, Explain, Explainer, LayerContext, MethodInfo, Nchw, Reads, Taps, Tokens, Top,
    };
    use burn::Tensor;
    use burn::tensor::{Device, activation::softmax};
    use std::sync::{Arc, Mutex};

    /// A method, and what it has asked for.
    struct Observed(&'static dyn Method, Arc<Mutex<Option<Needs>>>);

    impl Method for Observed {
        fn info(&self) -> MethodInfo {
            self.0.info()
        }

        fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
            Box::pin(async move {
                let evidence = self.0.evidence(layer).await;
                *self.1.lock().unwrap() = Some(layer.call.used.get());
                evidence
            })
        }
    }

    /// A linear classifier of the mean of a layer with a bias.
    fn convolutional(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let bias = Tensor::ones([3], &x.device().without_autodiff());
        let x = taps.biased("x", Nchw, Some(bias.clone()), || x + bias.reshape([1, 3, 1, 1]));
        x.mean_dims(&[2, 3]).flatten(1, 3)
    }

    /// Patches that attend to each other.
    fn transformer(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let x: Tensor<3> = x.flatten::<3>(2, 3).swap_dims(1, 2);
        let tokens = Tokens { prefix: 0, height: 4, width: 4 };
        let weights = taps.layer("attention", Attention(tokens), || {
            softmax(x.clone().matmul(x.clone().swap_dims(1, 2)), 2).unsqueeze_dim::<4>(1)
        });
        let x = taps.layer("x", tokens, || weights.squeeze_dim::<3>(1).matmul(x));
        x.mean_dim(1).squeeze_dim(1)
    }

    #[test]
    fn methods_ask_for_what_they_declare_and_for_nothing_else() {
        let image = Tensor::<4>::ones([1, 3, 4, 4], &Device::flex()).cumsum(3);
        for method in METHODS {
            let used = Arc::new(Mutex::new(None));
            let observed = Observed(*method, used.clone());
            let explanation = match method.info().reads {
                Reads::Attention => {
                    Explainer::new(&transformer).layer("x").method(observed).explain(image.clone(), &Top)
                }
                _ => Explainer::new(&convolutional).layer("x").method(observed).explain(image.clone(), &Top),
            };
            assert_eq!(explanation.err(), None, "{}", method.name());
            let used = used.lock().unwrap().expect("the method has run");
            assert_eq!(used, method.info().needs, "{}", method.name());
        }
    }
}
