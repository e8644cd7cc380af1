//! How messages are read and written. Stock tonic answers INTERNAL when a client sends bytes that are not the message, or a
//! string that is not UTF-8; the fault is the client's, so it is told INVALID_ARGUMENT. And an item of a stream that cannot be
//! read must not end the stream: it arrives at the service as an item without a request.

use std::marker::PhantomData;

use prost::bytes::Buf;
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::proto;
use super::status::ServiceError;

/// The codec that build.rs names for every method; `T` goes out, `U` comes in.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Incoming + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<T: Message, U> Encoder for Codec<T, U> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<T, U: Incoming> Decoder for Codec<T, U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let mut message = U::default();
        let read = message.merge(&mut *buffer);
        // After a failure the rest of this message must not be taken for the start of the next.
        buffer.advance(buffer.remaining());
        match read {
            Ok(()) => Ok(Some(message)),
            Err(error) => message.broken(&error).map(Some),
        }
    }
}

/// A message that may arrive broken.
pub trait Incoming: Message + Default {
    /// What to make of a message that could not be read to its end; `self` holds what came before the break.
    fn broken(self, error: &DecodeError) -> Result<Self, Status>;
}

/// What clients send: their fault.
macro_rules! blames_the_client {
    ($($message:ty),*) => {$(
        impl Incoming for $message {
            fn broken(self, error: &DecodeError) -> Result<Self, Status> {
                Err(ServiceError::malformed(error).into())
            }
        }
    )*};
}
blames_the_client!(
    proto::RouteAppealRequest,
    proto::GetModelInfoRequest,
    proto::RecordRulingRequest,
    proto::GetRulingRequest,
    proto::ListRulingsRequest,
    proto::SupersedeRulingRequest,
    proto::WithdrawRulingRequest,
    proto::SearchRulingsRequest,
    proto::ListRecurrencesRequest,
    proto::ImportRulingsRequest,
    proto::ExportRulingsRequest,
    proto::RecordDispatchRequest,
    proto::ReportReturnRequest,
    proto::CloseOrderRequest,
    proto::GetCaseFileRequest,
    proto::ListCasesRequest,
    proto::ReloadCatalogRequest
);

/// What this server sends, read by the Rust client: the server's fault.
macro_rules! blames_the_server {
    ($($message:ty),*) => {$(
        impl Incoming for $message {
            fn broken(self, error: &DecodeError) -> Result<Self, Status> {
                Err(Status::internal(error.to_string()))
            }
        }
    )*};
}
blames_the_server!(
    proto::RouteAppealResponse,
    proto::RouteAppealsResponse,
    proto::GetModelInfoResponse,
    proto::RecordRulingResponse,
    proto::GetRulingResponse,
    proto::ListRulingsResponse,
    proto::SupersedeRulingResponse,
    proto::WithdrawRulingResponse,
    proto::SearchRulingsResponse,
    proto::ListRecurrencesResponse,
    proto::ImportRulingsResponse,
    proto::ExportRulingsResponse,
    proto::RecordDispatchResponse,
    proto::ReportReturnResponse,
    proto::CloseOrderResponse,
    proto::GetCaseFileResponse,
    proto::ListCasesResponse,
    proto::ReloadCatalogResponse
);

impl Incoming for proto::RouteAppealsRequest {
    fn broken(self, _: &DecodeError) -> Result<Self, Status> {
        // The id comes first on the wire, so it is usually known. The service refuses an item without a request.
        Ok(Self { item_id: self.item_id, request: None })
    }
}
