mod collector;
mod grpc;
mod http;
mod span;
mod tree;
