//! Checks a model before anything of it runs: on a tape it is too late.

use crate::{Error, Input, Model};
use burn::Tensor;
use burn::module::{Flag, Module, ModuleVisitor, Param};

/// A module whose state an explainer can check before the first tape starts: every [`Module`] of Burn, and
/// [`NoModule`] for a function without a state.
///
/// Explaining must not change a model. A `BatchNorm` in training mode moves its running statistics as soon as a tape reaches it, a
/// `Dropout` draws other numbers each time; both have a flag called `training`, which can be read without running anything.
pub trait Inspect {
    /// Refuses a module that would behave as in training on a tape.
    ///
    /// # Errors
    /// [`Error::TrainingDevice`] if a parameter is on an autodiff device, [`Error::TrainingMode`] if a module in it is in
    /// training mode.
    fn inspect(&self) -> Result<(), Error>;
}

impl<M: Module> Inspect for M {
    fn inspect(&self) -> Result<(), Error> {
        let mut found = Inspection::default();
        self.visit(&mut found);
        match found {
            Inspection { autodiff: true, .. } => Err(Error::TrainingDevice),
            Inspection { training, .. } if !training.is_empty() => {
                Err(Error::TrainingMode { modules: training })
            }
            _ => Ok(()),
        }
    }
}

/// The module of a model without one: a function of its input alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoModule;

impl Inspect for NoModule {
    fn inspect(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What a walk through a module has found.
#[derive(Default)]
struct Inspection {
    path: Vec<String>,
    /// Whether a parameter is on an autodiff device.
    autodiff: bool,
    /// The paths of the modules in training mode.
    training: Vec<String>,
}

impl ModuleVisitor for Inspection {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Parameters that have not been initialized stay so.
        self.autodiff |= param.lazy_device().is_autodiff();
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        // The name of the field gives a flag its meaning: there are other flags, of reparameterizations for example.
        if let Some((field, module)) = self.path.split_last()
            && field == "training"
            && flag.is_enabled()
        {
            self.training.push(module.join("."));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }
}

/// Refuses what cannot be explained, before any of it runs: an empty input, a model or an input in training, an input that
/// the model cannot take.
pub(crate) fn check_ready<I, O>(model: &impl Model<I, O>, input: &I) -> Result<(), Error>
where
    I: Input,
{
    let shape = [&[input.batch()], input.grid().as_slice()].concat();
    if shape.contains(&0) {
        return Err(Error::EmptyInput { shape });
    }
    if input.to_layer().is_autodiff() {
        return Err(Error::TrainingDevice);
    }
    model.module().inspect()?;
    model.prepare(input)
}
