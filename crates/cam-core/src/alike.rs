//! Changed copies of an image that are alike: one of them is run for all.
//!
//! Behind a ReLU channels can be zero everywhere, and others are seen at one place only. Ablating the
//! first changes nothing, and as masks all that light up the same place are one mask. So a method labels its copies, and of
//! those with one label the network sees the first.

use crate::Error;
use crate::read::{self, now};
use burn::Tensor;
use std::collections::HashMap;

/// Which of the changed copies of each image are alike, and so have one score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    images: Vec<Groups>,
}

/// The copies of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// The copies that are run: the first of each group.
    pub run: Vec<usize>,
    /// For each copy, which of those it is like.
    pub like: Vec<usize>,
}

impl Alike {
    /// Every copy is its own.
    pub fn none(images: usize, copies: usize) -> Self {
        let each: Vec<usize> = (0..copies).collect();
        Self { images: vec![Groups { run: each.clone(), like: each }; images] }
    }

    /// Copies of an image whose labels are the same numbers are alike. A label that is not finite is like no other.
    ///
    /// The labels are read from the device: the only numbers that a method needs before its maps are done, as nothing else tells
    /// how many passes there are.
    ///
    /// # Shapes
    /// - labels: `[batch, copies, numbers of a label]`
    ///
    /// # Errors
    /// [`Error::Device`] when they cannot be read.
    pub fn labelled(labels: Tensor<3>) -> Result<Self, Error> {
        now(Self::labelled_async(labels))
    }

    /// As [`labelled`](Self::labelled), without blocking.
    ///
    /// # Errors
    /// As [`labelled`](Self::labelled).
    pub async fn labelled_async(labels: Tensor<3>) -> Result<Self, Error> {
        let [_, copies, length] = labels.dims();
        let labels = read::numbers(labels).await?;
        let images = labels.chunks_exact((copies * length).max(1));
        Ok(Self { images: images.map(|labels| Groups::of(labels.chunks_exact(length.max(1)))).collect() })
    }

    /// How many copies of each image there are.
    pub fn copies(&self) -> usize {
        self.images.first().map_or(0, |image| image.like.len())
    }

    pub(crate) fn image(&self, image: usize) -> &Groups {
        &self.images[image]
    }

    /// How many copies of all images are run.
    pub(crate) fn runs(&self) -> usize {
        self.images.iter().map(|image| image.run.len()).sum()
    }
}

impl Groups {
    fn of<'a>(labels: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut groups = Self::default();
        let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
        for (copy, label) in labels.enumerate() {
            let next = groups.run.len();
            let place = match label.iter().all(|x| x.is_finite()) {
                // Adding zero makes one of its two signs.
                true => *seen.entry(label.iter().map(|x| (x + 0.0).to_bits()).collect()).or_insert(next),
                false => next,
            };
            if place == next {
                groups.run.push(copy);
            }
            groups.like.push(place);
        }
        groups
    }

    /// Whether every copy is its own.
    pub fn all_run(&self) -> bool {
        self.run.len() == self.like.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn of_copies_with_one_label_the_first_is_run() {
        let labels = [
            [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [-0.0, 0.0]],
            [[f32::NAN, 0.0], [f32::NAN, 0.0], [3.0, 1.0], [3.0, 2.0]],
        ];
        let alike = Alike::labelled(Tensor::from_floats(labels, &Device::flex())).unwrap();
        assert_eq!(*alike.image(0), Groups { run: vec![0, 1], like: vec![0, 1, 0, 1] });
        assert_eq!(*alike.image(1), Groups { run: vec![0, 1, 2, 3], like: vec![0, 1, 2, 3] });
        assert_eq!((alike.copies(), alike.runs()), (4, 6));
    }

    #[test]
    fn where_nothing_is_alike_every_copy_is_run() {
        let alike = Alike::none(2, 3);
        assert!(alike.image(1).all_run() && alike.runs() == 6);
    }
}
