//! The recording of one forward pass: the module is put on Burn's capture device with hollow weights, and its operators are noted.
//!
//! No weight is copied and nothing is computed. The module itself is not touched: what is moved are copies without data, made from
//! [`Module::valid`], whose running statistics are its own (a plain clone shares them with the original, and moving that would move
//! the original's).

use crate::Error;
use crate::layers::Modules;
use crate::tensors::{self, Tensors};
use burn::backend::ir::{OperationIr, TensorId};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{
    BackendTensor, Capture, Dispatch, DispatchKindConversion, DispatchTensor, TensorMetadata,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{BoolDType, DeviceConfig, DeviceSettings, FloatDType, IntDType};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

/// The operators of one forward pass.
pub(crate) struct Captured<O> {
    pub operators: Vec<OperationIr>,
    /// The paths of the parameters that the operators read.
    pub names: HashMap<TensorId, String>,
    /// What was made from numbers in the forward pass, and tensors of the module that are no parameters.
    pub values: BTreeMap<TensorId, TensorData>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
    /// What the forward pass gave, without numbers.
    pub output: O,
}

/// Records the forward pass on inputs of these shapes and kinds.
///
/// - on: the device of the module
pub(crate) fn capture<M, I, O>(
    module: &M,
    forward: impl Fn(&M, I) -> O,
    input: &I,
    on: &Device,
) -> Result<Captured<O>, Error>
where
    M: Module,
    I: Tensors,
    O: Tensors,
{
    let settings = on.settings();
    let device = Pooled::take(&settings);
    let hollow = module.valid();
    let mut found = None;
    let run = || {
        device.0.capture_scope(|scope| {
            device.configure(&settings);
            let hollow = hollow.map(&mut Hollow(device.0.clone())).to_device(&device.0);
            let mut names = Names::default();
            hollow.visit(&mut names);
            let placeholders: Vec<DispatchTensor> =
                tensors::list(input).iter().map(|tensor| placeholder(tensor, &device.0)).collect();
            let inputs = placeholders.iter().map(id).collect();
            let output = forward(&hollow, tensors::filled(input, placeholders));
            let outputs: Vec<TensorId> = tensors::list(&output).iter().map(id).collect();
            found = Some((names.ids, inputs, outputs.clone(), output));
            let mut unique = outputs;
            unique.sort_unstable();
            unique.dedup();
            scope.complete([], unique)
        })
    };
    let graph = located(run)?.map_err(|error| Error::Capture { reason: error.to_string() })?;
    let (names, inputs, outputs, output) = found.expect("the scope ended without an error");
    Ok(Captured { operators: graph.graph.operations, names, values: graph.values, inputs, outputs, output })
}

/// The tensors of a module, by the paths of its parameters.
pub(crate) fn weights<M: Module>(module: &M) -> HashMap<String, DispatchTensor> {
    let mut weights = Weights::default();
    module.visit(&mut weights);
    weights.tensors
}

/// All modules within a module, also those that have no parameters.
pub(crate) fn modules<M: Module>(module: &M) -> Modules {
    let mut tree = Tree::default();
    module.visit(&mut tree);
    tree.modules
}

/// A tensor of this shape and kind without numbers: a forward pass that reads it is found out.
fn placeholder(tensor: &DispatchTensor, device: &Device) -> DispatchTensor {
    let (shape, dtype, device) = (tensor.shape(), tensor.dtype(), device.as_dispatch());
    if dtype.is_float() {
        Dispatch::float_empty(shape, device, dtype.into())
    } else if dtype.is_bool() {
        Dispatch::bool_empty(shape, device, dtype.into())
    } else {
        Dispatch::int_empty(shape, device, dtype.into())
    }
}

fn id(tensor: &DispatchTensor) -> TensorId {
    let tensor = <DispatchTensor as DispatchKindConversion<Capture>>::try_into_backend(tensor.clone());
    match tensor.unwrap_or_else(|error| panic!("a tensor is not on the device of the input: {error}")) {
        BackendTensor::Float(tensor) => tensor.id(),
        BackendTensor::Int(tensor) => tensor.id(),
        BackendTensor::Bool(tensor) => tensor.id(),
        _ => panic!("a quantized tensor cannot be recorded"),
    }
}

/// A capture device of a pool: Burn never gives the number of one to another, and has 65,536 of them. It makes tensors of the kinds that the
/// device of the module makes, whose shaders may know no others (in WGSL a bool is a `u32`).
struct Pooled(Device);

static POOL: Mutex<Vec<Device>> = Mutex::new(Vec::new());

impl Pooled {
    fn take(settings: &DeviceSettings) -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = pool.iter().position(|device| kinds(&device.settings()) == kinds(settings));
        Self(fits.map_or_else(Device::capture, |place| pool.swap_remove(place)))
    }

    /// Has a new device make tensors of these kinds, before it makes any. Burn asks for it within a scope.
    fn configure(&self, settings: &DeviceSettings) {
        if kinds(&self.0.settings()) == kinds(settings) {
            return;
        }
        let (float, int, bool) = kinds(settings);
        let config = DeviceConfig::default().float_dtype(float).int_dtype(int).bool_dtype(bool);
        self.0.clone().configure(config).expect("a capture device records every kind");
    }
}

