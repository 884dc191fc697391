use crate::{Better, Group, Measurement, Metric, MetricInfo, Reason, Subject};

/// Class discrimination: of what of the map is on objects, how much is on those of the asked class.
///
/// $$ \frac{\sum_{i \in T} m_i}{\sum_{i \in T} m_i + \sum_{i \in T' \setminus T} m_i} $$
///
/// with $T'$ the pixels of objects of other classes. A method that shows the same for every class has one half, in the mean over all classes of an image. It
/// is the question of the *pointing game on the difficult subset* of Zhang et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016, for the
/// whole map.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClassDiscrimination;

impl Metric for ClassDiscrimination {
    fn info(&self) -> MetricInfo {
        let (group, better) = (Group::Localization, Better::Higher);
        let paper = "https://arxiv.org/abs/1608.00507";
        MetricInfo::new("discrimination", "Class discrimination", paper, group, better).others()
    }

    fn measure(&self, subject: &Subject<'_>) -> Result<Measurement, Reason> {
        let asked = subject.asked()?.inside();
        let others = subject.truth.and_then(|truth| truth.others.as_ref()).ok_or(Reason::OneClass)?.inside();
        let (mut on_asked, mut on_others, mut pixels) = (0.0, 0.0, 0);
        for ((value, asked), other) in subject.map.values().iter().zip(asked).zip(others) {
            if *asked {
                on_asked += f64::from(*value);
            } else if *other {
                on_others += f64::from(*value);
                pixels += 1;
            }
        }
        match (pixels, on_asked + on_others > 0.0) {
            (0, _) => Err(Reason::OneClass),
            (_, false) => Err(Reason::NothingToCompare),
            (_, true) => Ok((on_asked / (on_asked + on_others)).into()),
        }
    }
}
