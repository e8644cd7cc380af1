//! What the training orders teach besides the weights of the encoder and its heads.

use anyhow::Result;
use candle_core::{DType, Tensor};
use half::f16;
use paidan::evaluation::WorkOrder;
use paidan::model::{DepartmentWords, DisputeWords};

use crate::dataset::Labels;
use crate::examples::Example;
use crate::history::history;
use crate::validate::Answers;
use crate::{department_words, words};

/// Centres that are liker than this are one. Departments of a model that learnt anything are far from it.
const COLLAPSED: f32 = 0.9999;

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
    /// It is at once what a model folder holds of it, so that nothing is fitted to what no service has.
    pub fn of<'a>(
        orders: impl Iterator<Item = &'a WorkOrder> + Clone,
        examples: &[Example],
        seen: &Answers,
        labels: &Labels,
    ) -> Result<Self> {
        let known = orders.clone().zip(&seen.texts).filter_map(|(order, text)| order.rerouted.map(|known| (&text[..], known)));
        let texts = examples.iter().zip(&seen.texts);
        let of_departments = texts.filter_map(|(example, text)| example.department.map(|row| (&text[..], row)));
        let mut centres = centres(examples, &seen.embeddings, labels.departments.len());
        centres.iter_mut().flatten().for_each(|x| *x = f16::from_f32(*x).to_f32());
        let department_words = department_words::fit(of_departments, labels.departments.len());
        let words = words::fit(known).map(|words| DisputeWords::from_tensor(&as_stored(&words.to_tensor()?)?)).transpose()?;
        Ok(Self {
            centres,
            department_words: DepartmentWords::from_tensor(&as_stored(&department_words.to_tensor()?)?)?,
            words,
            history: history(orders, labels),
        })
    }

    /// Cosine to each department's centre. Both are of length one but for rounding, which may not make them more than alike.
    pub fn cosines(&self, embedding: &[f32]) -> Vec<f32> {
        let cosine = |centre: &Vec<f32>| centre.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0);
        self.centres.iter().map(cosine).collect()
    }

    /// True if all departments have one centre: a training that collapsed.
    pub fn is_collapsed(&self) -> bool {
        self.centres.first().is_some_and(|first| self.cosines(first).iter().all(|cosine| *cosine > COLLAPSED))
    }
}

/// A tensor as it comes back from a model folder.
fn as_stored(tensor: &Tensor) -> candle_core::Result<Tensor> {
    tensor.to_dtype(DType::F16)?.to_dtype(DType::F32)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lore(centres: Vec<Vec<f32>>) -> Lore {
        let department_words = DepartmentWords::new(&[vec![0.0; 2], vec![0.0; 2]], vec![0.0; 2], &[1.0; 2]);
        Lore { centres, department_words, words: None, history: Vec::new() }
    }

    #[test]
    fn nothing_is_more_than_alike_and_centres_that_are_one_are_seen() {
        let third = vec![0.577_350_4f32; 3];
        assert!(third.iter().map(|x| x * x).sum::<f32>() > 1.0, "longer than one by a rounding");
        let collapsed = lore(vec![third.clone(), third.clone()]);
        assert_eq!(collapsed.cosines(&third), [1.0, 1.0]);
        assert_eq!(collapsed.cosines(&[-0.577_350_4; 3]), [-1.0, -1.0]);
        assert!(collapsed.is_collapsed());
        assert!(!lore(vec![third, vec![1.0, 0.0, 0.0]]).is_collapsed());
    }

    #[test]
    fn what_is_fitted_to_is_what_a_model_folder_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.jsonl");
        let row = |i: usize| {
            let department = ["城管", "交警"][i % 2];
            serde_json::json!({"order_id": i, "appeal": "路灯坏了", "department": department, "rerouted": i < 2}).to_string()
        };
        std::fs::write(&path, (0..6).map(row).collect::<Vec<_>>().join("\n")).expect("written");
        let orders = crate::dataset::Orders::read(&path).expect("orders");
        let labels = Labels::collect(&orders).expect("labels");
        let examples: Vec<Example> = orders.orders.iter().map(|order| Example::new(order, &labels)).collect();
        let seen = Answers {
            department_logits: Vec::new(),
            dispute_logits: Vec::new(),
            embeddings: (0..6).map(|i| vec![0.1 + i as f32, 0.7, 0.3]).collect(),
            texts: (0..6).map(|i| vec![5, 7 + i, 9 + i % 2]).collect(),
            margins: Vec::new(),
        };
        let lore = Lore::of(orders.orders.iter(), &examples, &seen, &labels).expect("lore");
        assert!(lore.centres.iter().flatten().all(|x| f16::from_f32(*x).to_f32() == *x), "{:?}", lore.centres);
        let words = lore.words.expect("two were disputed");
        for tensor in [lore.department_words.to_tensor().expect("a tensor"), words.to_tensor().expect("a tensor")] {
            let values = |tensor: &Tensor| tensor.flatten_all().and_then(|all| all.to_vec1::<f32>()).expect("values");
            assert_eq!(values(&tensor), values(&as_stored(&tensor).expect("a tensor")));
            assert!(values(&tensor).iter().any(|x| *x != 0.0));
        }
    }
}
