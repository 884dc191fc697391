//! Graphs as they are run: their nodes in order, with constants on the CPU.

use crate::array::{Array, ROOM, within};
use crate::error::{Error, Reason};
use crate::operators::{Call, Value, quantized};
use crate::{data, operators, proto};
use burn::tensor::{Device, TensorData};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// A graph of nodes: a whole model, or the body of a node.
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    /// Small or integer constants by their names.
    pub constants: HashMap<String, Array>,
    pub inputs: Vec<proto::ValueInfo>,
    pub outputs: Vec<proto::ValueInfo>,
}

impl Graph {
    /// Reports whether a reshape has a constant shape whose first axis is stated, which may be that of one batch size.
    pub fn has_constant_shapes(&self) -> bool {
        let constant_of = |node: &Node| node.attributes.get("value").and_then(|value| value.tensor.clone());
        let nodes = self.nodes.iter().filter(|node| node.operator == "Constant");
        let mut constants: HashMap<&str, Array> =
            nodes.filter_map(|node| Some((node.outputs.first()?.as_str(), constant_of(node)?))).collect();
        constants.extend(self.constants.iter().map(|(name, array)| (name.as_str(), array.clone())));
        let is_fixed = |node: &Node| {
            let shape = node.inputs.get(1).and_then(|shape| constants.get(shape.as_str()));
            shape.is_some_and(|shape| shape.to_ints().first().is_some_and(|length| *length > 0))
        };
        self.nodes.iter().any(|node| node.operator == "Reshape" && is_fixed(node))
    }
}

/// A node of a graph.
#[derive(Clone)]
pub(crate) struct Node {
    pub name: String,
    pub operator: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: HashMap<String, Attribute>,
    /// The module in which it is; `None` if the file has no modules.
    pub path: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Default)]
pub(crate) struct Attribute {
    pub float: f32,
    pub int: i64,
    pub text: String,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    pub tensor: Option<Array>,
    pub graph: Option<std::sync::Arc<Graph>>,
    /// The attribute of the calling node from which the value is taken.
    pub reference: String,
}

/// An operator that the file defines.
pub(crate) struct Function {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub nodes: Vec<Node>,
    pub defaults: HashMap<String, Attribute>,
}

/// The functions of a file, by domain and name.
pub(crate) type Functions = HashMap<(String, String), Function>;

/// A float tensor of a file that becomes a parameter.
pub(crate) struct Weight<'a> {
    pub source: Source<'a>,
    /// The values that hold it: its name, and those of identities of it.
    pub names: Vec<String>,
}

/// Where the numbers of a weight come from.
pub(crate) enum Source<'a> {
    Tensor(proto::Tensor<'a>),
    /// They are computed from constants.
    Computed(Array),
}

impl Source<'_> {
    /// Returns the numbers.
    pub fn read(&self, folder: Option<&Path>) -> Result<TensorData, Error> {
        match self {
            Self::Computed(array) => Ok(array.data()),
            Self::Tensor(tensor) => {
                let named = |reason: Reason| Error::Tensor { name: tensor.name.clone(), reason };
                data::read(tensor, folder).map_err(named)
            }
        }
    }
}

/// Integers that are dequantized, by their names.
pub(crate) type Integers<'a> = HashMap<String, proto::Tensor<'a>>;

/// The operator that makes floats of integers.
const DEQUANTIZE: &str = "DequantizeLinear";

/// Reads graphs.
pub(crate) struct Reader<'f> {
    pub folder: Option<&'f Path>,
    /// Whether most weights of the file are called by modules.
    pub has_named_weights: bool,
}

/// Reports whether a weight is called by its module: `layer4.1.conv2.weight`, not `onnx::Conv_193`.
pub(crate) fn is_called_by_module(name: &str) -> bool {
    name.contains('.') && !name.contains("::")
}

