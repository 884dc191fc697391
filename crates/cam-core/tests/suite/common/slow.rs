//! What several formulas need, a number at a time and in f64.

/// The derivative at 0 by a central difference. In f64 its error is about 1e-10: the square of the step, and rounding over it.
pub fn slope(f: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 1e-5;
    (f(STEP) - f(-STEP)) / (2.0 * STEP)
}

pub fn relu(x: f64) -> f64 {
    x.max(0.0)
}

pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|y| y.exp()).sum();
    logits.iter().map(|y| y.exp() / sum).collect()
}

/// The least value becomes 0, the largest 1; equal ones become zeros.
pub fn scaled(values: &[f64]) -> Vec<f64> {
    let (low, high) = extremes(values);
    let range = if high > low { high - low } else { 1.0 };
    values.iter().map(|x| (x - low) / range).collect()
}

pub fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
}

/// A map read bilinearly at another size, on half-pixel centers, clamped at the borders.
pub fn resized(map: &[f64], from: [usize; 2], to: [usize; 2]) -> Vec<f64> {
    let read = |j: usize, axis: usize| {
        let last = (from[axis] - 1) as f64;
        let x = ((j as f64 + 0.5) * from[axis] as f64 / to[axis] as f64 - 0.5).clamp(0.0, last);
        (x as usize, (x as usize + 1).min(from[axis] - 1), x.fract())
    };
    let mut out = Vec::new();
    for y in 0..to[0] {
        for x in 0..to[1] {
            let ((y0, y1, down), (x0, x1, right)) = (read(y, 0), read(x, 1));
            let at = |y: usize, x: usize| map[y * from[1] + x];
            let top = at(y0, x0) * (1.0 - right) + at(y0, x1) * right;
            let bottom = at(y1, x0) * (1.0 - right) + at(y1, x1) * right;
            out.push(top * (1.0 - down) + bottom * down);
        }
    }
    out
}

/// A map mirrored left to right.
pub fn mirrored(map: &[f32], width: usize) -> Vec<f32> {
    map.chunks(width).flat_map(|row| row.iter().rev().copied()).collect()
}
