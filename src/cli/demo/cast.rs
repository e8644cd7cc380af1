//! With which orders the story is played.

use std::path::Path;

use paidan::evaluation::{Rows, WorkOrder};
use paidan::routing::Router;
use paidan::text::AppealFields;

use crate::cli::{Failure, code, orders};

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
    let read = read(file)?;
    let orders = &read.orders;
    if orders.is_empty() {
        return Err(none(&read.without_a_story(file)));
    }
    let least = router.likeness().unworded.as_ref().ok_or_else(|| none("this model lets no standing ruling apply"))?.similarity;
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
    let (_, first, second) = best.ok_or_else(|| none(&read.without_a_story(file)))?;
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

/// What a file gave.
#[derive(Default)]
struct Read {
    orders: Vec<WorkOrder>,
    /// Rows that could not be read, and those of them that are not UTF-8. They play no part; `paidan replay` and the trainer name
    /// each, here they are told where there is no story.
    bad: u64,
    not_utf8: u64,
}

impl Read {
    fn without_a_story(&self, file: &Path) -> String {
        let mut words = match (self.orders.len(), self.bad) {
            (0, 0) => "there is no order in it".to_owned(),
            (0, bad) => format!("none of its {bad} rows is an order that can be read"),
            (_, 0) => "no re-dispatched order in it has another like it".to_owned(),
            (_, bad) => format!("no re-dispatched order in it has another like it; {bad} rows cannot be read"),
        };
        if self.not_utf8 > 0 {
            words.push_str(&format!("; {}", orders::not_utf8(self.not_utf8, file)));
        }
        words
    }
}

fn read(file: &Path) -> Result<Read, Failure> {
    let reader = orders::open(file)?;
    let mut read = Read::default();
    for row in Rows::new(std::io::BufReader::new(reader)) {
        let row = row.map_err(|error| Failure::file(file, error))?;
        match row.bytes.map(|bytes| WorkOrder::parse(&bytes)) {
            Some(Ok(order)) => read.orders.push(order),
            wrong => {
                read.bad += 1;
                let no_text = |reason: String| reason.starts_with(WorkOrder::NOT_UTF8);
                read.not_utf8 += u64::from(wrong.and_then(Result::err).is_some_and(no_text));
            }
        }
        if read.orders.len() == MOST {
            break;
        }
    }
    Ok(read)
}
