use crate::contours::Forest;
use crate::{Better, Bounds, Group, Map, Measurement, Metric, MetricInfo, Reason, Subject};

/// MaxBoxAccV2: whether a box around what is hot meets the box of the object, at the best threshold for all images together.
///
/// $$ \frac13 \sum_{d \in \{.3, .5, .7\}} \max_t \frac1N \sum_n 1\left[\max_{b \in B_n(t),\ g \in G_n} \text{IoU}(b, g) \ge d\right] $$
///
/// The map is scaled to 0..1 at 224 x 224 pixels and becomes whole numbers, $\lfloor 255 m \rfloor$. At each of the thresholds 0, 0.001, .., 0.999, pixels above
/// $\lfloor t \max \rfloor$ are hot. $B(t)$ has a box for each contour of the hot pixels, those of holes among them: from its first column and row
/// $(x, y)$ to $(\min(x + w, 223), \min(y + h, 223))$. True boxes are scaled to the same pixels and truncated. Areas count both ends: $(x_1 - x_0 + 1)(y_1 - y_0 + 1)$.
///
/// The value of one image is its best IoU at any threshold; the parts are the best IoU at each level 0 to 254 of $\lfloor 255 t \rfloor$, which all thresholds
/// have one of.
///
/// Choe et al., *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020, section 4, and its evaluator, with
/// `multi_contour_eval`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MaxBoxAccV2;

/// The side of the maps.
const SIDE: usize = 224;

/// The levels of the thresholds.
const LEVELS: usize = 255;

impl Metric for MaxBoxAccV2 {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        MetricInfo::new("maxboxaccv2", "MaxBoxAccV2", "https://arxiv.org/abs/2007.04178", group, better)
            .truth()
            .by_default()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        subject.asked()?;
        let truth = &subject.truth.ok_or(Reason::NoTruth)?.boxes;
        let parts = best_by_level(&subject.map.resized(SIDE, SIDE).scaled()?, truth);
        let value = parts.iter().copied().fold(0.0, f32::max).into();
        Ok(Measurement { value, parts })
    }

    fn summarize(&self, measured: &[&Measurement]) -> Option<f64> {
        const OVERLAPS: [f32; 3] = [0.3, 0.5, 0.7];
        let best = |overlap: f32| {
            let right = |level: usize| {
                measured.iter().filter(|one| one.parts.get(level).is_some_and(|iou| *iou >= overlap)).count()
            };
            (0..LEVELS).map(right).max().unwrap_or(0) as f64 / measured.len() as f64
        };
        (!measured.is_empty()).then(|| OVERLAPS.map(best).iter().sum::<f64>() / OVERLAPS.len() as f64)
    }
}

/// Returns the best IoU of a contour's box with a true box, at each level.
pub(crate) fn best_by_level(map: &Map, truth: &[[f32; 4]]) -> Vec<f32> {
    let levels: Vec<u8> = map.values().iter().map(|value| (255.0 * value) as u8).collect();
    let truth: Vec<[i64; 4]> =
        truth.iter().map(|share| share.map(|share| (share * SIDE as f32) as i64)).collect();
    let overlap = |bounds: Bounds| truth.iter().map(|truth| iou(boxed(bounds), *truth)).fold(0.0, f32::max);
    let mut by_level: Vec<Vec<usize>> = vec![Vec::new(); 256];
    levels.iter().enumerate().for_each(|(at, level)| by_level[usize::from(*level)].push(at));
    let mut best = vec![0.0f32; LEVELS];
    // Hot pixels become more as the level falls, the others as it rises.
    let mut hot = Forest::new(map.height(), map.width(), true);
    for level in (0..LEVELS).rev() {
        hot.add(&by_level[level + 1]);
        best[level] = hot.bounds().map(overlap).fold(best[level], f32::max);
    }
    let mut cold = Forest::new(map.height(), map.width(), false);
    for level in 0..LEVELS {
        cold.add(&by_level[level]);
        best[level] = cold.bounds().map(overlap).fold(best[level], f32::max);
    }
    best
}

