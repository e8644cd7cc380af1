//! Files of rulings, in parts: a whole file fits no message.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{RulingDesk, convert};
use crate::rulings::{Ruling, RulingDraft};
use crate::server::proto;
use crate::server::status::ServiceError;
use crate::store::exchange::{self, ExchangeError, MAX_FILE_BYTES};
use crate::store::{Filter, StoreError};

/// Rulings that are recorded in one transaction.
const AT_ONCE: usize = 200;
/// Bytes of one part of an export.
const PART: usize = 256 * 1024;
/// Most faults that are told; a file with more is another kind of file.
const MAX_FAULTS: usize = 1_000;

pub(super) async fn import(
    desk: &RulingDesk,
    mut parts: Streaming<proto::ImportRulingsRequest>,
) -> Result<proto::ImportRulingsResponse, Status> {
    let first = parts.message().await?.ok_or_else(|| ServiceError::invalid("data", "MISSING", "is missing", "没有文件"))?;
    let format = convert::format(first.format())?;
    let actor = convert::actor(&first.actor)?;
    let mut bytes = first.data;
    while let Some(part) = parts.message().await? {
        if bytes.len() + part.data.len() > MAX_FILE_BYTES {
            let error = ExchangeError::TooLarge { size: bytes.len() + part.data.len() };
            return Err(file_fault(&error).into());
        }
        bytes.extend_from_slice(&part.data);
    }
    let known = desk.known();
    let rows = tokio::task::spawn_blocking(move || exchange::read(format, &bytes));
    let rows = rows.await.map_err(|_| Status::internal("reading the file panicked"))?.map_err(|error| file_fault(&error))?;
    let mut faults = Vec::new();
    let mut good: Vec<(u64, Ruling)> = Vec::new();
    for row in rows {
        let parsed = row.draft.and_then(|draft: RulingDraft| draft.parse(Some(&known)));
        match parsed {
            Ok(ruling) => good.push((row.line, ruling)),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| row_fault(row.line, &fault.field, &fault.reason))),
        }
    }
    let mut recorded = 0;
    let mut good = good.into_iter().peekable();
    while good.peek().is_some() {
        let (lines, rulings): (Vec<u64>, Vec<Ruling>) = good.by_ref().take(AT_ONCE).unzip();
        let outcomes = desk.store.record_all(rulings, &actor).await.map_err(ServiceError::from)?;
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => recorded += 1,
                Err(error) => faults.push(row_fault(line, "id", &error.to_string())),
            }
        }
    }
    faults.sort_by_key(|fault| fault.line);
    faults.truncate(MAX_FAULTS);
    Ok(proto::ImportRulingsResponse { ruling_count: recorded, faults })
}

fn row_fault(line: u64, field: &str, description: &str) -> proto::RowFault {
    let line = i64::try_from(line).unwrap_or(i64::MAX);
    proto::RowFault { line, field: field.to_owned(), description: description.to_owned() }
}

fn file_fault(error: &ExchangeError) -> ServiceError {
    ServiceError::invalid("data", "MALFORMED", &error.to_string(), "文件无法读取")
}

pub(super) async fn export(
    desk: &RulingDesk,
    request: proto::ExportRulingsRequest,
) -> Result<ReceiverStream<Result<proto::ExportRulingsResponse, Status>>, Status> {
    let format = convert::format(request.format())?;
    let filter = convert::filter(&request.filter)?;
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
