//! The gRPC messages of the Open Inference Protocol.

tonic::include_proto!("inference");