impl<'f> Reader<'f> {
    /// Makes a reader for the file of a graph.
    ///
    /// - folder: of the file, for weights in other files
    pub fn new(folder: Option<&'f Path>, graph: &proto::Graph<'_>) -> Self {
        let weights = || graph.initializers.iter().filter(|tensor| is_weight(tensor));
        let named = weights().filter(|tensor| is_called_by_module(&tensor.name)).count();
        Self { folder, has_named_weights: 2 * named > weights().count() }
    }

    /// Reads the main graph. Float tensors of more than one element are returned as weights.
    /// Integers that become weights are returned apart.
    pub fn main<'a>(
        &self,
        mut graph: proto::Graph<'a>,
    ) -> Result<(Graph, Vec<Weight<'a>>, Integers<'a>), Error> {
        let mut weights: Vec<Weight<'a>> = Vec::new();
        let mut index_of: HashMap<String, usize> = HashMap::new();
        set_ranges(&mut graph);
        let (mut constants, mut integers) = (HashMap::new(), Integers::new());
        let dequantized: HashSet<String> = (graph.nodes.iter())
            .filter(|node| node.operator == DEQUANTIZE)
            .filter_map(|node| node.inputs.first().cloned())
            .collect();
        let mut keep = |name: String, tensor: proto::Tensor<'a>, index_of: &mut HashMap<String, usize>| {
            if is_weight(&tensor) {
                index_of.insert(name.clone(), weights.len());
                weights.push(Weight { source: Source::Tensor(tensor), names: vec![name] });
            } else if dequantized.contains(&name) {
                integers.insert(name, tensor);
            } else {
                constants.insert(name, self.array(&tensor)?);
            }
            Ok::<_, Error>(())
        };
        let mut given: HashSet<String> = HashSet::new();
        for tensor in std::mem::take(&mut graph.initializers) {
            given.insert(tensor.name.clone());
            keep(tensor.name.clone(), tensor, &mut index_of)?;
        }
        let mut nodes = Vec::new();
        for mut node in std::mem::take(&mut graph.nodes) {
            let is_constant = node.operator == "Constant" && node.domain.is_empty();
            if let (true, [attribute], [output]) =
                (is_constant, node.attributes.as_mut_slice(), node.outputs.as_slice())
                && let Some(tensor) = attribute.tensor.take_if(|tensor| is_weight(tensor))
            {
                keep(output.clone(), tensor, &mut index_of)?;
                continue;
            }
            nodes.push(node);
        }
        // Exporters share a parameter by identities of it.
        nodes.retain(|node| {
            let ("Identity", [input], [output]) =
                (node.operator.as_str(), node.inputs.as_slice(), node.outputs.as_slice())
            else {
                return true;
            };
            let Some(index) = index_of.get(input).copied() else { return true };
            weights[index].names.push(output.clone());
            index_of.insert(output.clone(), index);
            false
        });
        graph.inputs.retain(|input| !given.contains(&input.name));
        graph.nodes = nodes;
        let mut read = self.graph(graph)?;
        read.constants.extend(constants);
        Ok((read, weights, integers))
    }

    /// Computes the weights that a file keeps in integers, once for all recordings.
    pub fn dequantize(
        &self,
        graph: &mut Graph,
        weights: &mut Vec<Weight<'_>>,
        integers: Integers<'_>,
        opset: i64,
    ) -> Result<(), Error> {
        let mut index_of: HashMap<String, usize> = HashMap::new();
        for (index, weight) in weights.iter().enumerate() {
            index_of.extend(weight.names.iter().map(|name| (name.clone(), index)));
        }
        let mut kept = Vec::new();
        for node in std::mem::take(&mut graph.nodes) {
            let constant = |name: &String| {
                let of_weight =
                    || Some(weights[*index_of.get(name)?].source.read(self.folder).map(Array::known));
                let of_integers = || Some(self.floats(integers.get(name)?));
                graph.constants.get(name).cloned().map(Ok).or_else(of_weight).or_else(of_integers)
            };
            let inputs: Option<Result<Vec<Array>, Error>> = match node.operator.as_str() {
                DEQUANTIZE if node.outputs.len() == 1 => node.inputs.iter().map(constant).collect(),
                _ => None,
            };
            let Some(inputs) = inputs.transpose()? else {
                kept.push(node);
                continue;
            };
            let room = ROOM + 8 * inputs.first().map_or(0, Array::len);
            let inputs = inputs.into_iter().map(|array| Some(Value::Known(array))).collect();
            let call = Call { node: &node, inputs, opset, device: &Device::flex(), batch: None };
            let operator = operators::find(&node.domain, &node.operator);
            let computed = operator.map(|operator| within(room, || call.run(operator))).transpose();
            let computed = computed.map_err(|reason| Error::Operator {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason,
            })?;
            match computed.and_then(|mut values| values.pop()) {
                Some(Value::Known(array)) if array.len() > 1 => {
                    index_of.extend(node.outputs.iter().cloned().map(|name| (name, weights.len())));
                    weights.push(Weight { source: Source::Computed(array), names: node.outputs.clone() });
                }
                Some(Value::Known(array)) => {
                    graph.constants.insert(node.outputs[0].clone(), array);
                }
                _ => kept.push(node),
            }
        }
        graph.nodes = kept;
        let used: HashSet<&String> = graph.nodes.iter().flat_map(|node| &node.inputs).collect();
        for (name, tensor) in integers.iter().filter(|(name, _)| used.contains(name)) {
            graph.constants.insert(name.clone(), self.array(tensor)?);
        }
        Ok(())
    }

    fn graph(&self, graph: proto::Graph<'_>) -> Result<Graph, Error> {
        if graph.has_sparse {
            return Err(Error::Format { reason: "it has sparse tensors, which are not supported".into() });
        }
        let constants = graph
            .initializers
            .iter()
            .map(|tensor| Ok((tensor.name.clone(), self.array(tensor)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Graph { nodes: self.nodes(graph.nodes)?, constants, inputs: graph.inputs, outputs: graph.outputs })
    }

    fn nodes(&self, nodes: Vec<proto::Node<'_>>) -> Result<Vec<Node>, Error> {
        let paths = crate::paths::of_nodes(&nodes, self.has_named_weights);
        nodes.into_iter().zip(paths).map(|(node, path)| self.node(node, path)).collect()
    }

    fn node(&self, node: proto::Node<'_>, path: Option<String>) -> Result<Node, Error> {
        let attributes = self.attributes(node.attributes)?;
        // A node without a name is called by its first output.
        let name = match node.name.is_empty() {
            true => node.outputs.first().cloned().unwrap_or_default(),
            false => node.name,
        };
        let proto::Node { inputs, outputs, operator, domain, .. } = node;
        Ok(Node { name, operator, domain, inputs, outputs, attributes, path })
    }

    fn attributes(&self, attributes: Vec<proto::Attribute<'_>>) -> Result<HashMap<String, Attribute>, Error> {
        let read = |attribute: proto::Attribute<'_>| {
            let value = Attribute {
                float: attribute.f,
                int: attribute.i,
                text: String::from_utf8_lossy(attribute.s).into_owned(),
                floats: attribute.floats,
                ints: attribute.ints,
                tensor: attribute.tensor.as_ref().map(|tensor| self.array(tensor)).transpose()?,
                graph: attribute.graph.map(|graph| self.graph(graph)).transpose()?.map(std::sync::Arc::new),
                reference: attribute.reference,
            };
            Ok((attribute.name, value))
        };
        attributes.into_iter().map(read).collect()
    }

    pub fn functions(&self, functions: Vec<proto::Function<'_>>) -> Result<Functions, Error> {
        let read = |function: proto::Function<'_>| {
            let value = Function {
                inputs: function.inputs,
                outputs: function.outputs,
                nodes: self.nodes(function.nodes)?,
                defaults: self.attributes(function.defaults)?,
            };
            let name = if function.overload.is_empty() {
                function.name
            } else {
                function.name + ":" + &function.overload
            };
            Ok(((function.domain, name), value))
        };
        functions.into_iter().map(read).collect()
    }

    /// Returns numbers as floats, which dequantizing makes of them in any case.
    fn floats(&self, tensor: &proto::Tensor<'_>) -> Result<Array, Error> {
        let named = |reason: Reason| Error::Tensor { name: tensor.name.clone(), reason };
        data::read_floats(tensor, self.folder).map(Array::known).map_err(named)
    }

    fn array(&self, tensor: &proto::Tensor<'_>) -> Result<Array, Error> {
        let named = |reason: Reason| Error::Tensor { name: tensor.name.clone(), reason };
        data::read(tensor, self.folder).map(Array::known).map_err(named)
    }
}

