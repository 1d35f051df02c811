//! gRPC over HTTP/2: one connection with one unary call in flight.
//!
//! Decision: the message is encoded by the caller and replies are not decoded; the status of each
//! call is checked.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Result;
use super::closed_loop;

/// A connection with its call.
#[derive(Debug)]
pub struct Client {
    channel: Grpc<Channel>,
    method: PathAndQuery,
    message: Bytes,
}

impl Client {
    /// Connects; the method is a path such as `/package.Service/Method`.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn connect(
        address: SocketAddr,
        method: &'static str,
        message: Bytes,
    ) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        Ok(Self {
            channel: Grpc::new(channel),
            method: PathAndQuery::from_static(method),
            message,
        })
    }
}

impl closed_loop::Client for Client {
    async fn exchange(&mut self) -> Result<()> {
        self.channel.ready().await?;
        let request = Request::new(self.message.clone());
        let method = self.method.clone();
        self.channel.unary(request, method, RawCodec).await?;
        Ok(())
    }
}

/// Codec that passes encoded messages through.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
