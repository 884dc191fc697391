//! Changed copies of an image that are alike: one of them is run for all.
//!
//! Behind a ReLU channels can be zero everywhere, and others are seen at one place only. Ablating the
//! first changes nothing, and as masks all that light up the same place are one mask. So a method labels its copies, and of
//! those with one label the network sees the first.

use crate::read::{self, now};
use crate::{Error, send};
use burn::Tensor;
use burn::tensor::{Device, Int};
use std::collections::HashMap;

/// Which of the changed copies of each image are alike, and so have one score.
#[derive(Debug, Clone)]
pub struct Alike {
    images: Vec<Groups>,
    /// The groups on the device, where some copies are alike.
    sent: Option<Vec<Sent>>,
}

/// [`Groups`] on the device.
#[derive(Debug, Clone)]
struct Sent {
    run: Tensor<1, Int>,
    like: Tensor<1, Int>,
}

/// Copies of one image that are run together.
#[derive(Debug, Clone)]
pub struct Chunk<'a> {
    numbers: &'a [usize],
    places: Tensor<1, Int>,
    /// Whether they follow each other.
    is_range: bool,
}

impl Chunk<'_> {
    /// Which of the image's copies they are.
    pub fn numbers(&self) -> &[usize] {
        self.numbers
    }

    /// The same on the device, to select by or to compare with: `[copies]`.
    pub fn places(&self) -> Tensor<1, Int> {
        self.places.clone()
    }

    /// The rows of these copies, of a row for each copy of the image.
    pub(crate) fn of(&self, rows: Tensor<2>) -> Tensor<2> {
        match self.is_range {
            true => rows.narrow(0, self.numbers[0], self.numbers.len()),
            false => rows.select(0, self.places()),
        }
    }
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
        Self { images: vec![Groups { run: each.clone(), like: each }; images], sent: None }
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
    pub fn labeled(labels: Tensor<3>) -> Result<Self, Error> {
        now(Self::labeled_async(labels))
    }

    /// As [`labeled`](Self::labeled), without blocking.
    ///
    /// # Errors
    /// As [`labeled`](Self::labeled).
    pub async fn labeled_async(labels: Tensor<3>) -> Result<Self, Error> {
        let ([_, copies, length], device) = (labels.dims(), labels.device());
        let labels = read::numbers(labels).await?;
        let images = labels.chunks_exact((copies * length).max(1));
        let images: Vec<_> = images.map(|labels| Groups::of(labels.chunks_exact(length.max(1)))).collect();
        let sent = (!images.iter().all(Groups::all_run)).then(|| sent(&images, &device));
        Ok(Self { images, sent })
    }

    /// How many copies of each image there are.
    pub fn copies(&self) -> usize {
        self.images.first().map_or(0, |image| image.like.len())
    }

    /// The copies of an image that are run, so many at once at most; chunks are of one size, as far as they divide.
    pub(crate) fn chunks(
        &self,
        image: usize,
        at_once: usize,
        device: &Device,
    ) -> impl Iterator<Item = Chunk<'_>> {
        let (run, sent) = (&self.images[image].run, self.sent.as_ref().map(|sent| &sent[image].run));
        let size = run.len().div_ceil(run.len().div_ceil(at_once).max(1)).max(1);
        run.chunks(size).enumerate().map(move |(chunk, numbers)| Chunk {
            numbers,
            places: match sent {
                Some(run) => run.clone().narrow(0, chunk * size, numbers.len()),
                None => Tensor::arange(numbers[0] as i64..(numbers[0] + numbers.len()) as i64, device),
            },
            is_range: numbers[numbers.len() - 1] - numbers[0] + 1 == numbers.len(),
        })
    }

    /// What was found of the copies of an image that were run, for every copy.
    pub(crate) fn to_each(&self, image: usize, found: Tensor<1>) -> Tensor<1> {
        match &self.sent {
            Some(sent) => found.select(0, sent[image].like.clone()),
            None => found,
        }
    }

    /// How many copies of all images are run.
    pub(crate) fn runs(&self) -> usize {
        self.images.iter().map(|image| image.run.len()).sum()
    }
}

/// The groups of all images in one upload.
fn sent(images: &[Groups], device: &Device) -> Vec<Sent> {
    let numbers: Vec<usize> =
        images.iter().flat_map(|image| [&image.run, &image.like]).flatten().copied().collect();
    let (numbers, mut start) = (send::places(&numbers, device), 0);
    let mut next = |length| {
        start += length;
        numbers.clone().narrow(0, start - length, length)
    };
    images.iter().map(|image| Sent { run: next(image.run.len()), like: next(image.like.len()) }).collect()
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
        let alike = Alike::labeled(Tensor::from_floats(labels, &Device::flex())).unwrap();
        assert_eq!(alike.images[0], Groups { run: vec![0, 1], like: vec![0, 1, 0, 1] });
        assert_eq!(alike.images[1], Groups { run: vec![0, 1, 2, 3], like: vec![0, 1, 2, 3] });
        assert_eq!((alike.copies(), alike.runs()), (4, 6));
    }

    #[test]
    fn where_nothing_is_alike_every_copy_is_run() {
        let alike = Alike::none(2, 3);
        assert!(alike.images[1].all_run() && alike.runs() == 6);
    }

    #[test]
    fn chunks_are_of_one_size_and_know_their_copies_on_the_device() {
        let device = Device::flex();
        let ints = |tensor: Tensor<1, Int>| {
            tensor.to_data().iter::<i64>().map(|place| place as usize).collect::<Vec<_>>()
        };
        let labels = Tensor::<1>::from_floats([5., 6., 5., 7., 8., 9., 6.], &device).reshape([1, 7, 1]);
        for (alike, expected) in [
            (Alike::labeled(labels).unwrap(), vec![vec![0, 1, 3], vec![4, 5]]),
            (Alike::none(1, 7), vec![vec![0, 1, 2, 3], vec![4, 5, 6]]),
        ] {
            let rows = Tensor::<1>::from_floats([0., 1., 2., 3., 4., 5., 6.], &device).reshape([7, 1]);
            let chunks: Vec<Chunk<'_>> = alike.chunks(0, 4, &device).collect();
            for (chunk, numbers) in chunks.iter().zip(&expected) {
                assert_eq!((chunk.numbers(), &ints(chunk.places())), (&numbers[..], numbers));
                assert_eq!(ints(chunk.of(rows.clone()).reshape([-1]).int()), *numbers);
            }
            assert_eq!(chunks.len(), expected.len());
        }
    }

    #[test]
    fn each_copy_gets_what_was_found_of_the_one_it_is_like() {
        let device = Device::flex();
        let labels = Tensor::from_floats([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [4.0]]], &device);
        let alike = Alike::labeled(labels).unwrap();
        let each: Vec<f32> =
            alike.to_each(1, Tensor::from_floats([0.5, 0.7], &device)).to_data().try_to_vec().unwrap();
        assert_eq!(each, [0.5, 0.7, 0.5]);
    }
}
