//! Files of rulings, in parts: a whole file fits no message.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{RulingDesk, convert};
use crate::rulings::{Known, Ruling, RulingDraft, predecessors_first};
use crate::server::proto;
use crate::server::status::ServiceError;
use crate::store::exchange::{self, ExchangeError, Format, MAX_FILE_BYTES};
use crate::store::{Filter, StoreError};

/// Rulings that are recorded in one transaction.
const AT_ONCE: usize = 200;
/// Bytes of one part of an export.
const PART: usize = 256 * 1024;
/// Most faults that are told; a file with more is another kind of file.
const MAX_FAULTS: usize = 1_000;
/// Files that are imported at once: each may fill the memory with [`MAX_FILE_BYTES`] and the rows that are read of them.
pub(super) const IMPORTS: usize = 2;
/// When whoever finds no room for a file may come back.
const COME_BACK: Duration = Duration::from_secs(5);
/// The longest that the next part of a file is waited for: whoever sends none keeps others from their turn.
const IDLE: Duration = Duration::from_secs(30);

pub(super) async fn import(
    desk: &RulingDesk,
    mut parts: Streaming<proto::ImportRulingsRequest>,
) -> Result<proto::ImportRulingsResponse, Status> {
    // Before the first byte is kept; whoever leaves gives it back, but not before what was read of the file is gone.
    let turn = Arc::clone(&desk.imports).try_acquire_owned();
    let turn = turn.map_err(|_| ServiceError::ImportsBusy { retry_after: COME_BACK })?;
    let first = part(&mut parts).await?.ok_or_else(|| ServiceError::invalid("data", "MISSING", "is missing", "没有文件"))?;
    let format = convert::format(first.format())?;
    let actor = convert::actor(&first.actor)?;
    let mut bytes = first.data;
    while let Some(part) = part(&mut parts).await? {
        if bytes.len() + part.data.len() > MAX_FILE_BYTES {
            let error = ExchangeError::TooLarge { size: bytes.len() + part.data.len() };
            return Err(file_fault(&error).into());
        }
        bytes.extend_from_slice(&part.data);
    }
    let known = desk.known();
    let read = tokio::task::spawn_blocking(move || Ok((read(format, &bytes, &known)?, turn)));
    let read = read.await.map_err(|_| Status::internal("reading the file panicked"))?;
    let ((good, mut faults), _turn) = read.map_err(|error: ExchangeError| file_fault(&error))?;
    let mut recorded = 0;
    let mut good = good.into_iter().peekable();
    while good.peek().is_some() {
        let (lines, rulings): (Vec<u64>, Vec<Ruling>) = good.by_ref().take(AT_ONCE).unzip();
        let outcomes = desk.store.record_all(rulings, &actor).await.map_err(ServiceError::from)?;
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => recorded += 1,
                Err(error) => faults.add(line, "id", &error.to_string()),
            }
        }
    }
    let (faults, omitted_fault_count) = faults.told();
    Ok(proto::ImportRulingsResponse { ruling_count: recorded, faults, omitted_fault_count })
}

/// The next part, if it comes in time.
async fn part(parts: &mut Streaming<proto::ImportRulingsRequest>) -> Result<Option<proto::ImportRulingsRequest>, Status> {
    timeout(IDLE, parts.message()).await.map_err(|_| ServiceError::ImportIdle { waited: IDLE })?
}

/// The rulings of a file with their lines, each after the one that it supersedes, and what is wrong with the other rows.
fn read(format: Format, bytes: &[u8], known: &Known) -> Result<(Vec<(u64, Ruling)>, Faults), ExchangeError> {
    let (mut lines, mut rulings, mut faults) = (Vec::new(), Vec::new(), Faults::default());
    for row in exchange::read(format, bytes)? {
        match row.draft.and_then(|draft: RulingDraft| draft.parse(Some(known))) {
            Ok(ruling) => {
                lines.push(row.line);
                rulings.push(ruling);
            }
            Err(wrong) => wrong.iter().for_each(|fault| faults.add(row.line, &fault.field, &fault.reason)),
        }
    }
    // Before it is cut into transactions: a row may supersede one that stands far below it.
    let good = predecessors_first(rulings).into_iter().map(|(place, ruling)| (lines[place], ruling));
    Ok((good.collect(), faults))
}

/// What is wrong with a file: the first faults by their lines, and how many there are beyond them.
#[derive(Default)]
struct Faults {
    kept: BinaryHeap<(i64, usize, String, String)>,
    count: usize,
}

