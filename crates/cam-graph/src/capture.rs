//! Records one forward pass: the module runs on Burn's capture device with hollow weights, and its operators are collected.
//!
//! No weight is copied and nothing is computed. The module itself is not changed: copies without data are moved to the device. They are
//! made from [`Module::valid`], which has its own running statistics; a plain clone shares them with the original, so moving it would
//! move those of the original.

use crate::Error;
use crate::layers::Modules;
use crate::recorded::Forward;
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
    /// Constants that the forward pass made, and tensors of the module that are not parameters.
    pub values: BTreeMap<TensorId, TensorData>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
    pub entered: Entered,
    /// The output of the forward pass, without data.
    pub output: O,
}

/// Records the forward pass on inputs of these shapes and types.
///
/// - on: the device of the module
pub(crate) fn capture<M, I, O>(
    module: &M,
    forward: &impl Forward<M, I, O>,
    input: &I,
    on: &Device,
) -> Result<Captured<O>, Error>
where
    M: Module,
    I: Tensors,
    O: Tensors,
{
    let settings = on.settings();
    let device = PooledDevice::take(&settings);
    let hollow = module.valid();
    let mut found = None;
    let run = || {
        device.0.capture_scope(|scope| {
            device.configure(&settings);
            let hollow = hollow.map(&mut Hollow(device.0.clone())).to_device(&device.0);
            let mut names = Names::default();
            hollow.visit(&mut names);
            let placeholders: Vec<DispatchTensor> =
                tensors::collect(input).iter().map(|tensor| placeholder(tensor, &device.0)).collect();
            let inputs = placeholders.iter().map(id).collect();
            let entered = Entered::start(&device.0);
            let output = forward.call(&hollow, tensors::replace(input, placeholders));
            let entered = entered.finish();
            let outputs: Vec<TensorId> =
                output.iter().flat_map(tensors::collect).map(|tensor| id(&tensor)).collect();
            found = Some((names.ids, inputs, outputs.clone(), entered, output));
            let mut unique = outputs;
            unique.sort_unstable();
            unique.dedup();
            scope.complete([], unique)
        })
    };
    let graph = catch_panics(run).map_err(|(location, message)| {
        let shapes = tensors::collect(input).iter().map(|tensor| tensor.shape().to_vec()).collect();
        Error::Forward { shapes, location, message }
    })?;
    let (names, inputs, outputs, entered, output) = found.expect("the scope completed");
    let output = output?;
    let graph = graph.map_err(|error| Error::Capture { reason: error.to_string() })?;
    Ok(Captured {
        operators: graph.graph.operations,
        names,
        values: graph.values,
        inputs,
        outputs,
        entered,
        output,
    })
}

thread_local! {
    /// The modules that were entered in the recording on this thread, and its device; `None` while nothing is recorded here.
    static ENTERED: RefCell<Option<(Device, Entered)>> = const { RefCell::new(None) };
}

/// The modules that a forward pass named by [`enter_module`], each with the first tensor that is made in it.
#[derive(Default)]
pub(crate) struct Entered {
    modules: Vec<(TensorId, String)>,
    marks: HashMap<TensorId, Mark>,
}

/// What a forward pass states of the gradient of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It passes the operator unchanged.
    StraightThrough,
    /// There is none.
    Detached,
}

impl Entered {
    /// Starts a recording on this thread. It ends when the returned guard is dropped, if not before.
    fn start(device: &Device) -> EnteredGuard {
        ENTERED.set(Some((device.clone(), Self::default())));
        EnteredGuard
    }

    /// Returns the path of the module in which a tensor was made; `None` if the forward pass named no modules.
    pub fn path(&self, tensor: TensorId) -> Option<&str> {
        let after = self.modules.partition_point(|(first, _)| *first <= tensor);
        match after.checked_sub(1) {
            Some(index) => Some(&self.modules[index].1),
            None => (!self.modules.is_empty()).then_some(""),
        }
    }

    /// Returns what the forward pass states of the gradient of a tensor.
    pub fn mark(&self, tensor: TensorId) -> Option<Mark> {
        self.marks.get(&tensor).copied()
    }
}

struct EnteredGuard;

impl EnteredGuard {
    fn finish(self) -> Entered {
        ENTERED.take().map(|(_, entered)| entered).unwrap_or_default()
    }
}

impl Drop for EnteredGuard {
    fn drop(&mut self) {
        ENTERED.set(None);
    }
}

/// Names the module to which the following operators of a recorded forward pass belong, by its path: `layer4.1.relu`. The empty path is the
/// whole model. Outside of a recording it does nothing.
///
/// A forward pass that names its modules is believed: layers are then the values of these modules. Without names, modules are found by the
/// parameters that operators read.
pub fn enter_module(path: &str) {
    ENTERED.with_borrow_mut(|recording| {
        let Some((device, entered)) = recording else { return };
        if entered.modules.last().is_some_and(|(_, last)| last == path) {
            return;
        }
        // Tensors are numbered in the order in which they are made. Nothing reads this one, so it is not part of the graph.
        let first = Dispatch::float_empty([1].into(), device.as_dispatch(), FloatDType::F32);
        entered.modules.push((id(&first), path.into()));
    });
}

