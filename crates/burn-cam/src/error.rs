//! What can go wrong.

/// Why a photo could not be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of the network, its layers, the method or the target.
    #[error(transparent)]
    Core(#[from] cam_core::Error),
    /// Of a module that is recorded.
    #[error(transparent)]
    Graph(#[from] cam_graph::Error),
    /// Of the photo's file, the weights or the name of a class.
    #[error(transparent)]
    Models(#[from] cam_models::Error),
    /// Of the picture that is drawn.
    #[error(transparent)]
    Viz(#[from] cam_viz::Error),
    /// A photo without pixels.
    #[error("the photo{} has {width} x {height} pixels", .name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default())]
    EmptyPhoto {
        /// What it is called.
        name: Option<String>,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
}
