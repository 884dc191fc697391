//! Runs graphs node by node. Within a recording, what depends on the image is recorded, and all else is computed.

use crate::array::{Array, Kind};
use crate::error::{Error, Reason};
use crate::operators::{self, Call, Rebatched, Value};
use crate::program::{Function, Functions, Graph, Node};
use burn::tensor::Device;
use std::cell::Cell;
use std::collections::HashMap;

/// What all nodes of a run have in common.
pub(crate) struct Context<'a> {
    pub functions: &'a Functions,
    pub opset: i64,
    pub device: &'a Device,
    /// The batch of the export, if this run has another.
    pub batch: Option<&'a Rebatched>,
    /// The nodes that may still be run.
    pub left: Cell<usize>,
}

/// The values of a graph by their names, and those of the graph around it.
pub(crate) struct Values<'a> {
    pub own: HashMap<String, Value>,
    pub around: Option<&'a Values<'a>>,
}

impl Values<'_> {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.own.get(name).or_else(|| self.around?.get(name))
    }
}

/// The maximum number of nodes that are run, those of functions and bodies as often as they are.
pub(crate) const MAX_NODES: usize = 200_000;
/// The maximum number of repetitions of a loop.
const MAX_STEPS: i64 = 10_000;
/// The maximum depth of functions and bodies.
const MAX_DEPTH: usize = 64;

impl Context<'_> {
    /// Runs the nodes of a graph.
    pub fn run(&self, nodes: &[Node], values: &mut Values<'_>, depth: usize) -> Result<(), Error> {
        for node in nodes {
            if let Some(path) = &node.path {
                cam_graph::enter_module(path);
            }
            let outputs = self.node(node, values, depth)?;
            values.own.extend(node.outputs.iter().cloned().zip(outputs));
        }
        Ok(())
    }

    fn node(&self, node: &Node, values: &Values<'_>, depth: usize) -> Result<Vec<Value>, Error> {
        let failed = |reason: Reason| Error::Operator {
            node: node.name.clone(),
            operator: node.operator.clone(),
            reason,
        };
        let mut inputs = Vec::new();
        for name in &node.inputs {
            inputs.push(match name.as_str() {
                "" => None,
                name => {
                    let missing = || failed(format!("its input `{}` is not there", name.escape_debug()));
                    Some(values.get(name).cloned().ok_or_else(missing)?)
                }
            });
        }
        if depth > MAX_DEPTH {
            return Err(failed(format!("graphs are nested more than {MAX_DEPTH} deep")));
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| failed(format!("more than {MAX_NODES} nodes are run")))?);
        if let Some(function) = self.functions.get(&(node.domain.clone(), node.operator.clone())) {
            return self.function(function, node, inputs, depth);
        }
        match (node.domain.as_str(), node.operator.as_str()) {
            ("", "If") => return self.branch(node, &inputs, values, depth),
            ("", "Loop") => return self.repeat(node, &inputs, values, depth),
            _ => {}
        }
        let operator = operators::find(&node.domain, &node.operator)
            .ok_or_else(|| failed("it is not supported".into()))?;
        let call = Call { node, inputs, opset: self.opset, device: self.device, batch: self.batch };
        let values = call.run(operator).map_err(failed)?;
        for value in &values {
            if let Value::Known(array) = value {
                array.take_room().map_err(failed)?;
            }
        }
        Ok(values)
    }

    /// Runs a function of the file: its nodes, with the attributes of the node that calls it.
    fn function(
        &self,
        function: &Function,
        caller: &Node,
        inputs: Vec<Option<Value>>,
        depth: usize,
    ) -> Result<Vec<Value>, Error> {
        let given = function.inputs.iter().cloned().zip(inputs);
        let own = given.filter_map(|(name, value)| Some((name, value?))).collect();
        let mut values = Values { own, around: None };
        let attribute =
            |name: &str| caller.attributes.get(name).or_else(|| function.defaults.get(name)).cloned();
        let bound = |node: &Node| {
            let mut node = node.clone();
            let taken = |(name, value): (String, crate::program::Attribute)| match value.reference.is_empty()
            {
                true => Some((name, value)),
                false => Some((name, attribute(&value.reference)?)),
            };
            node.attributes = node.attributes.into_iter().filter_map(taken).collect();
            node.path = None;
            node
        };
        let nodes: Vec<Node> = function.nodes.iter().map(bound).collect();
        self.run(&nodes, &mut values, depth + 1)?;
        outputs(caller, function.outputs.iter().map(String::as_str), &values)
    }

    /// Runs the branch of a condition that is known.
    fn branch(
        &self,
        node: &Node,
        inputs: &[Option<Value>],
        values: &Values<'_>,
        depth: usize,
    ) -> Result<Vec<Value>, Error> {
        let condition = known_number(node, inputs.first(), "its condition")?;
        let name = if condition != 0 { "then_branch" } else { "else_branch" };
        let body = body(node, name)?;
        let mut inner = Values { own: constants(body), around: Some(values) };
        self.run(&body.nodes, &mut inner, depth + 1)?;
        outputs(node, body.outputs.iter().map(|output| output.name.as_str()), &inner)
    }

    /// Runs the body of a loop as often as is known.
    fn repeat(
        &self,
        node: &Node,
        inputs: &[Option<Value>],
        values: &Values<'_>,
        depth: usize,
    ) -> Result<Vec<Value>, Error> {
        let failed =
            |reason: String| Error::Operator { node: node.name.clone(), operator: "Loop".into(), reason };
        let body = body(node, "body")?;
        let times = match inputs.first() {
            Some(Some(_)) => known_number(node, inputs.first(), "its number of repetitions")?,
            _ => i64::MAX,
        };
        let mut goes_on = match inputs.get(1) {
            Some(Some(_)) => known_number(node, inputs.get(1), "its condition")? != 0,
            _ => true,
        };
        let mut carried: Vec<Value> = inputs.iter().skip(2).flatten().cloned().collect();
        let mut scanned: Vec<Vec<Array>> =
            vec![Vec::new(); body.outputs.len().saturating_sub(1 + carried.len())];
        let mut step = 0;
        while goes_on && step < times {
            if step >= MAX_STEPS {
                return Err(failed(format!("it repeats more than {MAX_STEPS} times")));
            }
            let mut inner = Values { own: constants(body), around: Some(values) };
            let fixed = [Value::Known(Array::int(step)), Value::Known(Array::int(1).cast(Kind::Bool))];
            let names = body.inputs.iter().map(|input| input.name.clone());
            inner.own.extend(names.zip(fixed.into_iter().chain(carried.iter().cloned())));
            self.run(&body.nodes, &mut inner, depth + 1)?;
            let names = body.outputs.iter().map(|output| output.name.as_str());
            let mut all = outputs(node, names, &inner)?.into_iter();
            let condition = all.next();
            goes_on = known_number(node, Some(&condition), "its condition")? != 0;
            let count = carried.len();
            carried = all.by_ref().take(count).collect();
            for (scanned, value) in scanned.iter_mut().zip(all) {
                scanned.push(value.on(self.device));
            }
            step += 1;
        }
        for steps in scanned {
            let rows = steps.into_iter().map(|array| {
                let shape = [vec![1], array.shape()].concat();
                array.reshape(&shape)
            });
            let rows = rows.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            carried.push(Value::Recorded(Array::concat(rows, 0).map_err(failed)?));
        }
        Ok(carried)
    }
}

