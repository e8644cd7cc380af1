//! Search by words and by likeness together: two ranked lists become one by their places (reciprocal rank fusion, Cormack et al.
//! 2009), since their scores have no common measure.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message;

use super::{MAX_PAGE_BYTES, RulingDesk, RulingError, convert};
use crate::server::proto;
use crate::server::status::ServiceError;

/// As long as an appeal.
const MAX_QUERY_CHARS: usize = 20_000;
/// How far down either list is looked.
const DEPTH: usize = 200;
/// The constant of the fusion: how little the very first places stand out.
const EVENNESS: f32 = 60.0;

#[derive(Default)]
struct Candidate {
    score: f32,
    words: Vec<String>,
    similarity: Option<f32>,
}

impl RulingDesk {
    pub(super) async fn search(
        &self,
        request: proto::SearchRulingsRequest,
    ) -> Result<proto::SearchRulingsResponse, ServiceError> {
        let query = request.query.trim();
        if query.is_empty() {
            return Err(ServiceError::invalid("query", "EMPTY", "is empty", "未填写"));
        }
        if query.chars().count() > MAX_QUERY_CHARS {
            let said = format!("has more than {MAX_QUERY_CHARS} characters");
            return Err(ServiceError::invalid("query", "TOO_LONG", &said, "查询内容过长"));
        }
        let filter = convert::filter(&request.filter, &self.known())?;
        let size = convert::page_size(request.page_size, 10, 100)?;
        let place = |rank: usize| (EVENNESS + 1.0) / (EVENNESS + 1.0 + rank as f32) / 2.0;
        let mut candidates: HashMap<String, Candidate> = HashMap::new();
        for (rank, found) in self.store.search(query, &filter, DEPTH).await?.into_iter().enumerate() {
            let candidate = candidates.entry(found.id).or_default();
            candidate.score += place(rank);
            candidate.words = found.words;
        }
        for (rank, (id, similarity)) in self.likest(query.to_owned()).await?.into_iter().enumerate() {
            let candidate = candidates.entry(id).or_default();
            candidate.score += place(rank);
            candidate.similarity = Some(similarity);
        }
        let mut ranked: Vec<(String, Candidate)> = candidates.into_iter().collect();
        ranked.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then_with(|| a.0.cmp(&b.0)));
        let (mut found, mut bytes) = (Vec::with_capacity(size), 0);
        for (id, candidate) in ranked {
            if found.len() == size {
                break;
            }
            let Some(stored) = self.store.get_if(&id, &filter).await? else { continue };
            let one = proto::FoundRuling {
                ruling: Some(convert::ruling(&stored)),
                score: candidate.score,
                words: candidate.words,
                similarity: candidate.similarity,
            };
            bytes += one.encoded_len();
            // The best is answered however long it is, and none goes before a better one.
            if bytes > MAX_PAGE_BYTES && !found.is_empty() {
                break;
            }
            found.push(one);
        }
        Ok(proto::SearchRulingsResponse { found })
    }

    /// Ids of the likest rulings in force, with their similarity.
    async fn likest(&self, query: String) -> Result<Vec<(String, f32)>, ServiceError> {
        let router = Arc::clone(&self.router);
        let work = move || {
            let book = router.rulings();
            if book.is_empty() {
                return Ok(Vec::new());
            }
            let embeddings = router.embed(&[&query])?;
            let embeddings: Vec<&[f32]> = embeddings.iter().map(Vec::as_slice).collect();
            let found = book.precedents(&embeddings, DEPTH, -1.0, |_, _| true);
            let found = found.into_iter().flatten().map(|one| (one.ruling.id.clone(), one.similarity)).collect();
            Ok::<_, crate::routing::RouteError>(found)
        };
        let found = tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::ModelFailed)?;
        Ok(found.map_err(RulingError::from)?)
    }
}