/// Notes the range of the output of each quantizing node: it is that of the type of its zero point.
fn set_ranges(graph: &mut proto::Graph<'_>) {
    let mut types: HashMap<String, i64> =
        graph.initializers.iter().map(|tensor| (tensor.name.clone(), tensor.kind)).collect();
    types.extend(graph.inputs.iter().map(|input| (input.name.clone(), input.kind)));
    for node in graph.nodes.iter().filter(|node| node.operator == "Constant") {
        let tensor = node.attributes.iter().find_map(|attribute| attribute.tensor.as_ref());
        types.extend(tensor.zip(node.outputs.first()).map(|(tensor, name)| (name.clone(), tensor.kind)));
    }
    for node in &mut graph.nodes {
        let stated =
            node.attributes.iter().find(|attribute| attribute.name == "output_dtype").map(|stated| stated.i);
        let zero_point = quantized::zero_point_of_output(&node.operator);
        let of_zero_point = || types.get(node.inputs.get(zero_point?)?).copied();
        let kind = stated.filter(|kind| *kind != 0).or_else(of_zero_point);
        if let Some(range) = kind.and_then(quantized::range_of_type).filter(|_| zero_point.is_some()) {
            let range = proto::Attribute {
                name: quantized::RANGE.into(),
                ints: range.to_vec(),
                ..Default::default()
            };
            node.attributes.push(range);
        }
    }
}

