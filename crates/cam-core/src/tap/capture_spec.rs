//! What a pass is asked to capture.

use super::INPUT;

/// Which layers a pass captures: those with these names, and those of these kinds.
#[derive(Debug, Clone, Default)]
pub(crate) struct CaptureSpec {
    pub names: Vec<String>,
    pub biases: bool,
    pub attention: bool,
    /// Whether the forward pass has to name all of its layers, captured or not.
    pub list_all: bool,
}

impl CaptureSpec {
    /// Captures one layer.
    pub fn layer(name: &str) -> Self {
        Self { names: vec![name.into()], ..Self::default() }
    }

    /// Whether the input is captured as a layer. Methods that read biases also read the input.
    pub fn captures_input(&self) -> bool {
        self.captures(INPUT, true, false)
    }

    /// Whether all layers have to be named: layers of a kind are found that way.
    pub fn lists_all(&self) -> bool {
        self.list_all || self.biases || self.attention
    }

    pub fn captures(&self, name: &str, has_bias: bool, is_attention: bool) -> bool {
        let is_named = || self.names.iter().any(|asked| asked == name);
        self.biases && has_bias || self.attention && is_attention || is_named()
    }
}
