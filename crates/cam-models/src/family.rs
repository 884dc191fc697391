//! What a family of networks is: the two traits that the file of a network implements, in this crate or in any other.

use crate::erased::AnyArchitecture;
use crate::{ArchitectureOptions, Error, ModelCard};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::fmt;

/// Returns the shape of the tensor of this name in a weight file, in PyTorch's order of axes; `None` if the file has no such tensor.
pub type TensorShapes<'a> = dyn Fn(&str) -> Option<Vec<usize>> + 'a;

/// The configuration of a network: its sizes, and how to build an ordinary Burn module from them.
///
/// [`Family`] has an example.
pub trait Architecture: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The module.
    type Network: Module + Sync + 'static;

    /// Builds the network with random weights, ready to be trained or loaded.
    fn build(&self, device: &Device) -> Self::Network;

    /// Returns the logits of images.
    ///
    /// # Shapes
    /// - images: `[batch, 3, height, width]`
    /// - output: `[batch, classes]`
    fn forward(network: &Self::Network, images: Tensor<4>) -> Tensor<2>;

    /// Returns the channels of the images that the network reads.
    fn channels(&self) -> usize {
        3
    }

    /// Returns the number of classes.
    fn classes(&self) -> usize;

    /// Returns the same network for another number of classes; for none, the built-in ones return what their last layer reads.
    fn with_classes(self, classes: usize) -> Self;

    /// Returns the name and the shape that the network has for a tensor of a weight file, or `None` for a tensor that inference does not
    /// need.
    ///
    /// The parameters of a network have the names of its first publisher. Other files name or shape some of them differently (timm's
    /// VGG has convolutions for linear layers): the numbers are the same, in the same order. A name that the family does not know is
    /// returned unchanged, which is all that the default does.
    ///
    /// # Shapes
    /// - shape, output: in PyTorch's order of axes
    fn remap_key(&self, name: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        Some((name.into(), shape.to_vec()))
    }

    /// Returns the height and width in pixels of the images that a network of these sizes is made for, if its tensors say something of
    /// them.
    fn image_size(&self) -> Option<[usize; 2]> {
        None
    }

    /// Returns the same network, made for images of another size. By default a network is the same for all sizes.
    ///
    /// # Errors
    /// Why its tensors do not fit such images.
    fn with_image_size(self, _size: [usize; 2]) -> Result<Self, String> {
        Ok(self)
    }

    /// Returns the same network with one of its several heads alone, the one whose tensors have this name. By default it has one head, and
    /// stays as it is.
    fn with_classifier(self, _name: &str) -> Self {
        self
    }

    /// Returns what its tensors do not show of it, and what it has. By default there is nothing.
    fn options(&self) -> ArchitectureOptions {
        ArchitectureOptions::default()
    }

    /// Returns the same network with other options; those that are `None` stay. It is only called with options that
    /// [`options`](Self::options) has.
    ///
    /// # Errors
    /// Why it cannot have them.
    fn with_options(self, _options: &ArchitectureOptions) -> Result<Self, String> {
        Ok(self)
    }
}

/// A family of networks: its published variants with their model cards, and how to detect its networks in a weight file.
///
/// A family of your own becomes known by [`Registry::with`](crate::Registry::with):
///
/// ```
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{Linear, LinearConfig};
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use cam_models::{AnyArchitecture, Architecture, Error, Family, ModelCard, Registry, TensorShapes};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     conv: Conv2d,
///     fc: Linear,
/// }
///
/// #[derive(Debug, Clone, PartialEq)]
/// struct NetConfig {
///     width: usize,
///     classes: usize,
/// }
///
/// impl Architecture for NetConfig {
///     type Network = Net;
///
///     fn build(&self, device: &Device) -> Net {
///         Net {
///             conv: Conv2dConfig::new([3, self.width], [3, 3]).init(device),
///             fc: LinearConfig::new(self.width, self.classes).init(device),
///         }
///     }
///
///     fn forward(net: &Net, images: Tensor<4>) -> Tensor<2> {
///         net.fc.forward(relu(net.conv.forward(images)).mean_dims(&[2, 3]).flatten(1, 3))
///     }
///
///     fn classes(&self) -> usize {
///         self.classes
///     }
///
///     fn with_classes(self, classes: usize) -> Self {
///         Self { classes, ..self }
///     }
/// }
///
/// struct Nets;
///
/// impl Family for Nets {
///     fn name(&self) -> &'static str {
///         "Net"
///     }
///
///     fn variants(&self) -> Vec<(&'static str, AnyArchitecture)> {
///         vec![("net8", NetConfig { width: 8, classes: 5 }.into())]
///     }
///
///     fn cards(&self) -> Result<Vec<ModelCard>, Error> {
///         Ok(vec![ModelCard::new("net8", [32, 32], "relu")])
///     }
///
///     fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture> {
///         let (width, classes) = (*shapes("conv.weight")?.first()?, *shapes("fc.weight")?.first()?);
///         Some(NetConfig { width, classes }.into())
///     }
/// }
///
/// let registry = Registry::default().with(Nets)?;
/// let model = registry.untrained("net8", &Device::flex())?;
/// assert_eq!(model.labels().len(), 5);
/// # Ok::<(), cam_models::Error>(())
/// ```
pub trait Family: Send + Sync {
    /// Returns what networks of this kind are called, for messages: `ResNet`.
    fn name(&self) -> &'static str;

    /// Returns the published variants by name. See [`AnyArchitecture::table`] for a list of one type.
    fn variants(&self) -> Vec<(&'static str, AnyArchitecture)>;

    /// Returns the model card of each variant.
    ///
    /// # Errors
    /// Those of [`ModelCard::list`].
    fn cards(&self) -> Result<Vec<ModelCard>, Error>;

    /// Returns the network that the tensors of a weight file belong to: its sizes and number of classes, whether or not they are
    /// published ones. `None` if no network of this family has such tensors.
    ///
    /// Only the tensors that determine the sizes need to be looked at: loading compares all of them. Every shape has sides of 1 to 2^17.
    fn detect(&self, shapes: &TensorShapes<'_>) -> Option<AnyArchitecture>;

    /// Returns parts of names of files and repositories that tell of options: `("resnetblur", "antialias = 'blur'")`, the options as the
    /// table `[architecture]` of a model card.
    fn naming(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Returns the weights of a variant that are part of the program, as the bytes of a safetensors or burnpack file.
    fn embedded_weights(&self, _variant: &str) -> Option<&'static [u8]> {
        None
    }
}
