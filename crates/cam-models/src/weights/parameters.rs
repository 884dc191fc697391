//! The parameters of a module under the names and in the shapes that a file has for them: listed, or filled from it.

use super::{Found, Shapes};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::store::{ModuleAdapter, ModuleContext, bridge, burn_pack};
use burn::tensor::{Bool, DType, Device, Int, Shape, Tensor, TensorData};
use cam_nn::computes_on;

/// Where in a module a walk is, and what makes a tensor there one of a file.
struct Place<'a> {
    adapter: Option<&'a dyn ModuleAdapter>,
    path: Vec<String>,
    containers: Vec<String>,
}

impl<'a> Place<'a> {
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

    /// The name and shape that the file has for a parameter of this shape here.
    fn spelt(&self, shape: Shape) -> (String, Vec<usize>) {
        let empty = || Err(burn_pack::Error::ValidationError("an outline holds no numbers".into()));
        let tensor = bridge::deferred(self.path.join("."), DType::F32, shape, None, empty);
        let tensor = match self.adapter {
            Some(adapter) => adapter.adapt(tensor, ModuleContext::new(&self.containers)),
            None => tensor,
        };
        (tensor.name, tensor.shape.to_vec())
    }

    /// Whether the file has the transpose of a matrix here.
    fn transposes(&self) -> bool {
        self.spelt(Shape::from([1, 2])).1 == [2, 1]
    }
}

/// Lists the tensors of a module without giving them values: a network of an absurd size takes no memory.
pub(crate) struct Outline<'a> {
    place: Place<'a>,
    shapes: Shapes,
}

impl<'a> Outline<'a> {
    /// The names and shapes of the tensors of a module, as the adapter has them.
    pub(crate) fn of<M: Module>(module: &M, adapter: Option<&'a dyn ModuleAdapter>) -> Shapes {
        let mut outline = Self { place: Place::start(adapter), shapes: Shapes::new() };
        module.visit(&mut outline);
        outline.shapes
    }

    fn add(&mut self, shape: Shape) {
        let (name, shape) = self.place.spelt(shape);
        self.shapes.insert(name, shape);
    }
}

impl ModuleVisitor for Outline<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.place.exit(container);
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

/// Puts the tensors of a file into a module, one after the other, cast to f32. All that the module needs are there.
///
/// Burn's own `ModuleSnapshot::apply` transposes linear layers number by number, which takes most of the time of a large file, and holds
/// three copies of each meanwhile.
pub(super) fn fill<M: Module>(
    module: M,
    adapter: Option<&dyn ModuleAdapter>,
    found: Found<'_>,
) -> Result<M, String> {
    let mut filler = Filler { place: Place::start(adapter), found, trouble: None };
    let module = module.map(&mut filler);
    if let Some(name) = filler.found.into_keys().next() {
        filler.trouble.get_or_insert(format!("`{name}` holds no floats in the model"));
    }
    filler.trouble.map_or(Ok(module), Err)
}

struct Filler<'a> {
    place: Place<'a>,
    /// What is left of the file.
    found: Found<'a>,
    /// The first thing that went wrong.
    trouble: Option<String>,
}

impl Filler<'_> {
    /// What the file has for a parameter.
    fn tensor<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
    ) -> Result<(Tensor<D>, Option<ParamId>), String> {
        let (name, _) = self.place.spelt(param.lazy_shape());
        let (tensor, shape) = self.found.remove(&name).ok_or_else(|| format!("`{name}` is missing"))?;
        let (_, dtype, _, id, bytes) = tensor.clone().into_parts().map_err(|e| e.to_string())?;
        let data = TensorData::try_from_bytes(bytes, shape, dtype).and_then(|data| data.try_cast(DType::F32));
        let data = data.map_err(|e| format!("`{name}`: {e}"))?;
        let device = param.lazy_device();
        let tensor = match D == 2 && self.place.transposes() {
            true => transposed(data, &device),
            false => Tensor::from_data(data, (&device, DType::F32)),
        };
        Ok((tensor, id.map(ParamId::from)))
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.place.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.tensor(&param) {
            Ok((tensor, id)) => {
                let id = id.unwrap_or(param.id);
                param.transform_for_load(tensor, id)
            }
            Err(trouble) => {
                self.trouble.get_or_insert(trouble);
                param
            }
        }
    }
}

/// The transpose of a matrix. Where the kernels here will read it, that is the same memory in another order; elsewhere it is copied into
/// order in main memory, whatever the device.
fn transposed<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    let on = |device: &Device, data| Tensor::<D>::from_data(data, (device, DType::F32));
    match computes_on(device) {
        true => on(device, data).transpose(),
        false => on(device, on(&Device::flex(), data).transpose().into_data()),
    }
}