impl Faults {
    fn add(&mut self, line: u64, field: &str, description: &str) {
        let line = i64::try_from(line).unwrap_or(i64::MAX);
        // Of one row in the order in which they were found.
        self.kept.push((line, self.count, field.to_owned(), description.to_owned()));
        self.count += 1;
        if self.kept.len() > MAX_FAULTS {
            self.kept.pop();
        }
    }

    /// Those that are told, and how many are not.
    fn told(self) -> (Vec<proto::RowFault>, i32) {
        let omitted = self.count - self.kept.len();
        let fault = |(line, _, field, description)| proto::RowFault { line, field, description };
        let told = self.kept.into_sorted_vec().into_iter().map(fault).collect();
        (told, i32::try_from(omitted).unwrap_or(i32::MAX))
    }
}

fn file_fault(error: &ExchangeError) -> ServiceError {
    ServiceError::invalid("data", "MALFORMED", &error.to_string(), "文件无法读取")
}

pub(super) async fn export(
    desk: &RulingDesk,
    request: proto::ExportRulingsRequest,
) -> Result<ReceiverStream<Result<proto::ExportRulingsResponse, Status>>, Status> {
    let format = convert::format(request.format())?;
    let filter = convert::filter(&request.filter, &desk.known())?;
    let drafts = all(desk, &filter).await.map_err(ServiceError::from)?;
    let bytes = tokio::task::spawn_blocking(move || exchange::write(format, &drafts));
    let bytes = bytes.await.map_err(|_| Status::internal("writing the file panicked"))?;
    let bytes = bytes.map_err(|error| match &error {
        // The caller's to mend: another format takes it.
        ExchangeError::LongCell { .. } => {
            ServiceError::invalid("format", "TOO_LONG", &error.to_string(), "有认定内容超出单元格上限，请改用 JSONL 或 CSV")
                .into()
        }
        _ => Status::internal(error.to_string()),
    })?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        for part in bytes.chunks(PART) {
            // A caller who has left wants no more.
            if sender.send(Ok(proto::ExportRulingsResponse { data: part.to_vec() })).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn all(desk: &RulingDesk, filter: &Filter) -> Result<Vec<RulingDraft>, StoreError> {
    let (mut drafts, mut token) = (Vec::new(), String::new());
    loop {
        let page = desk.store.list(filter, 1_000, &token).await?;
        drafts.extend(page.rulings.iter().map(|one| RulingDraft::from(&one.ruling)));
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(drafts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Department;
    use crate::rulings::RulingDraft;

    fn draft(id: &str, supersedes: &str) -> RulingDraft {
        RulingDraft {
            id: id.to_owned(),
            supersedes: supersedes.to_owned(),
            scope: "case".to_owned(),
            matter: "路灯".to_owned(),
            lead: "城管".to_owned(),
            body: "committee".to_owned(),
            decided_on: "2026-03-01".to_owned(),
            ..RulingDraft::default()
        }
    }

    fn known() -> Known {
        Known::of_model([&Department { id: "城管".to_owned(), name: "城管".to_owned(), training_orders: 0 }])
    }

    #[test]
    fn a_row_that_supersedes_one_hundreds_of_rows_below_comes_after_it_and_keeps_its_line() {
        let mut drafts = vec![draft("A-1", "Z-1")];
        drafts.extend((0..3 * AT_ONCE).map(|i| draft(&format!("M-{i:03}"), "")));
        drafts.push(draft("Z-1", ""));
        let bytes = exchange::write(Format::Jsonl, &drafts).expect("a file");
        let (good, faults) = read(Format::Jsonl, &bytes, &known()).expect("read");
        assert_eq!(faults.count, 0);
        let last_two: Vec<(u64, &str)> = good[good.len() - 2..].iter().map(|(line, one)| (*line, one.id.as_str())).collect();
        assert_eq!(last_two, [(602, "Z-1"), (1, "A-1")]);
        assert!(good.iter().all(|(line, one)| drafts[*line as usize - 1].id == one.id));
    }

    #[test]
    fn faults_beyond_the_first_thousand_are_counted_and_the_first_rows_are_told() {
        let mut faults = Faults::default();
        for line in (1..=1_500).rev() {
            faults.add(line, "lead", "is unknown");
        }
        faults.add(1, "body", "is missing");
        let (told, omitted) = faults.told();
        assert_eq!((told.len(), omitted), (MAX_FAULTS, 501));
        let first: Vec<(i64, &str)> = told[..3].iter().map(|one| (one.line, one.field.as_str())).collect();
        assert_eq!(first, [(1, "lead"), (1, "body"), (2, "lead")]);
    }
}
