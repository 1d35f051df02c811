//! The Open Inference Protocol v2 with the Triton extensions, over REST and gRPC.

mod grpc;
