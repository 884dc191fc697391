//! The modules of a file: exporters leave them in the metadata or the names of nodes.
//!
//! - PyTorch's exporter of today writes the metadata `pkg.torch.onnx.name_scopes`: `['', 'layer4', 'layer4.1', 'layer4.1.conv2', 'conv2d']`.
//! - The one before it names nodes by modules: `/layer4/layer4.1/conv2/Conv`.
//! - TensorFlow names operations by layers: `model/block1_conv1/Conv2D`.
//! - Where none of these is there, but weights have the names of a PyTorch model (`layer4.1.conv2.weight`), modules are found by weights.
//! - Else each node is called by its own name, `conv1_relu`.

use crate::proto::Node;

/// Returns the module of each node; `None` if modules are to be found by weights.
///
/// - has_named_weights: whether weights are called by modules
pub(crate) fn of_nodes(nodes: &[Node<'_>], has_named_weights: bool) -> Vec<Option<String>> {
    let has_metadata = nodes.iter().any(|node| node.metadata.contains_key(SCOPES));
    let computing = || nodes.iter().filter(|node| node.operator != "Constant");
    let in_modules = computing().filter(|node| node.name.contains('/')).count();
    if has_metadata {
        let mut before = String::new();
        // A node that the exporter added belongs to the module of the one before it.
        return nodes
            .iter()
            .map(|node| {
                if let Some(scopes) = node.metadata.get(SCOPES) {
                    before = from_metadata(scopes);
                }
                Some(before.clone())
            })
            .collect();
    }
    if 2 * in_modules <= computing().count() {
        return nodes.iter().map(|node| (!has_named_weights).then(|| own_name(node))).collect();
    }
    let paths: Vec<Vec<String>> = nodes.iter().map(|node| from_name(&node.name)).collect();
    let common = common_prefix(
        nodes.iter().zip(&paths).filter(|(node, _)| node.name.contains('/')).map(|(_, path)| path),
    );
    paths
        .into_iter()
        .map(|path| Some(path.get(common..).map_or_else(String::new, |path| path.join("."))))
        .collect()
}

const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// Returns the module of a Python list of scopes, of which the last is the operation itself.
fn from_metadata(scopes: &str) -> String {
    let quoted = scopes.split(['\'', '"']).skip(1).step_by(2);
    let scopes: Vec<&str> = quoted.collect();
    scopes
        .iter()
        .rev()
        .skip(1)
        .find(|scope| !scope.is_empty())
        .map_or_else(String::new, |scope| scope.to_string())
}

/// Returns the parts of the path of the module in the name of a node.
fn from_name(name: &str) -> Vec<String> {
    let is_torch = name.starts_with('/');
    let mut parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    if !is_torch {
        return parts.into_iter().map(String::from).collect();
    }
    // A member of a list follows the list, whose name it repeats: `/features/features.3/features.3.0`.
    let mut path: Vec<String> = Vec::new();
    let mut before = "";
    for part in parts {
        let member =
            part.strip_prefix(before).and_then(|rest| rest.strip_prefix('.')).filter(|_| !before.is_empty());
        path.push(member.unwrap_or(part).to_string());
        before = part;
    }
    path
}

/// Returns the name of a node, or of its first output, without the operator that exporters append.
fn own_name(node: &Node<'_>) -> String {
    let name =
        if node.name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { &node.name };
    let name =
        name.strip_suffix(node.operator.as_str()).map_or(name, |name| name.trim_end_matches(['_', '/']));
    let name = if name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { name };
    name.replace('.', "_").trim_matches('/').replace('/', ".")
}

/// Returns how many parts all paths have in common.
fn common_prefix<'a>(mut paths: impl Iterator<Item = &'a Vec<String>>) -> usize {
    let Some(first) = paths.next() else { return 0 };
    paths.fold(first.len(), |common, path| {
        first[..common].iter().zip(path).take_while(|(a, b)| a == b).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_in_the_names_of_nodes() {
        assert_eq!(from_name("/layer4/layer4.1/conv2/Conv").join("."), "layer4.1.conv2");
        assert_eq!(from_name("/features/features.3/features.3.0/Conv").join("."), "features.3.0");
        assert_eq!(from_name("/blocks.0/attn/qkv/MatMul").join("."), "blocks.0.attn.qkv");
        assert_eq!(from_name("/Add").join("."), "");
        assert_eq!(from_name("model/block1_conv1/Conv2D").join("."), "model.block1_conv1");
    }

    #[test]
    fn nodes_without_modules_have_their_own_names() {
        let named = |name: &str, operator: &str| {
            own_name(&Node {
                name: name.into(),
                operator: operator.into(),
                outputs: vec!["out".into()],
                ..Node::default()
            })
        };
        assert_eq!(named("conv1_relu_Clip", "Clip"), "conv1_relu");
        assert_eq!(named("Conv.3", "Conv"), "Conv_3");
        assert_eq!(named("separable_1/dwconv_Conv", "Conv"), "separable_1.dwconv");
        assert_eq!([named("", "Conv"), named("Conv", "Conv")], ["out", "out"]);
    }

    #[test]
    fn modules_are_in_the_metadata() {
        assert_eq!(
            from_metadata("['', 'layer4', 'layer4.1', 'layer4.1.conv2', 'conv2d_7']"),
            "layer4.1.conv2"
        );
        assert_eq!(from_metadata("['', 'add']"), "");
        assert_eq!(from_metadata("nonsense"), "");
    }
}
