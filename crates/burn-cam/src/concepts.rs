//! Deep feature factorization of images.

use crate::decoder::OutputParts;
use crate::explanation::heat_maps;
use crate::{Area, Error, HeatMap, ImageExplainer, ImageInput, ImageModel, Prediction};
use burn::Tensor;

/// A concept that a layer sees in an image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Concept<O = Tensor<2>> {
    /// What the rest of the network predicts for a layer that shows this concept at every position.
    pub prediction: Prediction<O>,
    /// What it predicts next.
    pub second: Option<Prediction<O>>,
    /// Where the concept is, at the resolution of the input.
    pub heatmap: HeatMap,
    /// The part of the image that the model saw.
    pub area: Area,
}

impl<M: ImageModel<O>, O: 'static> ImageExplainer<'_, M, O> {
    /// Factorizes what a layer sees in an image into a few concepts (deep feature factorization, see [`concepts`](cam_core::concepts)).
    /// Without a layer it is the default layer of the model.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn concepts(
        &self,
        image: impl Into<ImageInput>,
        layer: Option<&str>,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Concept<O>>, Error> {
        let (input, shown) = self.input(&image.into())?;
        let chosen;
        let layer = match layer.or(self.model().default_layer()) {
            Some(layer) => layer,
            None => {
                let top = self.decoder().ranked(0);
                chosen = cam_core::choose_layer(self.model(), &input, &top)?;
                &chosen
            }
        };
        let found = cam_core::concepts(self.model(), layer, input, count, seed)?;
        let heat = heat_maps(&Tensor::cat(found.heatmaps, 0))?;
        let parts = self.decoder().parts(&found.output)?;
        let shapes = parts.iter().map(Tensor::dims).collect();
        let numbers = parts.into_iter().map(|part| part.try_into_vec_as().map_err(cam_core::Error::from));
        let parts = OutputParts::new(shapes, numbers.collect::<Result<_, _>>()?);
        let concepts = heat.into_iter().enumerate().filter_map(|(place, heatmap)| {
            let mut predictions = parts.predictions(self.decoder(), place).into_iter();
            let (prediction, second) = (predictions.next()?, predictions.next());
            Some(shown.crop(heatmap).map(|heatmap| Concept { prediction, second, heatmap, area: shown.area }))
        });
        concepts.collect()
    }
}
