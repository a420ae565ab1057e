//! How an image came to be, step by step.

use jiff::Timestamp;

use super::Image;
use crate::engine::{Engine, error::Result, reference::Reference};

/// One step in an image's making.
#[derive(Debug, Clone)]
pub struct Step {
    /// The image after it, where it is in the store: 64 hexadecimal digits.
    pub id: Option<String>,
    /// That image's names.
    pub tags: Vec<Reference>,
    /// When.
    pub created: Option<Timestamp>,
    /// By which command.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Bytes of the layer that it added; 0 where it added none.
    pub size: u64,
}

impl Engine {
    /// The steps, the last first.
    pub fn history(&self, image: &Image) -> Result<Vec<Step>> {
        let mut layers = image.config.rootfs.diff_ids.iter();
        let mut steps = Vec::new();
        for entry in &image.config.history {
            let layer = if entry.empty_layer { None } else { layers.next() };
            let size = layer.map(|layer| self.layer_info(layer)).transpose()?.flatten().map_or(0, |info| info.size);
            steps.push(Step {
                id: None,
                tags: Vec::new(),
                created: entry.created,
                created_by: entry.created_by.clone(),
                comment: entry.comment.clone(),
                size,
            });
        }
        steps.reverse();
        let names = self.names()?;
        let mut next = Some(image.id.clone());
        for step in &mut steps {
            let Some(id) = next.take().filter(|id| self.store.image(id).exists()) else { break };
            step.tags = names
                .iter()
                .filter(|(name, own)| *own == id && name.digest().is_none())
                .map(|(name, _)| name.clone())
                .collect();
            next = self.notes(&id).parent.map(|parent| parent.hex().to_owned());
            step.id = Some(id);
        }
        Ok(steps)
    }
}
