//! The messages of an ONNX file that inference needs.
//!
//! Field numbers are those of `onnx.proto3`: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3>.

use crate::wire::{Budget, Fault, Field, for_each_field};
use std::collections::HashMap;

/// `ModelProto`
#[derive(Default)]
pub(crate) struct Model<'a> {
    pub ir_version: i64,
    pub producer: String,
    /// The version of each operator set, by its domain; the empty domain is ONNX's own.
    pub opsets: HashMap<String, i64>,
    pub graph: Option<Graph<'a>>,
    pub metadata: HashMap<String, String>,
    pub functions: Vec<Function<'a>>,
}

/// `GraphProto`
#[derive(Default)]
pub(crate) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    /// Whether it has tensors in a sparse format.
    pub has_sparse: bool,
}

/// `FunctionProto`: an operator that is defined in the file.
#[derive(Default)]
pub(crate) struct Function<'a> {
    pub name: String,
    pub domain: String,
    pub overload: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub nodes: Vec<Node<'a>>,
    pub defaults: Vec<Attribute<'a>>,
}

/// `NodeProto`
#[derive(Default)]
pub(crate) struct Node<'a> {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub name: String,
    pub operator: String,
    pub domain: String,
    pub overload: String,
    pub attributes: Vec<Attribute<'a>>,
    pub metadata: HashMap<String, String>,
}

/// `AttributeProto`
#[derive(Default)]
pub(crate) struct Attribute<'a> {
    pub name: String,
    pub f: f32,
    pub i: i64,
    pub s: &'a [u8],
    pub tensor: Option<Tensor<'a>>,
    pub graph: Option<Graph<'a>>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    /// The attribute of the function from which the value is taken.
    pub reference: String,
}

/// `TensorProto`
#[derive(Default, Clone)]
pub(crate) struct Tensor<'a> {
    pub name: String,
    pub dims: Vec<i64>,
    pub kind: i64,
    pub raw: Option<&'a [u8]>,
    /// The fields that hold numbers if they are not raw, by their numbers in the message.
    pub numbers: Vec<Field<'a>>,
    /// Where the numbers are, if they are in another file.
    pub external: HashMap<String, String>,
}

/// `ValueInfoProto`
#[derive(Default, Clone, Debug)]
pub(crate) struct ValueInfo {
    pub name: String,
    /// The type of its elements; 0 if it is not a tensor.
    pub kind: i64,
    /// The lengths of its axes, `None` where they are free; `None` if the rank is unknown.
    pub shape: Option<Vec<Option<usize>>>,
}

impl<'a> Model<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut model = Self::default();
        for_each_field(bytes, &mut Budget::new(bytes.len()), |field, budget| {
            match field.number {
                1 => model.ir_version = field.int()?,
                2 => model.producer = field.text()?,
                7 => model.graph = Some(Graph::read(field.bytes()?, budget)?),
                8 => {
                    let (mut domain, mut version) = (String::new(), 0);
                    for_each_field(field.bytes()?, budget, |field, _| {
                        match field.number {
                            1 => domain = field.text()?,
                            2 => version = field.int()?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    model.opsets.insert(if domain == "ai.onnx" { String::new() } else { domain }, version);
                }
                14 => model.metadata.extend([entry(field, budget)?]),
                25 => model.functions.push(Function::read(field.bytes()?, budget)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, Fault> {
        budget.nested(|budget| {
            let mut graph: Self = budget.message()?;
            for_each_field(bytes, budget, |field, budget| {
                match field.number {
                    1 => graph.nodes.push(Node::read(field.bytes()?, budget)?),
                    5 => graph.initializers.push(Tensor::read(field.bytes()?, budget)?),
                    11 => graph.inputs.push(ValueInfo::read(field.bytes()?, budget)?),
                    12 => graph.outputs.push(ValueInfo::read(field.bytes()?, budget)?),
                    15 => graph.has_sparse = true,
                    _ => {}
                }
                Ok(())
            })?;
            Ok(graph)
        })
    }
}

impl<'a> Function<'a> {
    fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut function: Self = budget.message()?;
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => function.name = field.text()?,
                4 => function.inputs.push(field.text()?),
                5 => function.outputs.push(field.text()?),
                7 => function.nodes.push(Node::read(field.bytes()?, budget)?),
                10 => function.domain = field.text()?,
                11 => function.defaults.push(Attribute::read(field.bytes()?, budget)?),
                13 => function.overload = field.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(function)
    }
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut node: Self = budget.message()?;
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                3 => node.name = field.text()?,
                4 => node.operator = field.text()?,
                5 => node.attributes.push(Attribute::read(field.bytes()?, budget)?),
                7 => node.domain = field.text()?,
                8 => node.overload = field.text()?,
                9 => node.metadata.extend([entry(field, budget)?]),
                _ => {}
            }
            Ok(())
        })?;
        if node.domain == "ai.onnx" {
            node.domain.clear();
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut attribute: Self = budget.message()?;
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => attribute.name = field.text()?,
                2 => attribute.f = field.float()?,
                3 => attribute.i = field.int()?,
                4 => attribute.s = field.bytes()?,
                5 => attribute.tensor = Some(Tensor::read(field.bytes()?, budget)?),
                6 => attribute.graph = Some(Graph::read(field.bytes()?, budget)?),
                7 => field.push_floats(&mut attribute.floats)?,
                8 => budget.push_ints(field, &mut attribute.ints)?,
                21 => attribute.reference = field.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut tensor: Self = budget.message()?;
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => budget.push_ints(field, &mut tensor.dims)?,
                2 => tensor.kind = field.int()?,
                4 | 5 | 7 | 10 | 11 => tensor.numbers.push(field),
                8 => tensor.name = field.text()?,
                9 => tensor.raw = Some(field.bytes()?),
                13 => tensor.external.extend([entry(field, budget)?]),
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }
}

impl ValueInfo {
    fn read(bytes: &[u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut info: Self = budget.message()?;
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => info.name = field.text()?,
                2 => for_each_field(field.bytes()?, budget, |field, budget| match field.number {
                    1 => info.read_tensor(field.bytes()?, budget),
                    _ => Ok(()),
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(info)
    }

    fn read_tensor(&mut self, bytes: &[u8], budget: &mut Budget) -> Result<(), Fault> {
        for_each_field(bytes, budget, |field, budget| {
            match field.number {
                1 => self.kind = field.int()?,
                2 => {
                    let mut shape = Vec::new();
                    for_each_field(field.bytes()?, budget, |field, budget| {
                        let mut length = None;
                        for_each_field(field.bytes()?, budget, |field, _| {
                            if field.number == 1 {
                                length = usize::try_from(field.int()?).ok().filter(|length| *length > 0);
                            }
                            Ok(())
                        })?;
                        shape.push(length);
                        Ok(())
                    })?;
                    self.shape = Some(shape);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// `StringStringEntryProto`
fn entry(field: Field<'_>, budget: &mut Budget) -> Result<(String, String), Fault> {
    let (mut key, mut value) = (String::new(), String::new());
    for_each_field(field.bytes()?, budget, |field, _| {
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}
