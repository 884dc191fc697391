//! Changed copies of an image that are identical: one of them is run for all.
//!
//! After a ReLU a channel can be zero everywhere, or positive at one position only. Ablating the
//! first changes nothing, and as masks all channels with the same single position are one mask. So a method gives each copy a key, and
//! of the copies with the same key the network runs the first.

use super::read::{self, block_on};
use super::upload;
use crate::Error;
use burn::Tensor;
use burn::tensor::{Device, Int};
use std::collections::HashMap;

/// Which of the changed copies of each image are identical, and so have one score.
#[derive(Debug, Clone)]
pub struct UniqueCopies {
    images: Vec<Groups>,
    /// The groups on the device, if some copies are identical.
    on_device: Option<Vec<DeviceGroups>>,
}

/// [`Groups`] on the device.
#[derive(Debug, Clone)]
struct DeviceGroups {
    unique: Tensor<1, Int>,
    group_of: Tensor<1, Int>,
}

/// Copies of one image that are run together.
#[derive(Debug, Clone)]
pub struct Chunk<'a> {
    image: usize,
    indices: &'a [usize],
    tensor: Tensor<1, Int>,
    /// Whether the indices follow each other.
    is_range: bool,
}

impl Chunk<'_> {
    /// Returns the index of the image in the batch.
    pub fn image(&self) -> usize {
        self.image
    }

    /// Returns which of the image's copies they are.
    pub fn indices(&self) -> &[usize] {
        self.indices
    }

    /// Returns the same on the device, to select by or to compare with: `[copies]`.
    pub fn indices_tensor(&self) -> Tensor<1, Int> {
        self.tensor.clone()
    }

    /// Selects the rows of these copies from rows for all copies of the image.
    pub(crate) fn select(&self, rows: Tensor<2>) -> Tensor<2> {
        match self.is_range {
            true => rows.narrow(0, self.indices[0], self.indices.len()),
            false => rows.select(0, self.indices_tensor()),
        }
    }
}

/// The copies of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// The copies that are run: the first of each group.
    pub unique: Vec<usize>,
    /// For each copy, the index of its group.
    pub group_of: Vec<usize>,
}

impl UniqueCopies {
    /// Treats every copy as different from all others.
    pub fn none(images: usize, copies: usize) -> Self {
        let each: Vec<usize> = (0..copies).collect();
        Self { images: vec![Groups { unique: each.clone(), group_of: each }; images], on_device: None }
    }

    /// Treats the copies of an image with the same key as identical. A key that is not finite is different from all others.
    ///
    /// The keys are read from the device: the only numbers that a method needs before its maps are done, because nothing else
    /// determines the number of passes.
    ///
    /// # Shapes
    /// - keys: `[batch, copies, numbers of a key]`
    ///
    /// # Errors
    /// [`Error::Device`] if they cannot be read.
    pub fn from_keys(keys: Tensor<3>) -> Result<Self, Error> {
        block_on(Self::from_keys_async(keys))
    }

    /// Like [`from_keys`](Self::from_keys), without blocking.
    ///
    /// # Errors
    /// Those of [`from_keys`](Self::from_keys).
    pub async fn from_keys_async(keys: Tensor<3>) -> Result<Self, Error> {
        let ([_, copies, length], device) = (keys.dims(), keys.device());
        let keys = read::read_floats(keys).await?;
        let images = keys.chunks_exact((copies * length).max(1));
        let images: Vec<_> = images.map(|keys| Groups::from_keys(keys.chunks_exact(length.max(1)))).collect();
        let on_device = (!images.iter().all(Groups::all_unique)).then(|| upload_groups(&images, &device));
        Ok(Self { images, on_device })
    }

    /// Returns how many copies of each image there are.
    pub fn copies(&self) -> usize {
        self.images.first().map_or(0, |image| image.group_of.len())
    }

    /// Returns the copies of an image that are run, at most `size` at once; chunks have one size, as far as that divides.
    pub(crate) fn chunks(
        &self,
        image: usize,
        size: usize,
        device: &Device,
    ) -> impl Iterator<Item = Chunk<'_>> {
        let unique = &self.images[image].unique;
        let on_device = self.on_device.as_ref().map(|images| &images[image].unique);
        let size = unique.len().div_ceil(unique.len().div_ceil(size).max(1)).max(1);
        unique.chunks(size).enumerate().map(move |(chunk, indices)| Chunk {
            image,
            indices,
            tensor: match on_device {
                Some(unique) => unique.clone().narrow(0, chunk * size, indices.len()),
                None => Tensor::arange(indices[0] as i64..(indices[0] + indices.len()) as i64, device),
            },
            is_range: indices[indices.len() - 1] - indices[0] + 1 == indices.len(),
        })
    }

    /// Spreads the values of the copies of an image that were run over all of its copies.
    pub(crate) fn to_each_copy(&self, image: usize, values: Tensor<1>) -> Tensor<1> {
        match &self.on_device {
            Some(images) => values.select(0, images[image].group_of.clone()),
            None => values,
        }
    }

    /// Returns how many copies of all images are run.
    pub(crate) fn runs(&self) -> usize {
        self.images.iter().map(|image| image.unique.len()).sum()
    }
}

