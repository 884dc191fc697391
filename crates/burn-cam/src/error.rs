//! What can go wrong.

/// Why an image could not be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the layers, the methods, the targets or the device.
    #[error(transparent)]
    Core(#[from] cam_core::Error),
    /// An error of recording a module.
    #[error(transparent)]
    Graph(#[from] cam_graph::Error),
    /// An error of an image, or of the name of a class.
    #[error(transparent)]
    Image(#[from] cam_image::Error),
    /// An error of weights, of a model card, or of the name of a model.
    #[cfg(feature = "zoo")]
    #[error(transparent)]
    Models(cam_models::Error),
    /// An error of metrics.
    #[cfg(feature = "metrics")]
    #[error(transparent)]
    Metrics(cam_metrics::Error),
    /// An error of the image that is drawn.
    #[error(transparent)]
    Viz(#[from] cam_viz::Error),
    /// An error of an ONNX file.
    #[cfg(feature = "onnx")]
    #[error("cannot open the model {}", about(.path, .source))]
    Onnx {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: cam_onnx::Error,
    },
    /// A model that nothing opens.
    #[error("cannot open the model `{asked}`: {reason}")]
    NotOpened {
        /// Its file, or its name.
        asked: String,
        /// Why not.
        reason: String,
    },
    /// An image without pixels.
    #[error("the image{} has {width} x {height} pixels", quoted(.name))]
    EmptyImage {
        /// Its name.
        name: Option<String>,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// A prepared input of a size that the model cannot take.
    #[error("the model cannot take the input{}, which has {width} x {height} pixels: {reason}", quoted(.name))]
    InputSize {
        /// The name of the image.
        name: Option<String>,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// What the model says.
        reason: String,
    },
    /// An image of other channels than the model needs.
    #[error("the image{} has {found} channels, and the model needs {needed}: TIFF and .npy files can have them", quoted(.name))]
    Channels {
        /// The name of the image.
        name: Option<String>,
        /// The channels of the model's input.
        needed: usize,
        /// The channels of the image.
        found: usize,
    },
    /// Names of classes that are not as many as the classes of the model.
    #[error("there are {names} names of classes, and the model has {classes} classes")]
    LabelCount {
        /// The number of names.
        names: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A mask of another size than the image.
    #[error("the mask has {} x {} pixels, and the image{} {} x {}", .mask[0], .mask[1], quoted(.name), .image[0], .image[1])]
    MaskSize {
        /// The name of the image.
        name: Option<String>,
        /// Width and height of the mask.
        mask: [usize; 2],
        /// Width and height of the image.
        image: [usize; 2],
    },
    /// A mask that has the center of no cell of the output.
    #[error("the mask is empty or too small: it has the center of none of the {} x {} cells of the output", .grid[0], .grid[1])]
    EmptyMask {
        /// Rows and columns of the output.
        grid: [usize; 2],
    },
    /// Something that predictions of this kind cannot be asked.
    #[error("the decoder `{decoder}` cannot be asked for {what}")]
    NotAsked {
        /// The name of the decoder.
        decoder: &'static str,
        /// What is asked.
        what: String,
    },
    /// An embedding without another one.
    #[error(
        "an embedding says nothing by itself: it is explained by how similar it is to that of another image"
    )]
    NothingToCompare,
    /// A detector that finds nothing.
    #[error("nothing is detected in the image{}", quoted(.name))]
    NothingFound {
        /// The name of the image.
        name: Option<String>,
    },
    /// An output that is not finite.
    #[error("the output of the model{} for the image{} is NaN or infinite: a weight or a pixel is", quoted(.model), quoted(.name))]
    NonFiniteOutput {
        /// The name of the model.
        model: Option<String>,
        /// The name of the image.
        name: Option<String>,
    },
}

#[cfg(feature = "metrics")]
impl From<cam_metrics::Error> for Error {
    /// Errors of explanations are those of any explanation.
    fn from(error: cam_metrics::Error) -> Self {
        match error {
            cam_metrics::Error::Core(error) => Self::Core(error),
            error => Self::Metrics(error),
        }
    }
}

/// Returns a name for a sentence: in quotes, behind a space.
fn quoted(name: &Option<String>) -> String {
    name.as_ref().filter(|name| !name.is_empty()).map(|name| format!(" `{name}`")).unwrap_or_default()
}

/// Returns a file and what is wrong with it; an error of reading it names it already.
#[cfg(feature = "onnx")]
fn about(path: &std::path::Path, source: &cam_onnx::Error) -> String {
    match source {
        cam_onnx::Error::Io { path: named, .. } if named == path => source.to_string(),
        _ => format!("{}: {source}", path.display()),
    }
}

/// What an [`Error`] is about, for programs that react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An unknown layer, or no layer that can be explained.
    Layer,
    /// An unknown class.
    Class,
    /// An unknown method or metric, or a method that finds nothing to read in this model or layer.
    Method,
    /// An unknown score.
    Target,
    /// An unknown model, or a model without its weights.
    Model,
    /// An image that cannot be read, or of which the model cannot take the input.
    Image,
    /// An image that is too small or too large.
    ImageSize,
    /// A weight file that cannot be read.
    Weights,
    /// A weight file of another model, or of no model that is known.
    WrongWeights,
    /// NaN or infinity in weights or input.
    NonFinite,
    /// A file that cannot be written, or a drawing that is too large.
    Output,
    /// A device that fails or lacks what is asked of it.
    Device,
    /// Class names that cannot be read or do not fit.
    Labels,
    /// A model card that cannot be read, or something stated of a model that does not fit its tensors.
    Card,
    /// Weights that cannot be fetched.
    Download,
    /// Weights that are not the published ones.
    Checksum,
    /// Anything else.
    Other,
}

/// A name that is not known, and the names that are.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct UnknownName<'e> {
    /// What it should be the name of: `layer`, `method`, `model`.
    pub what: &'static str,
    /// The name.
    pub name: &'e str,
    /// The names that there are.
    pub known: &'e [String],
}

impl UnknownName<'_> {
    /// Returns what there is instead: all names if they are few, else similar ones, else the first and the last.
    pub fn choices(&self) -> String {
        cam_core::choices(self.name, self.known)
    }
}

