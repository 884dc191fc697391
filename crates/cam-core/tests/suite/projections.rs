//! The methods that project on a first component, again: with a full decomposition in place of a Gram matrix.

use crate::common::close;
use crate::common::slow::mean;
use crate::common::square::{CLASSES, Square};
use cam_core::{Class, KpcaCam, methods};
use nalgebra::DMatrix;

/// The Gram matrices are made in f32, the entries of the maps are of order one.
const TOLERANCE: f32 = 1e-4;

/// Fewer channels than places, more, and as many.
fn nets() -> [Square; 3] {
    [Square::sized(4, [3, 5]), Square::sized(20, [2, 3]), Square::sized(6, [2, 3])]
}

/// The places by the channels, each channel less its mean.
fn centered(net: &Square, values: &[f64]) -> DMatrix<f64> {
    DMatrix::from_fn(net.n, net.k, |n, k| {
        values[net.at(k, n)] - mean((0..net.n).map(|other| values[net.at(k, other)]))
    })
}

/// $M v_1$ by a singular value decomposition.
fn first_component(net: &Square, values: &[f64]) -> Vec<f64> {
    let m = centered(net, values);
    let svd = m.clone().svd(false, true);
    let first = svd.singular_values.imax();
    (m * svd.v_t.unwrap().row(first).transpose()).iter().copied().collect()
}

/// The sign of our rule: the map is positive where the squared distance from the mean place is above average.
fn standing_out_positive(net: &Square, values: &[f64], map: Vec<f64>) -> Vec<f32> {
    let m = centered(net, values);
    let distance: Vec<f64> = (0..net.n).map(|n| (0..net.k).map(|k| m[(n, k)].powi(2)).sum()).collect();
    let average = mean(distance.iter().copied());
    let agreement: f64 = (0..net.n).map(|n| map[n] * (distance[n] - average)).sum();
    map.iter().map(|x| (x * agreement.signum()) as f32).collect()
}

#[test]
fn eigencam_is_the_first_right_singular_vector() {
    for net in nets() {
        let expected = standing_out_positive(&net, &net.a, first_component(&net, &net.a));
        close(&net.raw(methods::EigenCam, &Class(0)), &expected, TOLERANCE);
    }
}

#[test]
fn eigengradcam_is_that_of_gradient_times_activation() {
    for net in nets() {
        for c in 0..CLASSES {
            let m: Vec<f64> = net.gradient(c).iter().zip(&net.a).map(|(g, a)| g * a).collect();
            let expected = standing_out_positive(&net, &m, first_component(&net, &m));
            close(&net.raw(methods::EigenGradCam, &Class(c)), &expected, TOLERANCE);
        }
    }
}

#[test]
fn segeigencam_is_that_of_the_magnitude_of_the_gradient_times_activation() {
    for net in nets() {
        for c in 0..CLASSES {
            let m: Vec<f64> = net.gradient(c).iter().zip(&net.a).map(|(g, a)| g.abs() * a).collect();
            let map = first_component(&net, &m);
            let largest = map.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            let expected: Vec<f32> = map.iter().map(|x| (x * largest.signum()) as f32).collect();
            close(&net.raw(methods::SegEigenCam, &Class(c)), &expected, TOLERANCE);
        }
    }
}

#[test]
fn the_two_rules_of_the_sign_are_two() {
    // One place is farthest above the mean, two nearly as far below it stand out more together.
    let mut net = Square::sized(1, [2, 3]);
    net.a = vec![8.0, 2.5, 2.5, 6.0, 6.0, 5.0];
    let eigen = net.raw(methods::EigenCam, &Class(0));
    let seg = net.raw(methods::SegEigenCam, &Class(0));
    let largest = |map: &[f32]| map.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
    assert!(largest(&eigen) < 0.0 && largest(&seg) > 0.0);
}

#[test]
fn kpcacam_is_the_first_component_of_the_centered_kernel() {
    for net in nets() {
        for (method, gamma, offset) in [
            (KpcaCam::PAPER, 1.0 / net.k as f64, 1.0),
            (KpcaCam { gamma: Some(0.3), offset: -0.5 }, f64::from(0.3f32), -0.5),
        ] {
            let a = centered(&net, &net.a);
            let kernel = DMatrix::from_fn(net.n, net.n, |m, n| {
                let product: f64 = (0..net.k).map(|k| a[(m, k)] * a[(n, k)]).sum();
                (gamma * product + offset).tanh()
            });
            let center =
                DMatrix::identity(net.n, net.n) - DMatrix::from_element(net.n, net.n, 1.0 / net.n as f64);
            let eigen = (&center * kernel * &center).symmetric_eigen();
            let first = eigen.eigenvalues.imax();
            let length = eigen.eigenvalues[first].sqrt();
            let map = eigen.eigenvectors.column(first).iter().map(|x| x * length).collect();
            let expected = standing_out_positive(&net, &net.a, map);
            close(&net.raw(method, &Class(0)), &expected, TOLERANCE);
        }
    }
}