/// Uploads the groups of all images at once.
fn upload_groups(images: &[Groups], device: &Device) -> Vec<DeviceGroups> {
    let indices: Vec<usize> =
        images.iter().flat_map(|image| [&image.unique, &image.group_of]).flatten().copied().collect();
    let (indices, mut start) = (upload::indices(&indices, device), 0);
    let mut next = |length| {
        start += length;
        indices.clone().narrow(0, start - length, length)
    };
    let groups = images
        .iter()
        .map(|image| DeviceGroups { unique: next(image.unique.len()), group_of: next(image.group_of.len()) });
    groups.collect()
}

impl Groups {
    fn from_keys<'a>(keys: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut groups = Self::default();
        let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
        for (copy, key) in keys.enumerate() {
            let next = groups.unique.len();
            let group = match key.iter().all(|x| x.is_finite()) {
                // Adding zero gives both zeros the same sign.
                true => *known.entry(key.iter().map(|x| (x + 0.0).to_bits()).collect()).or_insert(next),
                false => next,
            };
            if group == next {
                groups.unique.push(copy);
            }
            groups.group_of.push(group);
        }
        groups
    }

    /// Whether no two copies are identical.
    pub fn all_unique(&self) -> bool {
        self.unique.len() == self.group_of.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn of_copies_with_the_same_key_the_first_is_run() {
        let keys = [
            [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [-0.0, 0.0]],
            [[f32::NAN, 0.0], [f32::NAN, 0.0], [3.0, 1.0], [3.0, 2.0]],
        ];
        let unique = UniqueCopies::from_keys(Tensor::from_floats(keys, &Device::flex())).unwrap();
        assert_eq!(unique.images[0], Groups { unique: vec![0, 1], group_of: vec![0, 1, 0, 1] });
        assert_eq!(unique.images[1], Groups { unique: vec![0, 1, 2, 3], group_of: vec![0, 1, 2, 3] });
        assert_eq!((unique.copies(), unique.runs()), (4, 6));
    }

    #[test]
    fn without_keys_every_copy_is_run() {
        let unique = UniqueCopies::none(2, 3);
        assert!(unique.images[1].all_unique() && unique.runs() == 6);
    }

    #[test]
    fn chunks_have_one_size_and_their_indices_are_on_the_device() {
        let device = Device::flex();
        let ints = |tensor: Tensor<1, Int>| {
            tensor.to_data().iter::<i64>().map(|place| place as usize).collect::<Vec<_>>()
        };
        let keys = Tensor::<1>::from_floats([5., 6., 5., 7., 8., 9., 6.], &device).reshape([1, 7, 1]);
        for (unique, expected) in [
            (UniqueCopies::from_keys(keys).unwrap(), vec![vec![0, 1, 3], vec![4, 5]]),
            (UniqueCopies::none(1, 7), vec![vec![0, 1, 2, 3], vec![4, 5, 6]]),
        ] {
            let rows = Tensor::<1>::from_floats([0., 1., 2., 3., 4., 5., 6.], &device).reshape([7, 1]);
            let chunks: Vec<Chunk<'_>> = unique.chunks(0, 4, &device).collect();
            for (chunk, numbers) in chunks.iter().zip(&expected) {
                assert_eq!((chunk.indices(), &ints(chunk.indices_tensor())), (&numbers[..], numbers));
                assert_eq!(ints(chunk.select(rows.clone()).reshape([-1]).int()), *numbers);
            }
            assert_eq!(chunks.len(), expected.len());
        }
    }

    #[test]
    fn each_copy_gets_the_value_of_the_copy_that_was_run_for_it() {
        let device = Device::flex();
        let keys = Tensor::from_floats([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [4.0]]], &device);
        let unique = UniqueCopies::from_keys(keys).unwrap();
        let each: Vec<f32> =
            unique.to_each_copy(1, Tensor::from_floats([0.5, 0.7], &device)).to_data().try_to_vec().unwrap();
        assert_eq!(each, [0.5, 0.7, 0.5]);
    }
}
