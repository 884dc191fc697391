//! Every recurrent layer of Burn, over the positions of an image and over signals.

use crate::support::{case, device, images, signals};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::*;
use burn::prelude::*;

#[derive(Module, Debug)]
struct Net<R: Module> {
    conv: Conv2d,
    rnn: R,
    fc: Linear,
}

fn net<R: Module>(rnn: R, channels: usize) -> Net<R> {
    Net {
        conv: Conv2dConfig::new([3, 8], [4, 4]).with_stride([4, 4]).init(&device()),
        rnn,
        fc: LinearConfig::new(channels, 5).init(&device()),
    }
}

fn sequence<R: Module>(net: &Net<R>, x: Tensor<4>) -> Tensor<3> {
    net.conv.forward(x).flatten::<3>(2, 3).swap_dims(1, 2)
}

fn last(x: Tensor<3>) -> Tensor<2> {
    let steps = x.dims()[1];
    x.narrow(1, steps - 1, 1).squeeze_dim(1)
}

/// The output of a recurrent layer depends on all earlier positions, so it is not a layer with positions.
const CONV: [&str; 1] = ["conv 8 @ 4x3"];

#[test]
fn an_rnn() {
    case(net(RnnConfig::new(8, 6, true).init(&device()), 6), images, |net, x| {
        net.fc.forward(last(net.rnn.forward(sequence(net, x), None).0))
    })
    .has_layers(&CONV);
}

#[test]
fn an_rnn_of_both_directions() {
    case(net(BiRnnConfig::new(8, 6, true).init(&device()), 12), images, |net, x| {
        net.fc.forward(last(net.rnn.forward(sequence(net, x), None).0))
    })
    .has_layers(&CONV);
}

#[test]
fn a_gru() {
    case(net(GruConfig::new(8, 6, true).init(&device()), 6), images, |net, x| {
        net.fc.forward(last(net.rnn.forward(sequence(net, x), None)))
    })
    .has_layers(&CONV);
}

#[test]
fn a_gru_of_both_directions() {
    case(net(BiGruConfig::new(8, 6, false).init(&device()), 12), images, |net, x| {
        net.fc.forward(last(net.rnn.forward(sequence(net, x), None).0))
    })
    .has_layers(&CONV);
}

#[test]
fn an_lstm() {
    case(net(LstmConfig::new(8, 6, true).init(&device()), 6), images, |net, x| {
        net.fc.forward(net.rnn.forward(sequence(net, x), None).1.hidden)
    })
    .has_layers(&CONV);
}

#[test]
fn an_lstm_of_both_directions_in_reverse() {
    case(net(BiLstmConfig::new(8, 6, true).with_clip(Some(0.9)).init(&device()), 12), images, |net, x| {
        net.fc.forward(last(net.rnn.forward(sequence(net, x).flip([1]), None).0))
    })
    .has_layers(&CONV);
}

#[test]
fn an_lstm_of_signals() {
    #[derive(Module, Debug)]
    struct Signal {
        lstm: Lstm,
        fc: Linear,
    }
    let net = Signal {
        lstm: LstmConfig::new(3, 6, true).init(&device()),
        fc: LinearConfig::new(6, 4).init(&device()),
    };
    case(net, signals, |net, x| net.fc.forward(last(net.lstm.forward(x.swap_dims(1, 2), None).0)))
        .has_layers(&[]);
}
