//! What the service writes into its log, at its most talkative: lengths, durations and codes, never a word of a citizen and
//! never an id. One test, because the log of a process is one.

use std::io::Write;
use std::sync::{Arc, Mutex};

use paidan::server::proto::RouteAppealRequest;
use tracing_subscriber::fmt::MakeWriter;

use crate::service_support::{Gated, ROUTE_APPEAL, Running, config, field, frame, item, raw_call, text};

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("page").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Page {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_holds_no_words_and_no_ids() {
    let page = Page::default();
    tracing_subscriber::fmt().with_env_filter("paidan=trace").with_ansi(false).with_writer(page.clone()).init();
    let server = Running::start(&Gated::open(), config()).await;
    let mut client = server.client().await;
    // A good one, one that the caller got wrong, one on which the model fails, one that panics, one that is no UTF-8, a stream.
    for words in ["秘密的诉求13812345678", "秘密\0的诉求", "毒秘密", "崩秘密", "裂秘密"] {
        let mut request: RouteAppealRequest = text(words);
        request.appeal.as_mut().expect("an appeal").id = "ID-4711".to_owned();
        request.appeal.as_mut().expect("an appeal").district = "秘密区".to_owned();
        // Some are refused.
        drop(client.route_appeal(request).await);
    }
    let broken = [field(1, b"ID-4711"), field(2, b"\xffsecret")].concat();
    raw_call(server.address, ROUTE_APPEAL, &[], frame(&field(1, &broken))).await;
    let items = tokio_stream::iter([item("ID-4711", "秘密")]);
    let mut answers = client.route_appeals(items).await.expect("a stream").into_inner();
    while answers.message().await.expect("the stream ends well").is_some() {}

    let log = String::from_utf8(page.0.lock().expect("page").clone()).expect("UTF-8");
    for code in ["OK", "APPEAL_INVALID", "MODEL_FAILED"] {
        assert!(log.contains(&format!("code=\"{code}\"")), "{code} is logged:\n{log}");
    }
    for secret in ["秘", "密", "13812345678", "4711", "secret"] {
        assert!(!log.contains(secret), "{secret} must not be logged:\n{log}");
    }
}