/// Returns the box of a contour as the evaluator makes it: its right and lower ends are one pixel beyond, but inside of the map.
fn boxed(Bounds { left, top, right, bottom }: Bounds) -> [i64; 4] {
    [left, top, (right + 1).min(SIDE - 1), (bottom + 1).min(SIDE - 1)].map(|side| side as i64)
}

fn iou([a0, b0, a1, b1]: [i64; 4], [c0, d0, c1, d1]: [i64; 4]) -> f32 {
    let length = |low: i64, high: i64| (high - low + 1).max(0);
    let both = length(a0.max(c0), a1.min(c1)) * length(b0.max(d0), b1.min(d1));
    let either = (a1 - a0 + 1) * (b1 - b0 + 1) + (c1 - c0 + 1) * (d1 - d0 + 1) - both;
    if either <= 0 { 0.0 } else { (both as f64 / either as f64) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contours;

    /// The evaluator as the paper's code has it: a threshold at a time.
    fn slowly(map: &Map, truth: &[[i64; 4]]) -> Vec<f32> {
        let levels: Vec<u8> = map.values().iter().map(|value| (255.0 * value).floor() as u8).collect();
        let most = f64::from(*levels.iter().max().unwrap());
        let best = |step: usize| {
            let threshold = (step as f64 * 0.001 * most).floor() as u8;
            let hot: Vec<bool> = levels.iter().map(|level| *level > threshold).collect();
            let boxes = contours(SIDE, SIDE, &hot).into_iter().map(|bounds| {
                let (w, h) = (bounds.right - bounds.left + 1, bounds.bottom - bounds.top + 1);
                [bounds.left, bounds.top, (bounds.left + w).min(SIDE - 1), (bounds.top + h).min(SIDE - 1)]
                    .map(|side| side as i64)
            });
            boxes.flat_map(|one| truth.iter().map(move |other| iou(one, *other))).fold(0.0, f32::max)
        };
        (0..1000).map(best).collect()
    }

    #[test]
    fn levels_are_the_thousand_thresholds() {
        // Two bumps, one with a hole, and some noise.
        let bump = |x: f32, y: f32, cx: f32, cy: f32, r: f32| {
            let distance = ((x - cx).powi(2) + (y - cy).powi(2)).sqrt();
            (-((distance - r) / 12.0).powi(2)).exp()
        };
        let value = |at: usize| {
            let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
            bump(x, y, 70.0, 90.0, 30.0)
                + 0.7 * bump(x, y, 170.0, 140.0, 0.0)
                + (at * 7919 % 101) as f32 / 2000.0
        };
        let map = Map::new(SIDE, SIDE, (0..SIDE * SIDE).map(value).collect()).unwrap().scaled().unwrap();
        let truth = [[0.2, 0.3, 0.45, 0.5], [0.7, 0.5, 0.9, 0.8]];
        let pixels = truth.map(|share: [f32; 4]| share.map(|share| (share * SIDE as f32) as i64));
        let (fast, slow) = (best_by_level(&map, &truth), slowly(&map, &pixels));
        for (step, slow) in slow.iter().enumerate() {
            assert_eq!(fast[(step as f64 * 0.001 * 255.0).floor() as usize], *slow, "threshold {step}");
        }
        let used: std::collections::HashSet<usize> =
            (0..1000).map(|step| (f64::from(step) * 0.001 * 255.0).floor() as usize).collect();
        assert_eq!(used.len(), LEVELS, "each level is that of a threshold");
        assert!(fast.iter().copied().fold(0.0, f32::max) > 0.5, "a box is found");
    }

    #[test]
    fn the_best_threshold_is_that_of_all_images_together() {
        let of = |levels: &[(usize, f32)]| {
            let mut parts = vec![0.0; LEVELS];
            levels.iter().for_each(|(level, iou)| parts[*level] = *iou);
            Measurement { value: 0.0, parts }
        };
        // At level 10 both meet .3 and one meets .5; at level 20 one meets .7.
        let images = [of(&[(10, 0.6)]), of(&[(10, 0.35), (20, 0.9)])];
        let value = MaxBoxAccV2.summarize(&images.iter().collect::<Vec<_>>());
        assert_eq!(value, Some((1.0 + 0.5 + 0.5) / 3.0));
        assert_eq!(MaxBoxAccV2.summarize(&[]), None);
    }
}
