//! `RouteAppeals`: many appeals over one stream. The stream is read only while fewer than `max_stream_in_flight` of its items
//! are under way, and an item is under way until its answer has been taken: so a client that sends too fast, or does not read,
//! is held back by HTTP/2 flow control, and the memory of a stream is bounded.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::deadline::Arrival;
use super::proto::{self, route_appeals_response::Result as ItemResult};
use super::service::Desk;
use super::status::ServiceError;

type Answers = mpsc::Sender<Result<proto::RouteAppealsResponse, Status>>;

/// The answers to the items of `requests`.
pub(super) fn answers(
    desk: Arc<Desk>,
    requests: Streaming<proto::RouteAppealsRequest>,
    arrival: Arrival,
) -> ReceiverStream<Result<proto::RouteAppealsResponse, Status>> {
    // One is enough: what waits to be sent is bounded by the window.
    let (answers, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            // The client left: dropping the items takes them out of the queue.
            () = answers.closed() => {}
            () = run(desk, requests, arrival, &answers) => {}
        }
    });
    ReceiverStream::new(stream)
}

/// Reads and answers until the client is done, the server shuts down, the deadline passes or the transport fails.
async fn run(desk: Arc<Desk>, mut requests: Streaming<proto::RouteAppealsRequest>, arrival: Arrival, answers: &Answers) {
    let window = Arc::new(Semaphore::new(desk.config.max_stream_in_flight));
    let mut draining = desk.draining.clone();
    let mut items = JoinSet::new();
    let mut index = 0;
    let ending = loop {
        tokio::select! {
            biased;
            () = passed(arrival.deadline) => break Some(ServiceError::DeadlineExceeded.into()),
            // An error means that the server is gone.
            _ = draining.wait_for(|draining| *draining) => break Some(ServiceError::ShuttingDown.into()),
            Some(_) = items.join_next() => {}
            (place, read) = next(&window, &mut requests) => match read {
                Ok(Some(item)) => {
                    items.spawn(answer(Arc::clone(&desk), item, index, arrival, answers.clone(), place));
                    index += 1;
                }
                Ok(None) => break None,
                Err(status) if status.code() == Code::OutOfRange => {
                    break Some(ServiceError::TooLarge { limit: desk.config.max_message_bytes }.into());
                }
                Err(status) => break Some(status),
            },
        }
    };
    // What is under way is still answered; each item has a deadline of its own.
    while items.join_next().await.is_some() {}
    if let Some(status) = ending {
        let _ = answers.send(Err(status)).await;
    }
}

/// The next item, once the window has room for it. Safe to drop: no item is lost.
async fn next(
    window: &Arc<Semaphore>,
    requests: &mut Streaming<proto::RouteAppealsRequest>,
) -> (Option<OwnedSemaphorePermit>, Result<Option<proto::RouteAppealsRequest>, Status>) {
    // Never closed.
    let place = Arc::clone(window).acquire_owned().await.ok();
    (place, requests.message().await)
}

/// Answers one item; the place in the window is free again once the answer was taken.
async fn answer(
    desk: Arc<Desk>,
    item: proto::RouteAppealsRequest,
    item_index: i64,
    stream: Arrival,
    answers: Answers,
    _place: Option<OwnedSemaphorePermit>,
) {
    let arrived = Instant::now();
    let deadline = stream.answer_by(arrived, desk.config.max_request_time);
    let mut under_way = desk.under_way(arrived, deadline);
    let routed = async {
        let request = item.request.ok_or_else(missing_request)?;
        let place = desk.queue.reserve_for_stream().await?;
        desk.route(request, place, arrived, deadline).await
    };
    let result = tokio::time::timeout_at(deadline.into(), routed).await.unwrap_or(Err(ServiceError::DeadlineExceeded));
    under_way.ended(&result);
    let result = match result {
        Ok(response) => ItemResult::Response(response),
        Err(error) => ItemResult::Error(error.into()),
    };
    let answer = proto::RouteAppealsResponse { item_id: item.item_id, item_index, result: Some(result) };
    // The client may have left.
    let _ = answers.send(Ok(answer)).await;
}

/// Also what the codec makes of an item that it could not read.
fn missing_request() -> ServiceError {
    ServiceError::Malformed {
        field: "request".to_owned(),
        description: "the item has no request, or is not a valid message: broken protobuf or a string that is not UTF-8"
            .to_owned(),
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
