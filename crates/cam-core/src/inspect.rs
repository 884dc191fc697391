//! A look at a model before anything runs on it: on a tape it is too late.

use crate::{Error, Input, Model};
use burn::Tensor;
use burn::module::{Flag, Module, ModuleVisitor, Param};

/// What a model is made of, as an explainer sees it before the first tape starts. Every [`Module`] of Burn is one, and
/// [`NoModule`] for a function without a state.
///
/// Explaining must not change a model. A `BatchNorm` in training mode moves its running statistics as soon as a tape reaches it, a
/// `Dropout` draws other numbers each time; both tell by a flag called `training`, which can be read without running anything.
pub trait Inspect {
    /// Refuses a module that a tape would find in training.
    ///
    /// # Errors
    /// [`Error::TrainingDevice`] when a parameter is on an autodiff device, [`Error::TrainingMode`] when a module within is in
    /// training mode.
    fn inspect(&self) -> Result<(), Error>;
}

impl<M: Module> Inspect for M {
    fn inspect(&self) -> Result<(), Error> {
        let mut look = Look::default();
        self.visit(&mut look);
        match look {
            Look { autodiff: true, .. } => Err(Error::TrainingDevice),
            Look { training, .. } if !training.is_empty() => Err(Error::TrainingMode { modules: training }),
            _ => Ok(()),
        }
    }
}

/// The module of a model that has none: a function of its input alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoModule;

impl Inspect for NoModule {
    fn inspect(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What is seen on the way through a module.
#[derive(Default)]
struct Look {
    path: Vec<String>,
    /// Whether a parameter is on an autodiff device.
    autodiff: bool,
    /// The paths of the modules in training mode.
    training: Vec<String>,
}

impl ModuleVisitor for Look {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Parameters that nobody has read yet stay as they are.
        self.autodiff |= param.lazy_device().is_autodiff();
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        // The field gives a flag its meaning: there are others, of reparameterizations for example.
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

/// Refuses what cannot be explained, before any of it runs: an input with nothing in it, a model or an input in training, an input that
/// the model cannot take.
pub(crate) fn ready<I, O>(model: &impl Model<I, O>, input: &I) -> Result<(), Error>
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
