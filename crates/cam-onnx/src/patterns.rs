//! Puts together what exporters take apart: a GELU from its error function, a layer norm from its means.
//!
//! Together they are computed by one kernel, and methods that change the gradient of an activation find it.

use crate::array::Array;
use crate::program::{Attribute, Graph, Node};
use std::collections::{HashMap, HashSet};

/// Replaces patterns in the nodes of a graph.
pub(crate) fn join(graph: &mut Graph) {
    let mut search = Search::new(graph);
    for index in 0..graph.nodes.len() {
        let found = match graph.nodes[index].operator.as_str() {
            "Erf" => search.gelu(index),
            "ReduceMean" => search.layer_norm(index),
            "Gather" => search.strided_view(index),
            _ => None,
        };
        search.joined.extend(found);
    }
    let joined = std::mem::take(&mut search.joined);
    drop(search);
    let removed: HashSet<usize> = joined.iter().flat_map(|joined| joined.inside.clone()).collect();
    for Joined { last, node, constant, .. } in joined {
        graph.nodes[last] = node;
        graph.constants.extend(constant);
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !removed.contains(&(index - 1))
    });
}

/// A node in place of several.
struct Joined {
    /// The node that it replaces.
    last: usize,
    node: Node,
    /// The nodes that nothing else reads.
    inside: Vec<usize>,
    /// A constant that it reads.
    constant: Option<(String, Array)>,
}