/// Reports whether a tensor becomes a parameter: floats, and more than one.
fn is_weight(tensor: &proto::Tensor<'_>) -> bool {
    matches!(tensor.kind, 1 | 10 | 11 | 16)
        && data::shape(tensor).is_ok_and(|shape| shape.iter().product::<usize>() > 1)
}

/// Checks that all operators are known. All that are not are reported at once.
pub(crate) fn check_operators(graph: &Graph, functions: &Functions) -> Result<(), Error> {
    let mut unknown = BTreeMap::<String, Vec<String>>::new();
    for node in nodes(graph, functions) {
        let is_known = operators::find(&node.domain, &node.operator).is_some()
            || is_control(node)
            || functions.contains_key(&(node.domain.clone(), node.operator.clone()));
        if !is_known {
            let name = if node.domain.is_empty() {
                node.operator.clone()
            } else {
                format!("{}.{}", node.domain, node.operator)
            };
            unknown.entry(name).or_default().push(node.name.clone());
        }
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Error::UnknownOperators { operators: unknown.into_iter().collect() }),
    }
}

/// Returns all nodes: of the graph, of the graphs within its nodes, and of the functions.
pub(crate) fn nodes<'g>(graph: &'g Graph, functions: &'g Functions) -> Vec<&'g Node> {
    fn collect<'g>(nodes: &'g [Node], all: &mut Vec<&'g Node>) {
        for node in nodes {
            all.push(node);
            for graph in node.attributes.values().filter_map(|attribute| attribute.graph.as_ref()) {
                collect(&graph.nodes, all);
            }
        }
    }
    let mut all = Vec::new();
    collect(&graph.nodes, &mut all);
    functions.values().for_each(|function| collect(&function.nodes, &mut all));
    all
}

/// Reports whether a node runs other graphs.
pub(crate) fn is_control(node: &Node) -> bool {
    node.domain.is_empty() && matches!(node.operator.as_str(), "If" | "Loop")
}
