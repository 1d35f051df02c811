//! Server reflection: descriptors of the services, by the name of a file or of a symbol.
//!
//! Decision: not the service of `tonic-reflection`, which ends the stream at the first unknown name,
//! where the protocol has a reply for that. The versions `v1` and `v1alpha` have the same messages,
//! so the second is the first under another path.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use contract::Error;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use prost::{DecodeError, Message};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflection;
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};

use super::frame::library_error;
use super::status::status;
use crate::context::Limits;

/// The descriptors that callers may ask for.
#[derive(Clone, Debug)]
pub(super) struct Reflection {
    index: Arc<Index>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Index {
    services: BTreeSet<String>,
    /// The encoded descriptors.
    files: Vec<Vec<u8>>,
    /// The positions of descriptors by the names of their files.
    by_file: HashMap<String, usize>,
    /// The positions of descriptors by the full names of their symbols.
    by_symbol: HashMap<String, usize>,
}

impl Reflection {
    /// Reads encoded sets of descriptors.
    pub(super) fn new(descriptor_sets: &[&[u8]], limits: &Limits) -> Result<Self, DecodeError> {
        let mut index = Index::default();
        for set in descriptor_sets {
            for file in FileDescriptorSet::decode(*set)?.file {
                index.add(&file);
            }
        }
        Ok(Self {
            index: Arc::new(index),
            limits: limits.clone(),
        })
    }

    fn reply(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let found = self.index.find(request.message_request.as_ref());
        let message = found.unwrap_or_else(MessageResponse::ErrorResponse);
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(message),
        }
    }
}

impl Index {
    fn add(&mut self, file: &FileDescriptorProto) {
        let position = self.files.len();
        self.files.push(file.encode_to_vec());
        self.by_file.insert(file.name().to_owned(), position);
        for message in &file.message_type {
            self.add_message(file.package(), message, position);
        }
        for kind in &file.enum_type {
            self.add_enum(file.package(), kind, position);
        }
        for service in &file.service {
            let name = full_name(file.package(), service.name());
            for method in &service.method {
                self.by_symbol
                    .insert(full_name(&name, method.name()), position);
            }
            self.by_symbol.insert(name.clone(), position);
            self.services.insert(name);
        }
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto, position: usize) {
        let name = full_name(scope, message.name());
        for nested in &message.nested_type {
            self.add_message(&name, nested, position);
        }
        for kind in &message.enum_type {
            self.add_enum(&name, kind, position);
        }
        for field in &message.field {
            self.by_symbol
                .insert(full_name(&name, field.name()), position);
        }
        self.by_symbol.insert(name, position);
    }

    fn add_enum(&mut self, scope: &str, kind: &EnumDescriptorProto, position: usize) {
        let name = full_name(scope, kind.name());
        for value in &kind.value {
            self.by_symbol
                .insert(full_name(&name, value.name()), position);
        }
        self.by_symbol.insert(name, position);
    }

    fn find(&self, request: Option<&MessageRequest>) -> Result<MessageResponse, ErrorResponse> {
        let descriptor = |position: Option<&usize>, kind: &str, name: &str| {
            let file = position.and_then(|&position| self.files.get(position));
            let file = file.ok_or_else(|| {
                let name = name.escape_debug();
                let message = format!("{kind} `{name}` is unknown; `list_services` names services");
                error_response(tonic::Code::NotFound, message)
            })?;
            Ok(MessageResponse::FileDescriptorResponse(
                FileDescriptorResponse {
                    file_descriptor_proto: vec![file.clone()],
                },
            ))
        };
        match request {
            Some(MessageRequest::FileByFilename(name)) => {
                descriptor(self.by_file.get(name), "file", name)
            }
            Some(MessageRequest::FileContainingSymbol(name)) => {
                descriptor(self.by_symbol.get(name), "symbol", name)
            }
            Some(MessageRequest::FileContainingExtension(extension)) => {
                descriptor(None, "extension of", &extension.containing_type)
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => Ok(
                MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                    base_type_name: name.clone(),
                    extension_number: Vec::new(),
                }),
            ),
            Some(MessageRequest::ListServices(_)) => {
                let service = |name: &String| ServiceResponse { name: name.clone() };
                Ok(MessageResponse::ListServicesResponse(ListServiceResponse {
                    service: self.services.iter().map(service).collect(),
                }))
            }
            None => Err(error_response(
                tonic::Code::InvalidArgument,
                "the request has no `message_request`; expected one such as `list_services`"
                    .to_owned(),
            )),
        }
    }
}

/// Returns an error reply, whose message is bounded like every other one.
fn error_response(code: tonic::Code, message: String) -> ErrorResponse {
    ErrorResponse {
        error_code: code.into(),
        error_message: Error::invalid(message).message().to_owned(),
    }
}

fn full_name(scope: &str, name: &str) -> String {
    match scope.is_empty() {
        true => name.to_owned(),
        false => format!("{scope}.{name}"),
    }
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<'static, Result<ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let reflection = self.clone();
        let reply = move |request: Result<_, Status>| match request {
            Ok(request) => Ok(reflection.reply(request)),
            Err(library_status) => Err(status(&library_error(&reflection.limits, &library_status))),
        };
        Ok(Response::new(request.into_inner().map(reply).boxed()))
    }
}
