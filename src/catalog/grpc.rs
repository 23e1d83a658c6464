//! gRPC and gRPC-Web: `POST /package.Service/Method`. The path tells all, the body nothing that would change the class.

use crate::call::Class;

use super::index::Asked;
use super::naming::{self, Words};
use super::reading::{Certain, Reading, Told};

pub(super) fn read(reading: &Reading<'_>) -> Told {
    if reading.place.is_exact() {
        return Told::Nothing;
    }
    let [service, method] = &*reading.path else { return Told::Nothing };
    let request = &reading.request;
    let asked = Asked { verb: "GRPC", query: request.query, headers: request.headers };
    if let Some((service, known)) = reading.catalog.place(request.host, reading.sent, &asked).known() {
        return Told::Instead(vec![known.operation(&service.name, known.touches(&reading.path, &asked))]);
    }
    if !is_grpc(&request.content.media) {
        return Told::Nothing;
    }
    let looks = service.contains('.') && reading.verb == "POST";
    let operation = if service.starts_with("grpc.reflection.") || service.starts_with("grpc.health.") {
        reading.inferred(Class::Read, "gRPC's own health or reflection")
    } else {
        let verdict = naming::judge("GRPC", Words { name: method, path: "" });
        reading.inferred(verdict.class, &format!("gRPC `{method}`: {}", verdict.rule))
    };
    Told::by(Certain::if_place(looks), vec![operation])
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web-text`.
pub(super) fn is_grpc(media: &str) -> bool {
    media.starts_with("application/grpc")
}
