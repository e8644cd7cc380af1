//! Notes when a call arrived and when it must be answered, and answers it then. tonic has a timer too, but it says CANCELLED;
//! ours is set first and is asked first, so it always wins. It also covers what tonic cannot map: a message that is too large.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use super::config::ServiceConfig;
use super::proto::ruling_service_server::SERVICE_NAME as RULINGS;
use super::status::ServiceError;

/// The longest that a file of rulings may take.
const LONGEST_IMPORT: Duration = Duration::from_secs(1800);

/// How the names of calls begin that record nothing; of any other it is better to look before it is sent again.
const READING: [&str; 7] = ["Get", "List", "Search", "Export", "Check", "Watch", "ServerReflection"];

/// When a call arrived, and the deadline that its caller set, if any. Lies in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) deadline: Option<Instant>,
}

impl Arrival {
    /// When an appeal that came in at `since` must be answered: the caller's deadline or the server's, whichever is earlier.
    pub(super) fn answer_by(&self, since: Instant, max_request_time: Duration) -> Instant {
        let latest = since + max_request_time;
        self.deadline.map_or(latest, |deadline| deadline.min(latest))
    }
}

/// All services of the server, with deadlines.
#[derive(Clone)]
pub(super) struct Deadlines<S> {
    inner: S,
    max_request_time: Duration,
    max_message_bytes: usize,
    max_ruling_message_bytes: usize,
}

impl<S> Deadlines<S> {
    pub(super) fn new(inner: S, config: &ServiceConfig) -> Self {
        Self {
            inner,
            max_request_time: config.max_request_time,
            max_message_bytes: config.max_message_bytes,
            max_ruling_message_bytes: config.max_ruling_message_bytes(),
        }
    }
}

impl<S> Service<http::Request<Body>> for Deadlines<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let at = Instant::now();
        let deadline = grpc_timeout(request.headers()).and_then(|timeout| at.checked_add(timeout));
        let arrival = Arrival { at, deadline };
        request.extensions_mut().insert(arrival);
        let late = late(request.uri().path());
        // A file takes as long as it takes; its caller may still set a deadline.
        let longest = if request.uri().path().ends_with("/ImportRulings") { LONGEST_IMPORT } else { self.max_request_time };
        let answer_by = arrival.answer_by(at, longest);
        let of_rulings = request.uri().path().trim_start_matches('/').starts_with(RULINGS);
        let limit = if of_rulings { self.max_ruling_message_bytes } else { self.max_message_bytes };
        // For a stream this covers only its opening; the stream looks after itself.
        let answer = tokio::time::timeout_at(answer_by.into(), self.inner.call(request));
        Box::pin(async move {
            match answer.await {
                Ok(Ok(response)) if is_too_large(&response) => Ok(refuse(ServiceError::TooLarge { limit })),
                Ok(response) => response,
                Err(_) => Ok(refuse(late)),
            }
        })
    }
}

/// What the caller is told when the answer is late: whether to send it again depends on what was asked.
fn late(path: &str) -> ServiceError {
    let method = path.rsplit('/').next().unwrap_or_default();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| method.starts_with(beginning));
    if begins(&["RouteAppeal"]) {
        ServiceError::DeadlineExceeded
    } else if begins(&READING) {
        ServiceError::ReadLate
    } else {
        ServiceError::RecordLate
    }
}

fn refuse(error: ServiceError) -> http::Response<Body> {
    Status::from(error).into_http()
}

/// tonic's word for a message above the limit. None of our own services says OUT_OF_RANGE.
fn is_too_large(response: &http::Response<Body>) -> bool {
    response.headers().get(Status::GRPC_STATUS).is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::OutOfRange)
}

/// The `grpc-timeout` header: at most 8 digits and a unit. One that makes no sense is ignored, as the specification has it.
fn grpc_timeout(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_late_is_told_what_may_have_been_done_and_only_appeals_are_called_appeals() {
        let said = |path: &str| late(path).to_string();
        assert!(said("/paidan.v1.RoutingService/RouteAppeal").contains("appeal"));
        for method in ["RecordRuling", "SupersedeRuling", "WithdrawRuling", "ImportRulings", "RecordDispatch"] {
            let said = said(&format!("/paidan.v1.RulingService/{method}"));
            assert!(said.contains("ruling, may have been recorded") && !said.contains("appeal"), "{method}: {said}");
        }
        for method in ["GetRuling", "ListRulings", "SearchRulings", "ListRecurrences", "ExportRulings"] {
            let said = said(&format!("/paidan.v1.RulingService/{method}"));
            assert!(!said.contains("recorded") && !said.contains("appeal"), "{method}: {said}");
        }
        assert!(said("/paidan.v1.DisputeService/ReportReturn").contains("may have been recorded"));
    }

    #[test]
    fn a_timeout_is_read_in_every_unit_and_nonsense_is_ignored() {
        let parsed = |value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().expect("a header value"));
            grpc_timeout(&headers)
        };
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parsed("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for nonsense in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", "1.5S"] {
            assert_eq!(parsed(nonsense), None, "{nonsense:?}");
        }
    }
}
