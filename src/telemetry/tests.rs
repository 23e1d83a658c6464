mod collector;
mod grpc;
mod http;
mod metrics;
mod span;
mod tree;
