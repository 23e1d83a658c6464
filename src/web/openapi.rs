//! The document of the admin API (OpenAPI 3.1), made of the table of routes and of the types that they take and give.
//!
//! What browsers use (signing in, the console) is not in it. Every operation may also end in a problem (RFC 9457), which stands
//! as the answer that is given by default.

mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    Required, ResponseBuilder, Schema,
};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::problem::ProblemBody;
use super::routes::{Asks, Route};

/// What the document says of a route.
pub(super) struct Says {
    summary: &'static str,
    query: Vec<Parameter>,
    body: Option<Part>,
    answers: Vec<(u16, &'static str, Part)>,
}

/// A type as the document knows it.
struct Part {
    name: Cow<'static, str>,
    all: Vec<(String, RefOr<Schema>)>,
}

impl Part {
    fn of<T: ToSchema>() -> Self {
        let mut all = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut all);
        Self { name: T::name(), all }
    }

    fn content(&self) -> Content {
        Content::new(Some(Ref::from_schema_name(&*self.name)))
    }
}

impl Says {
    pub(super) fn new(summary: &'static str) -> Self {
        Self { summary, query: Vec::new(), body: None, answers: Vec::new() }
    }

    /// With a query.
    pub(super) fn asked<T: IntoParams>(mut self) -> Self {
        self.query = T::into_params(|| Some(ParameterIn::Query));
        self
    }

    /// With a body.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(Part::of::<T>());
        self
    }

    /// What comes back if all goes well.
    pub(super) fn gives<T: ToSchema>(self, status: u16) -> Self {
        self.gives_as::<T>(status, "application/json")
    }

    /// The same in another form.
    pub(super) fn gives_as<T: ToSchema>(mut self, status: u16, kind: &'static str) -> Self {
        self.answers.push((status, kind, Part::of::<T>()));
        self
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.body.iter().chain(self.answers.iter().map(|(_, _, part)| part))
    }
}

/// `GET /v1/openapi.json`.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], shared.document.clone())
}

/// The document, as it is served.
pub(super) fn document(routes: &[Route]) -> Bytes {
    let document = describe(routes);
    // Maps with text for keys; nothing in them cannot be written.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

fn describe(routes: &[Route]) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> =
        Part::of::<ProblemBody<'static>>().all.into_iter().collect();
    for route in routes {
        let Some(says) = &route.says else { continue };
        schemas.extend(says.parts().flat_map(|part| part.all.clone()));
        let method =
            if route.method == axum::http::Method::POST { HttpMethod::Post } else { HttpMethod::Get };
        paths.add_path_operation(route.path, vec![method], operation(route, says));
    }
    let components = schemas
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema));
    let components = components
        .security_scheme("token", scheme(HttpBuilder::new().scheme(HttpAuthScheme::Bearer), TOKEN))
        .security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("remit-PORT", SESSION))),
        )
        .security_scheme(
            "certificate",
            SecurityScheme::MutualTls {
                description: Some(CERTIFICATE.into()),
                extensions: None,
                deprecated: None,
            },
        )
        .build();
    let info = InfoBuilder::new()
        .title("remit admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

const ABOUT: &str = "For operators of one node, and for remit's own command line. Changes are in the journal under the operator's name.";
const TOKEN: &str = "The content of admin.token in the node's state folder.";
const SESSION: &str = "A browser that signed in. PORT is that of the address; over TLS the name begins with `__Host-`. Changes need the \
    session's token as well, in the header `remit-csrf` (see /v1/session).";
const CERTIFICATE: &str =
    "An X.509-SVID or a client certificate that names one of [[operators]], at listen.admin_tls.";

fn scheme(http: HttpBuilder, description: &str) -> SecurityScheme {
    SecurityScheme::Http(http.description(Some(description)).build())
}

fn operation(route: &Route, says: &Says) -> Operation {
    let nouns = route.path.trim_start_matches("/v1").split('/').filter(|part| !part.is_empty());
    let tag = nouns.clone().next().unwrap_or_default().trim_end_matches(".json").to_owned();
    let words: Vec<_> = nouns.map(|part| part.trim_matches(['{', '}']).replace('.', "_")).collect();
    let id = format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"));
    let mut operation = OperationBuilder::new().tag(tag).summary(Some(says.summary)).operation_id(Some(id));
    for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let parameter =
            ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        operation = operation.parameter(parameter.schema(Some(names::text(names::ULID))));
    }
    for parameter in &says.query {
        operation = operation.parameter(parameter.clone());
    }
    if let Some(body) = &says.body {
        let body = RequestBodyBuilder::new()
            .content("application/json", body.content())
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    for (status, kind, part) in &says.answers {
        let answer = ResponseBuilder::new().description("As asked for.").content(*kind, part.content());
        operation = operation.response(status.to_string(), answer);
    }
    let problem = Content::new(Some(Ref::from_schema_name(ProblemBody::<'static>::name())));
    let problem = ResponseBuilder::new()
        .description("What was in the way.")
        .content("application/problem+json", problem);
    operation = operation.response("default", problem);
    match route.asks {
        // One that is empty: nothing has to be shown.
        Asks::Nobody => operation.securities(Some([SecurityRequirement::default()])).build(),
        Asks::For(role) => {
            let needs = ["token", "session", "certificate"];
            let needs = needs.map(|name| SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
            operation
                .description(Some(format!("For the role `{}`.", role.as_str())))
                .securities(Some(needs))
                .build()
        }
    }
}