/// The kinds of tensors that a device makes where none is named.
fn kinds(settings: &DeviceSettings) -> (FloatDType, IntDType, BoolDType) {
    (settings.float_dtype, settings.int_dtype, settings.bool_dtype)
}

impl Drop for Pooled {
    fn drop(&mut self) {
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.0.clone());
    }
}

/// Puts a tensor without numbers in the place of each floating-point parameter.
struct Hollow(Device);

impl ModuleMapper for Hollow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, Tensor::<D>::empty(tensor.shape(), (&self.0, tensor.dtype())), mapper)
    }
}

/// Where a visitor is in the tree of modules. A variant of an enum is no step of a path, as it is none in a checkpoint.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.into());
        }
    }

    fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    fn joined(&self) -> String {
        self.0.join(".")
    }
}

/// The visitors of this module walk the tree alike and do something at each parameter.
macro_rules! visitor {
    ($name:ident, |$self:ident, $param:ident| $at_param:expr) => {
        impl ModuleVisitor for $name {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.path.enter(name, container);
                self.entered(container);
            }
            fn exit_module(&mut self, _: &str, container: &str) {
                self.path.exit(container);
            }
            fn visit_float<const D: usize>(&mut $self, $param: &Param<Tensor<D>>) {
                $at_param
            }
            fn visit_int<const D: usize>(&mut $self, $param: &Param<Tensor<D, Int>>) {
                $at_param
            }
            fn visit_bool<const D: usize>(&mut $self, $param: &Param<Tensor<D, Bool>>) {
                $at_param
            }
        }
    };
}

#[derive(Default)]
struct Names {
    path: Path,
    ids: HashMap<TensorId, String>,
}

impl Names {
    fn entered(&self, _: &str) {}
}

visitor!(Names, |self, param| {
    self.ids.insert(id(&param.val().into_dispatch()), self.path.joined());
});

#[derive(Default)]
struct Weights {
    path: Path,
    tensors: HashMap<String, DispatchTensor>,
}

impl Weights {
    fn entered(&self, _: &str) {}
}

visitor!(Weights, |self, param| {
    self.tensors.insert(self.path.joined(), param.val().into_dispatch());
});

#[derive(Default)]
struct Tree {
    path: Path,
    modules: Modules,
}

impl Tree {
    /// Notes the module that is entered, and the type of the one that holds it: `Struct:Linear`.
    fn entered(&mut self, container: &str) {
        let path = self.path.joined();
        if let Some(name) = container.strip_prefix("Struct:") {
            let holder = path.rsplit_once('.').map_or("", |(holder, _)| holder);
            self.modules.types.insert(holder.into(), name.into());
        }
        if self.modules.paths.last() != Some(&path) {
            self.modules.paths.push(path);
        }
    }
}

visitor!(Tree, |self, _param| {});

thread_local! {
    /// Where the panic of a recording on this thread came from; `None` while none is recorded here.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a recording. A panic in it is an error that names the place, and prints nothing. Where panics abort, as in a browser, nothing is
/// left to name it, and it is told as any other.
fn located<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let recording = PLACE.with_borrow_mut(|place| {
                let recording = place.as_mut();
                let found = recording.is_some();
                if let (Some(place), Some(location)) = (recording, info.location()) {
                    *place = location.to_string();
                }
                found
            });
            if !recording || cfg!(panic = "abort") {
                before(info);
            }
        }));
    });
    PLACE.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(run));
    let place = PLACE.take().filter(|place| !place.is_empty());
    done.map_err(|panic| {
        let text = |panic: &dyn std::any::Any| {
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
        };
        Error::Forward { place, message: text(&*panic).unwrap_or_else(|| "a message that is no text".into()) }
    })
}
