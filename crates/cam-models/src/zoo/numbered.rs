//! Modules that a checkpoint names by a word and a number from 1: `denselayer1`, `denselayer2`.

use burn::module::{Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::prelude::*;

/// A sequence of modules named `word1`, `word2`, ... In a `Vec` they would be named `0`, `1`, ...
#[derive(Debug, Clone)]
pub struct Numbered<M> {
    word: &'static str,
    modules: Vec<M>,
}

impl<M> Numbered<M> {
    pub(crate) fn new(word: &'static str, modules: Vec<M>) -> Self {
        Self { word, modules }
    }

    /// Returns the modules in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.modules.iter()
    }

    /// Returns the modules with their names.
    fn named(&self) -> impl Iterator<Item = (String, &M)> {
        (1..).map(|number| format!("{}{number}", self.word)).zip(&self.modules)
    }

    /// Replaces each module.
    fn each(self, mut change: impl FnMut(M) -> M) -> Self {
        self.each_named(|_, module| change(module))
    }

    fn each_named(self, mut change: impl FnMut(&str, M) -> M) -> Self {
        let Self { word, modules } = self;
        let modules = (1..).zip(modules).map(|(number, module)| change(&format!("{word}{number}"), module));
        Self { word, modules: modules.collect() }
    }
}

const KIND: &str = "Numbered";

impl<M: Module> Module for Numbered<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.modules.iter().fold(devices, |devices, module| module.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|module| module.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|module| module.to_device(device))
    }

    fn train(self) -> Self {
        self.each(M::train)
    }

    fn valid(&self) -> Self {
        Self { word: self.word, modules: self.modules.iter().map(M::valid).collect() }
    }

    fn materialize(self) -> Self {
        self.each(M::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, module) in self.named() {
            visitor.enter_module(&name, KIND);
            module.visit(visitor);
            visitor.exit_module(&name, KIND);
        }
    }

    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        self.each_named(|name, module| {
            mapper.enter_module(name, KIND);
            let module = module.map(mapper);
            mapper.exit_module(name, KIND);
            module
        })
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Numbered<M> {
    fn content(&self, content: Content) -> Option<Content> {
        self.named().fold(content, |content, (name, module)| content.add(&name, module)).optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Numbered<M> {}