struct Search<'a> {
    graph: &'a Graph,
    producers: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
    joined: Vec<Joined>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut search =
            Self { graph, producers: HashMap::new(), readers: HashMap::new(), joined: Vec::new() };
        for (index, node) in graph.nodes.iter().enumerate() {
            search.producers.extend(node.outputs.iter().map(|output| (output.as_str(), index)));
            for input in &node.inputs {
                search.readers.entry(input).or_default().push(index);
            }
            // What a body reads is not only read here.
            let bodies = node.attributes.values().filter_map(|attribute| attribute.graph.as_ref());
            for input in bodies.flat_map(|body| &body.nodes).flat_map(|node| &node.inputs) {
                search.readers.entry(input).or_default().extend([index, index]);
            }
        }
        for output in &graph.outputs {
            search.readers.entry(&output.name).or_default().push(usize::MAX);
        }
        search
    }

    fn node(&self, index: usize) -> &'a Node {
        &self.graph.nodes[index]
    }

    /// Returns the only reader of the output of a node, if it is of this operator.
    fn reader(&self, index: usize, operator: &str) -> Option<usize> {
        let [reader] = self.readers.get(self.node(index).outputs.first()?.as_str())?[..] else { return None };
        let node = self.graph.nodes.get(reader)?;
        (node.operator == operator && node.domain.is_empty()).then_some(reader)
    }

    /// Returns the node of this operator that makes a value.
    fn producer(&self, value: &str, operator: &str) -> Option<usize> {
        let index = *self.producers.get(value)?;
        (self.node(index).operator == operator && self.node(index).domain.is_empty()).then_some(index)
    }

    /// Returns the number that a constant holds.
    fn number(&self, value: &str) -> Option<f32> {
        let of_node = || {
            let index = self.producer(value, "Constant")?;
            self.node(index).attributes.get("value")?.tensor.as_ref()
        };
        let array = self.graph.constants.get(value).or_else(of_node)?;
        (array.len() == 1).then(|| Array::to_floats(array)[0])
    }

    /// Returns the other input of a node of two inputs.
    fn other(&self, index: usize, input: &str) -> Option<&'a str> {
        match self.node(index).inputs.as_slice() {
            [a, b] if a == input => Some(b),
            [a, b] if b == input => Some(a),
            _ => None,
        }
    }

    /// Returns the input that a node multiplies or adds to this number.
    fn beside_number(&self, index: usize, number: f32) -> Option<&'a str> {
        let [a, b] = self.node(index).inputs.as_slice() else { return None };
        let is_number = |value: &str| self.number(value).is_some_and(|found| (found - number).abs() < 1e-5);
        if is_number(b) {
            return Some(a);
        }
        is_number(a).then_some(b)
    }

    /// $x \frac{1}{2} (1 + \mathrm{erf}(x / \sqrt 2))$, in any order of the products.
    fn gelu(&self, erf: usize) -> Option<Joined> {
        let scaled = self.node(erf).inputs.first()?;
        let x = match self.producer(scaled, "Div") {
            Some(index) => {
                let [x, divisor] = self.node(index).inputs.as_slice() else { return None };
                let is_root =
                    self.number(divisor).is_some_and(|c| (c - std::f32::consts::SQRT_2).abs() < 1e-5);
                is_root.then_some(x.as_str())?
            }
            None => {
                let index = self.producer(scaled, "Mul")?;
                self.beside_number(index, std::f32::consts::FRAC_1_SQRT_2)?
            }
        };
        let add = self.reader(erf, "Add")?;
        self.beside_number(add, 1.0)?;
        let first = self.reader(add, "Mul")?;
        let other = self.other(first, &self.node(add).outputs[0])?;
        let mut inside = vec![erf, add];
        let last = if other == x || self.number(other) == Some(0.5) {
            // One factor follows.
            let last = self.reader(first, "Mul")?;
            let rest = self.other(last, &self.node(first).outputs[0])?;
            let is_rest = if other == x { self.number(rest) == Some(0.5) } else { rest == x };
            inside.push(first);
            is_rest.then_some(last)?
        } else {
            // The other factor is half of the input.
            let half = self.producer(other, "Mul").filter(|half| self.beside_number(*half, 0.5) == Some(x));
            half.is_some().then_some(first)?
        };
        let node = self.in_place_of(last, "Gelu", vec![x.into()], []);
        Some(Joined { last, node, inside, constant: None })
    }

    /// A view of all elements in order, which PyTorch's exporter writes as a flat array and the indices of its elements. The indices are those
    /// of one image, and a reshape is not bound to them.
    fn strided_view(&self, gather: usize) -> Option<Joined> {
        let node = self.node(gather);
        let [flat, indices] = node.inputs.as_slice() else { return None };
        let flatten = self.producer(flat, "Reshape")?;
        let [x, shape] = self.node(flatten).inputs.as_slice() else { return None };
        let axis = node.attributes.get("axis").map_or(0, |axis| axis.int);
        let indices = self.graph.constants.get(indices)?;
        let in_order = || indices.to_ints().into_iter().eq(0..indices.len() as i64);
        if self.number(shape) != Some(-1.0) || axis != 0 || indices.rank() < 2 || !in_order() {
            return None;
        }
        let name = format!("{}:shape", node.outputs[0]);
        let shape = Array::ints(indices.shape().into_iter().map(|length| length as i64).collect());
        let node = self.in_place_of(gather, "Reshape", vec![x.clone(), name.clone()], []);
        let inside = self.reader(flatten, "Gather").map(|_| flatten).into_iter().collect();
        Some(Joined { last: gather, node, inside, constant: Some((name, shape)) })
    }

    /// $\gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ along the last axis.
    fn layer_norm(&self, mean: usize) -> Option<Joined> {
        let x = self.node(mean).inputs.first()?;
        self.is_last_axis(mean)?;
        let center = self.reader(mean, "Sub")?;
        if self.node(center).inputs != [x.clone(), self.node(mean).outputs[0].clone()] {
            return None;
        }
        let centered = self.node(center).outputs[0].as_str();
        let readers = self.readers.get(centered)?;
        let square = readers.iter().copied().find(|reader| {
            let node = self.graph.nodes.get(*reader);
            node.is_some_and(|node| match (node.operator.as_str(), node.inputs.as_slice()) {
                ("Pow", [_, exponent]) => self.number(exponent) == Some(2.0),
                ("Mul", [a, b]) => a == b,
                _ => false,
            })
        })?;
        let variance = self.reader(square, "ReduceMean")?;
        self.is_last_axis(variance)?;
        let add = self.reader(variance, "Add")?;
        let epsilon = self.number(self.other(add, &self.node(variance).outputs[0])?)?;
        let root = self.reader(add, "Sqrt")?;
        let divide = self.reader(root, "Div")?;
        if self.node(divide).inputs != [centered.to_string(), self.node(root).outputs[0].clone()]
            || readers.iter().any(|reader| *reader != square && *reader != divide)
        {
            return None;
        }
        let scale = self.reader(divide, "Mul")?;
        let gamma = self.other(scale, &self.node(divide).outputs[0])?;
        let shift = self.reader(scale, "Add")?;
        let beta = self.other(shift, &self.node(scale).outputs[0])?;
        let is_constant = |value: &str| !self.producers.contains_key(value) && value != x;
        if !is_constant(gamma) || !is_constant(beta) {
            return None;
        }
        let epsilon = Attribute { float: epsilon, ..Attribute::default() };
        let inputs = vec![x.clone(), gamma.into(), beta.into()];
        let node = self.in_place_of(shift, "LayerNormalization", inputs, [("epsilon".to_string(), epsilon)]);
        let inside = vec![mean, center, square, variance, add, root, divide, scale];
        Some(Joined { last: shift, node, inside, constant: None })
    }

    /// Reports whether a mean is along the last axis, which it keeps.
    fn is_last_axis(&self, mean: usize) -> Option<()> {
        let node = self.node(mean);
        let axes = match node.inputs.get(1) {
            Some(axes) => self.number(axes).map(|axis| vec![axis as i64])?,
            None => node.attributes.get("axes")?.ints.clone(),
        };
        let keeps = node.attributes.get("keepdims").is_none_or(|keeps| keeps.int == 1);
        (axes == [-1] && keeps).then_some(())
    }

    fn in_place_of<const N: usize>(
        &self,
        last: usize,
        operator: &str,
        inputs: Vec<String>,
        attributes: [(String, Attribute); N],
    ) -> Node {
        let node = self.node(last);
        Node { operator: operator.into(), inputs, attributes: HashMap::from(attributes), ..node.clone() }
    }
}
