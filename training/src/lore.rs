//! What the training orders teach besides the weights of the encoder and its heads.

use paidan::evaluation::WorkOrder;
use paidan::model::{DepartmentWords, DisputeWords};

use crate::dataset::Labels;
use crate::examples::Example;
use crate::validate::Answers;
use crate::{department_words, dispute, words};

/// See the module.
pub struct Lore {
    /// The mean embedding of each department's orders, of length one.
    pub centres: Vec<Vec<f32>>,
    /// What the words alone say of who is responsible.
    pub department_words: DepartmentWords,
    /// Words of disputed orders; `None` if it is not known which were.
    pub words: Option<DisputeWords>,
    /// How often dispatches to each department came back.
    pub history: Vec<f32>,
}

impl Lore {
    /// Of these orders, which stand in three forms side by side: as they are, ready to learn from, and as the model answered them.
    pub fn of<'a>(
        orders: impl Iterator<Item = &'a WorkOrder> + Clone,
        examples: &[Example],
        seen: &Answers,
        labels: &Labels,
    ) -> Self {
        let known = orders.clone().zip(&seen.texts).filter_map(|(order, text)| order.rerouted.map(|known| (&text[..], known)));
        let texts = examples.iter().zip(&seen.texts);
        let of_departments = texts.filter_map(|(example, text)| example.department.map(|row| (&text[..], row)));
        Self {
            centres: centres(examples, &seen.embeddings, labels.departments.len()),
            department_words: department_words::fit(of_departments, labels.departments.len()),
            words: words::fit(known),
            history: dispute::history(orders, labels),
        }
    }

    /// Cosine to each department's centre.
    pub fn cosines(&self, embedding: &[f32]) -> Vec<f32> {
        let cosine = |centre: &Vec<f32>| centre.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
        self.centres.iter().map(cosine).collect()
    }
}

fn centres(examples: &[Example], embeddings: &[Vec<f32>], departments: usize) -> Vec<Vec<f32>> {
    let width = embeddings.first().map_or(0, Vec::len);
    let mut centres = vec![vec![0f32; width]; departments];
    for (example, embedding) in examples.iter().zip(embeddings) {
        if let Some(row) = example.department {
            for (sum, x) in centres[row].iter_mut().zip(embedding) {
                *sum += x;
            }
        }
    }
    for centre in &mut centres {
        let length = centre.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
        centre.iter_mut().for_each(|x| *x /= length);
    }
    centres
}
