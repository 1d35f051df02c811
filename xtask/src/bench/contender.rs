//! The contenders: the servers that are compared.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// A server that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    /// Hyper alone: reads the body and answers 250 fixed bytes.
    Echo,
    /// Tonic alone: decodes the request and answers a fixed message.
    GrpcEcho,
    /// FastAPI, pydantic and ONNX Runtime, one uvicorn worker per core.
    Fastapi,
    /// LitServe and ONNX Runtime, one worker per core.
    Litserve,
    /// BentoML and ONNX Runtime, one worker per core.
    Bentoml,
    /// MLServer and ONNX Runtime, one worker per core.
    Mlserver,
    /// The release build with default settings, but without the access log.
    Lockgate,
}

impl Contender {
    /// Returns the name in the flag `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::GrpcEcho => "grpc-echo",
            Self::Fastapi => "fastapi",
            Self::Litserve => "litserve",
            Self::Bentoml => "bentoml",
            Self::Mlserver => "mlserver",
            Self::Lockgate => "lockgate",
        }
    }
}

impl Contender {
    /// Returns whether this is a service in Python, which a comparison can do without.
    pub(super) fn is_peer(self) -> bool {
        match self {
            Self::Fastapi | Self::Litserve | Self::Bentoml | Self::Mlserver => true,
            Self::Echo | Self::GrpcEcho | Self::Lockgate => false,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Echo => "raw hyper echo",
            Self::GrpcEcho => "raw tonic echo",
            Self::Fastapi => "FastAPI + ONNX Runtime",
            Self::Litserve => "LitServe",
            Self::Bentoml => "BentoML",
            Self::Mlserver => "MLServer",
            Self::Lockgate => "Lockgate",
        })
    }
}
