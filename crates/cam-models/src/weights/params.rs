//! The parameters of a module by the names and shapes that a file has for them: listed, or loaded from it.

use super::{FileTensors, Shapes};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::store::{BurnToPyTorchAdapter, ModuleAdapter, ModuleContext, bridge, burn_pack};
use burn::tensor::{Bool, DType, Device, Int, Shape, Tensor, TensorData};
use cam_nn::computes_on;

/// PyTorch's names and shapes for the parameters of Burn's modules: Burn's own adapter, and PReLU, which it leaves out.
#[derive(Debug, Clone, Default)]
pub(crate) struct PyTorchAdapter;

impl ModuleAdapter for PyTorchAdapter {
    fn adapt(&self, mut tensor: burn_pack::Tensor, context: ModuleContext<'_>) -> burn_pack::Tensor {
        if context.module_type() == Some("Struct:PRelu")
            && let Some(layer) = tensor.name.strip_suffix("alpha")
        {
            tensor.name = format!("{layer}weight");
        }
        BurnToPyTorchAdapter.adapt(tensor, context)
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(self.clone())
    }
}

/// The place in a module that a visitor is at, and what converts a tensor there to one of a file.
struct ModulePath<'a> {
    adapter: Option<&'a dyn ModuleAdapter>,
    path: Vec<String>,
    containers: Vec<String>,
}

impl<'a> ModulePath<'a> {
    fn start(adapter: Option<&'a dyn ModuleAdapter>) -> Self {
        Self { adapter, path: Vec::new(), containers: Vec::new() }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.containers.push(container.into());
        if !container.starts_with("Enum:") {
            self.path.push(name.into());
        }
    }

    fn exit(&mut self, container: &str) {
        self.containers.pop();
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    /// Returns the name and shape that the file has for a parameter of this shape.
    fn file_key(&self, shape: Shape) -> (String, Vec<usize>) {
        let empty = || Err(burn_pack::Error::ValidationError("only the shape is asked for".into()));
        let tensor = bridge::deferred(self.path.join("."), DType::F32, shape, None, empty);
        let tensor = match self.adapter {
            Some(adapter) => adapter.adapt(tensor, ModuleContext::new(&self.containers)),
            None => tensor,
        };
        (tensor.name, tensor.shape.to_vec())
    }

    /// Returns whether the file has the transpose of a matrix.
    fn transposes(&self) -> bool {
        self.file_key(Shape::from([1, 2])).1 == [2, 1]
    }
}

/// Lists the tensors of a module without initializing them, so that a network of an absurd size takes no memory.
pub(crate) struct ParamShapes<'a> {
    path: ModulePath<'a>,
    shapes: Shapes,
}

impl<'a> ParamShapes<'a> {
    /// Returns the shapes of the tensors of a module, converted by the adapter, by name.
    pub(crate) fn list<M: Module>(module: &M, adapter: Option<&'a dyn ModuleAdapter>) -> Shapes {
        let mut list = Self { path: ModulePath::start(adapter), shapes: Shapes::new() };
        module.visit(&mut list);
        list.shapes
    }

    fn add(&mut self, shape: Shape) {
        let (name, shape) = self.path.file_key(shape);
        self.shapes.insert(name, shape);
    }
}

impl ModuleVisitor for ParamShapes<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.lazy_shape());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param.lazy_shape());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param.lazy_shape());
    }
}

/// Loads the tensors of a file into a module, one after another, cast to f32. The file has all that the module needs.
///
/// Burn's own `ModuleSnapshot::apply` transposes linear layers number by number, which takes most of the time of a large file, and holds
/// three copies of each meanwhile.
pub(super) fn load_params<M: Module>(
    module: M,
    adapter: Option<&dyn ModuleAdapter>,
    found: FileTensors<'_>,
) -> Result<M, String> {
    let mut loader = Loader { path: ModulePath::start(adapter), found, error: None };
    let module = module.map(&mut loader);
    if let Some(name) = loader.found.into_keys().next() {
        loader.error.get_or_insert(format!("`{name}` is not a tensor of floats in the model"));
    }
    loader.error.map_or(Ok(module), Err)
}

struct Loader<'a> {
    path: ModulePath<'a>,
    /// The tensors of the file that are not loaded yet.
    found: FileTensors<'a>,
    /// The first error.
    error: Option<String>,
}

impl Loader<'_> {
    /// Reads the tensor that the file has for a parameter.
    fn tensor<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
    ) -> Result<(Tensor<D>, Option<ParamId>), String> {
        let (name, _) = self.path.file_key(param.lazy_shape());
        let (tensor, shape) = self.found.remove(&name).ok_or_else(|| format!("`{name}` is missing"))?;
        let (_, dtype, _, id, bytes) = tensor.clone().into_parts().map_err(|e| match e {
            burn_pack::Error::ValidationError(reason) => reason,
            other => other.to_string(),
        })?;
        // Numbers of a burnpack are still in the file, which may have become shorter: an error here, a panic where they are used.
        bytes.read(Default::default()).map_err(|e| format!("`{name}`: {e}"))?;
        let data = TensorData::try_from_bytes(bytes, shape, dtype).and_then(|data| data.try_cast(DType::F32));
        let data = data.map_err(|e| format!("`{name}`: {e}"))?;
        let device = param.lazy_device();
        let tensor = match D == 2 && self.path.transposes() {
            true => transposed(data, &device),
            false => Tensor::from_data(data, (&device, DType::F32)),
        };
        Ok((tensor, id.map(ParamId::from)))
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.tensor(&param) {
            Ok((tensor, id)) => {
                let id = id.unwrap_or(param.id);
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

/// Returns the transpose of a matrix. For the CPU kernels it is a view of the same memory; for other devices it is copied into order in
/// main memory first.
fn transposed<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    let on = |device: &Device, data| Tensor::<D>::from_data(data, (device, DType::F32));
    match computes_on(device) {
        true => on(device, data).transpose(),
        false => on(device, on(&Device::flex(), data).transpose().into_data()),
    }
}