/// States that the gradient of a rounded value passes the rounding unchanged (the straight-through estimator). Outside of a recording it
/// does nothing.
pub fn straight_through(rounded: DispatchTensor) -> DispatchTensor {
    mark(rounded, Mark::StraightThrough)
}

/// States that a value counts as constant for gradients. Outside of a recording it does nothing.
pub fn detached(value: DispatchTensor) -> DispatchTensor {
    mark(value, Mark::Detached)
}

fn mark(tensor: DispatchTensor, mark: Mark) -> DispatchTensor {
    ENTERED.with_borrow_mut(|recording| {
        if let Some((device, entered)) = recording
            && tensor.device() == *device.as_dispatch()
        {
            entered.marks.insert(id(&tensor), mark);
        }
    });
    tensor
}

/// Returns the tensors of a module by the paths of its parameters.
pub(crate) fn weights<M: Module>(module: &M) -> HashMap<String, DispatchTensor> {
    let mut weights = Weights::default();
    module.visit(&mut weights);
    weights.tensors
}

/// Returns all modules within a module, including those without parameters.
pub(crate) fn modules<M: Module>(module: &M) -> Modules {
    let mut tree = Tree::default();
    module.visit(&mut tree);
    tree.modules
}

/// Returns a tensor of this shape and type without data. Reading its data panics, so a forward pass that does is detected.
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

/// A capture device from a pool, as Burn has only 65,536 device numbers and never reuses them. It has the data types of the device of the
/// module, whose shaders may support no others (in WGSL a bool is a `u32`).
struct PooledDevice(Device);

static POOL: Mutex<Vec<Device>> = Mutex::new(Vec::new());

impl PooledDevice {
    fn take(settings: &DeviceSettings) -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            pool.iter().position(|device| default_dtypes(&device.settings()) == default_dtypes(settings));
        Self(fits.map_or_else(Device::capture, |index| pool.swap_remove(index)))
    }

    /// Sets the data types of a new device, before it makes any tensor. Burn requires this to be within a scope.
    fn configure(&self, settings: &DeviceSettings) {
        if default_dtypes(&self.0.settings()) == default_dtypes(settings) {
            return;
        }
        let (float, int, bool) = default_dtypes(settings);
        let config = DeviceConfig::default().float_dtype(float).int_dtype(int).bool_dtype(bool);
        self.0.clone().configure(config).expect("a capture device supports every data type");
    }
}

/// Returns the default data types of a device.
fn default_dtypes(settings: &DeviceSettings) -> (FloatDType, IntDType, BoolDType) {
    (settings.float_dtype, settings.int_dtype, settings.bool_dtype)
}

impl Drop for PooledDevice {
    fn drop(&mut self) {
        POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.0.clone());
    }
}

/// Replaces each floating-point parameter by a tensor without data.
struct Hollow(Device);

impl ModuleMapper for Hollow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, Tensor::<D>::empty(tensor.shape(), (&self.0, tensor.dtype())), mapper)
    }
}

/// The path of a visitor in the tree of modules. As in checkpoints, variants of enums are not part of a path.
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

/// Implements a visitor that tracks its path and evaluates an expression at each parameter.
macro_rules! visitor {
    ($name:ident, |$self:ident, $param:ident| $at_param:expr) => {
        impl ModuleVisitor for $name {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.path.enter(name, container);
                self.on_enter(container);
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
    fn on_enter(&self, _: &str) {}
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
    fn on_enter(&self, _: &str) {}
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
    /// Records the entered module and the type of its parent: `Struct:Linear`.
    fn on_enter(&mut self, container: &str) {
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
    /// The location of a panic during a recording on this thread; `None` while nothing is recorded here.
    static PANIC_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a recording. A panic is returned, its location and its message, and prints nothing. If panics abort, as in a browser, they are
/// reported as usual.
fn catch_panics<T>(run: impl FnOnce() -> T) -> Result<T, (Option<String>, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_recording = PANIC_LOCATION.with_borrow_mut(|recorded| {
                if let (Some(recorded), Some(location)) = (recorded.as_mut(), info.location()) {
                    *recorded = location.to_string();
                }
                recorded.is_some()
            });
            if !is_recording || cfg!(panic = "abort") {
                before(info);
            }
        }));
    });
    PANIC_LOCATION.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(run));
    let location = PANIC_LOCATION.take().filter(|location| !location.is_empty());
    done.map_err(|panic| {
        let text = |panic: &dyn std::any::Any| {
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
        };
        (location, text(&*panic).unwrap_or_else(|| "a panic message that is not text".into()))
    })
}