fn constants(graph: &Graph) -> HashMap<String, Value> {
    graph.constants.iter().map(|(name, array)| (name.clone(), Value::Known(array.clone()))).collect()
}

fn body<'a>(node: &'a Node, name: &str) -> Result<&'a Graph, Error> {
    node.attributes.get(name).and_then(|attribute| attribute.graph.as_deref()).ok_or_else(|| {
        Error::Operator {
            node: node.name.clone(),
            operator: node.operator.clone(),
            reason: format!("its `{name}` is missing"),
        }
    })
}

fn known_number(node: &Node, value: Option<&Option<Value>>, what: &str) -> Result<i64, Error> {
    let number = match value {
        Some(Some(Value::Known(array))) => array.clone().cast(Kind::Int).to_ints().first().copied(),
        _ => None,
    };
    number.ok_or_else(|| Error::Operator {
        node: node.name.clone(),
        operator: node.operator.clone(),
        reason: format!("{what} depends on the image"),
    })
}

fn outputs<'n>(
    node: &Node,
    names: impl Iterator<Item = &'n str>,
    values: &Values<'_>,
) -> Result<Vec<Value>, Error> {
    let value = |name: &str| {
        values.get(name).cloned().ok_or_else(|| Error::Operator {
            node: node.name.clone(),
            operator: node.operator.clone(),
            reason: format!("its output `{}` is not computed", name.escape_debug()),
        })
    };
    names.map(value).collect()
}
