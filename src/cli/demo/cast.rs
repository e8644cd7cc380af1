//! With which orders the story is played.

use std::path::Path;

use paidan::evaluation::{Rows, WorkOrder};
use paidan::routing::Router;
use paidan::text::AppealFields;

use crate::cli::{Failure, code};

/// Most orders of a file that are looked through: enough for a story, and read in seconds.
const MOST: usize = 2_000;
/// Appeals in one pass.
const AT_ONCE: usize = 32;

/// An order that comes back, and a later one like it.
pub struct Cast {
    /// The order that is disputed.
    pub first: AppealFields,
    /// The later one.
    pub second: AppealFields,
    /// Who was asked first, as it really was; `None`: whom the answer names.
    pub asked: Option<String>,
    /// Who is found responsible, by id; `None`: the second unit that returned it.
    pub responsible: Option<String>,
    /// Words of the standing ruling.
    pub required_words: Vec<String>,
    /// What the order is, in a few words for the ruling.
    pub matter: String,
}

/// Invented by us; nobody's words.
pub fn invented() -> Cast {
    let order = |id: &str, text: &str| AppealFields {
        id: id.to_owned(),
        text: text.to_owned(),
        appeal_type: "投诉类".to_owned(),
        district: "龙华区".to_owned(),
        channel: "电话".to_owned(),
        ..AppealFields::default()
    };
    Cast {
        first: order(
            "DEMO-0001",
            "楼下新开的烧烤店每天晚上在人行道上摆桌子烧烤，油烟直接飘进家里，味道很大，孩子一直咳嗽，希望有关部门尽快处理。",
        ),
        second: order(
            "DEMO-0002",
            "楼下新开的烧烤店每晚在人行道上摆桌子烧烤，油烟飘进家里，味道很大，老人孩子都咳嗽，希望有关部门尽快处理。",
        ),
        asked: None,
        responsible: None,
        required_words: vec!["烧烤".to_owned(), "油烟".to_owned()],
        matter: "沿街烧烤店占道经营并排放油烟".to_owned(),
    }
}

/// A re-dispatched order of a file, and another order that its final department handled and that is as like it as a standing
/// ruling demands.
pub fn of_orders(file: &Path, router: &Router) -> Result<Cast, Failure> {
    let none = |what: &str| Failure::said(code::DATA, format!("{}: {what}", file.display()));
    let least = router.likeness().unworded.as_ref().ok_or_else(|| none("this model lets no standing ruling apply"))?.similarity;
    let orders = read(file)?;
    let texts: Vec<&str> = orders.iter().map(|order| order.appeal.fields().text.as_str()).collect();
    let mut embeddings: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
    for batch in texts.chunks(AT_ONCE) {
        embeddings.extend(router.embed(batch)?);
    }
    let cosine = |a: usize, b: usize| embeddings[a].iter().zip(&embeddings[b]).map(|(x, y)| x * y).sum::<f32>();
    let mut best: Option<(f32, usize, usize)> = None;
    let returned = |order: &WorkOrder| order.rerouted == Some(true) && asked(order).is_some();
    for first in (0..orders.len()).filter(|i| returned(&orders[*i])) {
        let like = (0..orders.len()).filter(|i| *i != first && orders[*i].department == orders[first].department);
        for second in like {
            let similarity = cosine(first, second);
            // Not the same text twice: that would be no news.
            if (least..0.995).contains(&similarity) && best.is_none_or(|(before, ..)| similarity > before) {
                best = Some((similarity, first, second));
            }
        }
    }
    let (_, first, second) = best.ok_or_else(|| none("no re-dispatched order in it has another like it"))?;
    let fields = |order: &WorkOrder| AppealFields { id: order.order_id.clone(), ..order.appeal.fields().clone() };
    let category = &orders[first].appeal.fields().category;
    Ok(Cast {
        first: fields(&orders[first]),
        second: fields(&orders[second]),
        asked: asked(&orders[first]),
        responsible: orders[first].department.clone(),
        required_words: Vec::new(),
        matter: if category.is_empty() { "类似诉求".to_owned() } else { category.join("/") },
    })
}

/// Who was asked first, if it was one department and not the one that handled it.
fn asked(order: &WorkOrder) -> Option<String> {
    match &order.instructed[..] {
        [one] if order.department.as_ref() != Some(one) => Some(one.clone()),
        _ => None,
    }
}

fn read(file: &Path) -> Result<Vec<WorkOrder>, Failure> {
    let reader = std::fs::File::open(file).map_err(|error| Failure::file(file, error))?;
    let mut orders = Vec::new();
    for row in Rows::new(std::io::BufReader::new(reader)) {
        let row = row.map_err(|error| Failure::file(file, error))?;
        // A row that cannot be read plays no part; `paidan replay` and the trainer name them.
        orders.extend(row.bytes.and_then(|bytes| WorkOrder::parse(&bytes).ok()));
        if orders.len() == MOST {
            break;
        }
    }
    Ok(orders)
}
