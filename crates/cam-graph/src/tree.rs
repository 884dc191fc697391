//! The layers of a recording as a tree.

use crate::axes::Layout;
use crate::graph::Graph;
use crate::layers::Layer;
use std::fmt;

/// The layers of a recording, nested by blocks. It is displayed with one line per layer:
///
/// ```text
/// stem             [2, 16, 48, 48]  batch, channels, height, width; grid 48 x 48
/// stages           [2, 96, 6, 6]    batch, channels, height, width; grid 6 x 6
///   stages.0       [2, 24, 24, 24]  batch, channels, height, width; grid 24 x 24
///     stages.0.down  [2, 24, 24, 24]  batch, channels, height, width; grid 24 x 24
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTree(pub Vec<LayerNode>);

/// A layer of a [`LayerTree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerNode {
    /// The name.
    pub name: String,
    /// The shape of the value, batch first.
    pub shape: Vec<usize>,
    /// The meaning of the axes.
    pub axes: &'static str,
    /// The sizes of the spatial axes: `[height, width]` for images.
    pub grid: Vec<usize>,
    /// The layers inside, in the order in which they finish.
    pub children: Vec<LayerNode>,
}

impl LayerTree {
    pub(crate) fn new(graph: &Graph) -> Self {
        fn node(layer: &Layer, graph: &Graph) -> LayerNode {
            let shape = graph.operators[layer.operator].shape().to_vec();
            let (axes, grid) = match layer.layout {
                Layout::Ncl => ("batch, channels, length", shape[2..].to_vec()),
                Layout::Nchw => ("batch, channels, height, width", shape[2..].to_vec()),
                Layout::Nhwc => ("batch, height, width, channels", shape[1..3].to_vec()),
                Layout::Ncdhw => ("batch, channels, depth, height, width", shape[2..].to_vec()),
                Layout::Tokens(tokens) => ("batch, tokens, channels", vec![tokens.height, tokens.width]),
                Layout::Attention(tokens) => {
                    ("batch, heads, queries, keys", vec![tokens.height, tokens.width])
                }
            };
            let children = layer.children.iter().map(|child| node(child, graph)).collect();
            LayerNode { name: layer.name.clone(), shape, axes, grid, children }
        }
        Self(graph.layers.iter().map(|layer| node(layer, graph)).collect())
    }

    /// Returns the names of all layers in the order in which they finish: a block follows the layers inside it.
    pub fn names(&self) -> Vec<&str> {
        fn push<'a>(node: &'a LayerNode, names: &mut Vec<&'a str>) {
            node.children.iter().for_each(|child| push(child, names));
            names.push(&node.name);
        }
        let mut names = Vec::new();
        self.0.iter().for_each(|node| push(node, &mut names));
        names
    }
}

impl fmt::Display for LayerTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn rows(node: &LayerNode, depth: usize, all: &mut Vec<[String; 3]>) {
            let grid = node.grid.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let name = format!("{}{}", "  ".repeat(depth), node.name);
            all.push([name, format!("{:?}", node.shape), format!("{}; grid {grid}", node.axes)]);
            node.children.iter().for_each(|child| rows(child, depth + 1, all));
        }
        let mut all = Vec::new();
        self.0.iter().for_each(|node| rows(node, 0, &mut all));
        let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (names, shapes) = (width(0), width(1));
        for [name, shape, form] in &all {
            writeln!(f, "{name:names$}  {shape:shapes$}  {form}")?;
        }
        Ok(())
    }
}
