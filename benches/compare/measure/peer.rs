//! A client of text-embeddings-inference, as far as it is needed to ask it the same as paidan: which of the model's departments a
//! text belongs to. Its messages have fields of these numbers and types; what else they hold is left at its default.

use paidan::server::codec::{Codec, Incoming};
use prost::DecodeError;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::load::Asked;

/// A text to sort.
#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, tag = "1")]
    inputs: String,
    /// Cut what is longer than the model reads, instead of refusing it.
    #[prost(bool, tag = "2")]
    truncate: bool,
}

/// Every label with its score, highest first.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, repeated, tag = "1")]
    predictions: Vec<Label>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "2")]
    label: String,
}

impl Incoming for Answer {
    fn broken(self, error: &DecodeError) -> Result<Self, Status> {
        Err(Status::internal(error.to_string()))
    }
}

/// The client.
#[derive(Clone)]
pub struct Peer(Channel);

impl Peer {
    /// On a connection that is there.
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// The label that it thinks likeliest.
    pub async fn label(&self, text: &str) -> Result<String, Status> {
        let mut client = Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let question = Request::new(Question { inputs: text.to_owned(), truncate: true });
        let path = PathAndQuery::from_static("/tei.v1.Predict/Predict");
        let answer: Answer = client.unary(question, path, Codec::default()).await?.into_inner();
        let first = answer.predictions.into_iter().next();
        first.map(|first| first.label).ok_or_else(|| Status::internal("it answered without a label"))
    }
}

impl Asked for Peer {
    async fn ask(&mut self, text: &str) -> Result<(), Status> {
        self.label(text).await.map(drop)
    }
}
