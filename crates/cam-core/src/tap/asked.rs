//! What a pass is asked to show.

use super::INPUT;

/// Which layers a pass holds: those of these names, and those of these kinds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub names: Vec<String>,
    pub biased: bool,
    pub attention: bool,
    /// Whether all layers are to be named, held or not.
    pub listed: bool,
}

impl Asked {
    pub fn only(name: &str) -> Self {
        Self { names: vec![name.into()], ..Self::default() }
    }

    /// Whether the input is held too, as a layer. What biases contribute is told beside what the input does.
    pub fn input(&self) -> bool {
        self.holds(INPUT, true, false)
    }

    /// Whether all layers have to be named: those of a kind are found by it.
    pub fn all(&self) -> bool {
        self.listed || self.biased || self.attention
    }

    pub fn holds(&self, name: &str, biased: bool, attention: bool) -> bool {
        self.biased && biased || self.attention && attention || self.names.iter().any(|asked| asked == name)
    }
}