impl Error {
    /// Returns what the error is about.
    pub fn kind(&self) -> ErrorKind {
        use cam_core::Error as Core;
        use cam_graph::Error as Graph;
        use cam_image::Error as Image;
        use cam_viz::Error as Viz;
        match self {
            #[cfg(feature = "zoo")]
            Self::Models(error) => crate::zoo::kind(error),
            #[cfg(feature = "onnx")]
            Self::Onnx { .. } => ErrorKind::Weights,
            Self::Core(Core::UnknownLayer { .. } | Core::NoLayer { .. }) => ErrorKind::Layer,
            Self::Core(Core::UnknownClass { .. })
            | Self::Image(Image::UnknownLabel { .. } | Image::AmbiguousLabel { .. }) => ErrorKind::Class,
            Self::Core(
                Core::UnknownMethod { .. }
                | Core::Undeclared { .. }
                | Core::WrongEvidence { .. }
                | Core::NotLinear { .. }
                | Core::NoBiases
                | Core::NoAttention
                | Core::NoRelu
                | Core::NotGuided { .. }
                | Core::NotConnected { .. },
            ) => ErrorKind::Method,
            Self::Core(Core::UnknownTarget { .. }) => ErrorKind::Target,
            Self::NotAsked { .. } | Self::NothingToCompare => ErrorKind::Target,
            Self::NotOpened { .. } => ErrorKind::Model,
            Self::Image(Image::UnreadablePhoto { .. } | Image::Channels { .. })
            | Self::InputSize { .. }
            | Self::NothingFound { .. }
            | Self::MaskSize { .. }
            | Self::EmptyMask { .. }
            | Self::Channels { .. } => ErrorKind::Image,
            Self::Image(Image::PhotoSize { .. }) | Self::EmptyImage { .. } => ErrorKind::ImageSize,
            Self::NonFiniteOutput { .. }
            | Self::Core(Core::NonFinite { .. })
            | Self::Viz(Viz::NotFinite { .. }) => ErrorKind::NonFinite,
            Self::Viz(
                Viz::Write { .. } | Viz::Encode { .. } | Viz::TooLarge { .. } | Viz::TooLong { .. },
            ) => ErrorKind::Output,
            Self::Core(Core::Device { .. })
            | Self::Graph(Graph::Precision { .. })
            | Self::Image(Image::Device { .. }) => ErrorKind::Device,
            #[cfg(feature = "metrics")]
            Self::Metrics(cam_metrics::Error::UnknownMetric { .. }) => ErrorKind::Method,
            #[cfg(feature = "metrics")]
            Self::Metrics(_) => ErrorKind::Other,
            Self::LabelCount { .. } => ErrorKind::Labels,
            Self::Core(_) | Self::Graph(_) | Self::Image(_) | Self::Viz(_) => ErrorKind::Other,
        }
    }

    /// Returns whether the error concerns one image, so that the others of a batch can be explained.
    pub fn is_of_one_image(&self) -> bool {
        use cam_core::Error as Core;
        let of_its_grid = matches!(
            self,
            Self::Core(Core::EmptyInput { .. } | Core::WrongGrid { .. } | Core::WrongLayout { .. })
        );
        let kinds = [ErrorKind::Image, ErrorKind::ImageSize, ErrorKind::NonFinite];
        of_its_grid || matches!(self, Self::Viz(_)) || kinds.contains(&self.kind())
    }

    /// Returns the name that is not known, with the names that are, when that is the error.
    pub fn unknown_name(&self) -> Option<UnknownName<'_>> {
        use cam_core::Error as Core;
        let (what, name, known) = match self {
            Self::Core(Core::UnknownLayer { asked, known }) => ("layer", asked, known),
            Self::Core(Core::UnknownMethod { asked, known }) => ("method", asked, known),
            #[cfg(feature = "metrics")]
            Self::Metrics(cam_metrics::Error::UnknownMetric { asked, known }) => ("metric", asked, known),
            #[cfg(feature = "zoo")]
            Self::Models(cam_models::Error::UnknownModel { asked, known }) => ("model", asked, known),
            _ => return None,
        };
        Some(UnknownName { what, name, known })
    }

    /// Returns why a device failed, when that is the error.
    pub fn device_failure(&self) -> Option<&str> {
        match self {
            Self::Core(cam_core::Error::Device { reason })
            | Self::Image(cam_image::Error::Device { reason }) => Some(reason),
            _ => None,
        }
    }
}
