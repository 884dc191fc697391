//! A network that is known by hand: $y_c = \sum_{kn} v_{ckn} A_{kn}^2 + u_{ckn} A_{kn}$. Its gradient $2 v A + u$ depends on
//! the place, and its Hessian is $2 v$ on the diagonal and zero beside it. The input is the layer, so masks of the layer need
//! no resizing.

use super::{numbers, seed, slow, uniform};
use burn::prelude::*;
use cam_core::{Explain, Explainer, Inspect, Method, Model, Nchw, NoModule, Rectify, Scale, Taps, Target};
use std::cell::RefCell;

pub const CLASSES: usize = 3;

pub struct Square {
    /// Channels.
    pub k: usize,
    /// Height and width.
    pub grid: [usize; 2],
    /// Places.
    pub n: usize,
    /// $A_{kn}$
    pub a: Vec<f64>,
    v: Tensor<2>,
    u: Tensor<2>,
    /// Every input that the network was run on, a row of the batch at a time.
    pub inputs: RefCell<Vec<Vec<f64>>>,
}

impl Square {
    pub fn new() -> Self {
        Self::sized(4, [3, 5])
    }

    pub fn sized(k: usize, grid: [usize; 2]) -> Self {
        let device = Device::flex();
        seed(3);
        let n = grid[0] * grid[1];
        let a: Tensor<1> = uniform([k * n], -0.5, 1.0, &device);
        Self {
            k,
            grid,
            n,
            a: slow::wide(&numbers(&a)),
            v: uniform([CLASSES, k * n], -1.0, 1.0, &device),
            u: uniform([CLASSES, k * n], -1.0, 1.0, &device),
            inputs: RefCell::default(),
        }
    }

    /// The raw map of a method by the library.
    pub fn raw(&self, method: impl Method + 'static, target: &dyn Target) -> Vec<f32> {
        let explainer = Explainer::new(self).layer("a").method(method);
        let signed = explainer.rectify(Rectify::Signed).scale(Scale::None).copies(3);
        let found = signed.explain(self.image(), target).unwrap();
        numbers(&found.maps[0].raw)
    }

    pub fn image(&self) -> Tensor<4> {
        let a = Tensor::<1>::from_floats(slow::narrow(&self.a).as_slice(), &Device::flex());
        a.reshape([1, self.k, self.grid[0], self.grid[1]])
    }

    /// $v_{ckn}$ for the channels and places in a row.
    pub fn v(&self, c: usize) -> Vec<f64> {
        slow::wide(&numbers(&self.v.clone().narrow(0, c, 1)))
    }

    pub fn u(&self, c: usize) -> Vec<f64> {
        slow::wide(&numbers(&self.u.clone().narrow(0, c, 1)))
    }

    pub fn y(&self, a: &[f64], c: usize) -> f64 {
        let (v, u) = (self.v(c), self.u(c));
        (0..self.k * self.n).map(|i| v[i] * a[i] * a[i] + u[i] * a[i]).sum()
    }

    pub fn logits(&self, a: &[f64]) -> Vec<f64> {
        (0..CLASSES).map(|c| self.y(a, c)).collect()
    }

    /// $\partial y_c / \partial A$ at an activation.
    pub fn gradient_at(&self, a: &[f64], c: usize) -> Vec<f64> {
        let (v, u) = (self.v(c), self.u(c));
        (0..self.k * self.n).map(|i| 2.0 * v[i] * a[i] + u[i]).collect()
    }

    pub fn gradient(&self, c: usize) -> Vec<f64> {
        self.gradient_at(&self.a, c)
    }

    /// The place of a channel's value in a row of all.
    pub fn at(&self, k: usize, n: usize) -> usize {
        k * self.n + n
    }

    pub fn channel(&self, k: usize) -> &[f64] {
        &self.a[k * self.n..(k + 1) * self.n]
    }

    /// $\sum_k w_k A_k$
    pub fn map(&self, w: impl Fn(usize) -> f64) -> Vec<f32> {
        self.sum(|k, n| w(k) * self.a[self.at(k, n)])
    }

    /// $\sum_k E_{kn}$
    pub fn sum(&self, evidence: impl Fn(usize, usize) -> f64) -> Vec<f32> {
        (0..self.n).map(|n| (0..self.k).map(|k| evidence(k, n)).sum::<f64>() as f32).collect()
    }

    /// The inputs of this network other than the image itself, forgotten here.
    pub fn changed_inputs(&self) -> Vec<Vec<f64>> {
        self.inputs.take().into_iter().filter(|input| *input != self.a).collect()
    }
}

impl Model for Square {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let rows = numbers(&images);
        self.inputs.borrow_mut().extend(rows.chunks(self.k * self.n).map(slow::wide));
        let a = taps.layer("a", Nchw, || images);
        let batch = a.dims()[0];
        let a: Tensor<2> = a.reshape([batch, self.k * self.n]);
        a.clone().square().matmul(self.v.clone().transpose()) + a.matmul(self.u.clone().transpose())
    }
}
