//! In which form callers hear of a refusal.

use crate::call::{AwsError, JsonError, Peek, RpcCall, RpcRequest, SoapVersion, Wire};

use super::super::wire::named_services;
use super::{CATALOG, head, with_header};

/// As `METHOD host/path`, with header fields and a body.
fn wire(request: &str, headers: &[(&str, &str)], body: &str) -> Wire {
    let (method, rest) = request.split_once(' ').unwrap();
    let at = rest.find('/').unwrap_or(rest.len());
    let mut head = head(method, &rest[..at], if at == rest.len() { "/" } else { &rest[at..] });
    for (name, value) in headers {
        head = with_header(head, name, value);
    }
    let peek = Peek { bytes: bytes::Bytes::copy_from_slice(body.as_bytes()), whole: true };
    CATALOG.with(|catalog| catalog.wire(&head, &peek))
}

#[test]
fn services_in_errors_toml_are_services() {
    let services: Vec<String> =
        CATALOG.with(|catalog| catalog.services().map(|service| service.to_string()).collect());
    let named = named_services();
    assert_eq!(named.len(), 7);
    let mut seen = Vec::new();
    for name in named.values().flatten() {
        let known = match name.strip_suffix('*') {
            Some(beginning) => services.iter().any(|service| service.starts_with(beginning)),
            None => services.contains(name),
        };
        assert!(known, "`{name}` is no service");
        assert!(!seen.contains(&name), "`{name}` stands there twice");
        seen.push(name);
    }
}

#[test]
fn rest_services_tell_errors_as_their_clients_read_them() {
    let json = |form| Wire::Json(form);
    for (request, expected) in [
        ("DELETE api.github.com/repos/o/r", json(JsonError::Message)),
        ("POST api.stripe.com/v1/charges", json(JsonError::ErrorObject)),
        ("POST api.openai.com/v1/chat/completions", json(JsonError::ErrorObject)),
        ("POST api.anthropic.com/v1/messages", json(JsonError::TypedError)),
        ("POST slack.com/api/chat.postMessage", json(JsonError::OkFalse)),
        ("POST storage.googleapis.com/storage/v1/b", json(JsonError::Google)),
        ("POST gmail.googleapis.com/gmail/v1/users/me/messages/send", json(JsonError::Google)),
        ("DELETE graph.microsoft.com/v1.0/me", json(JsonError::Odata)),
        ("POST nobody.example/things", Wire::Problem),
        ("GET api.datadoghq.com/", Wire::Json(JsonError::ErrorObject)),
    ] {
        assert_eq!(wire(request, &[], "{}"), expected, "{request}");
    }
    let odata = wire("PATCH crm.example/api/data/v9.2/accounts(1)", &[("odata-version", "4.0")], "{}");
    assert_eq!(odata, Wire::Json(JsonError::Odata));
}

#[test]
fn aws_is_told_by_what_the_request_speaks() {
    let amz_json =
        [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.PutItem")];
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (request, headers, body, expected) in [
        ("POST dynamodb.us-east-1.amazonaws.com/", &amz_json[..], "{}", AwsError::Json),
        ("POST sts.amazonaws.com/", &[form][..], "Action=AssumeRole&Version=2011-06-15", AwsError::Query),
        ("POST iam.amazonaws.com/", &[form], "Action=CreateUser&Version=2010-05-08", AwsError::Query),
        (
            "POST ec2.us-east-1.amazonaws.com/",
            &[form],
            "Action=RunInstances&Version=2016-11-15",
            AwsError::Ec2,
        ),
        ("POST lambda.us-east-1.amazonaws.com/2015-03-31/functions", &[], "{}", AwsError::RestJson),
        ("PUT bucket.s3.amazonaws.com/key", &[], "x", AwsError::Xml),
        ("PUT s3.eu-central-1.amazonaws.com/bucket/key", &[], "x", AwsError::Xml),
        ("POST route53.amazonaws.com/2013-04-01/hostedzone", &[], "<a/>", AwsError::Query),
        (
            "POST nobody.example/service/S/operation/O",
            &[("smithy-protocol", "rpc-v2-cbor")],
            "",
            AwsError::Cbor,
        ),
        (
            "PUT minio.example/bucket/key",
            &[(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AK/20261125/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
            )],
            "x",
            AwsError::Xml,
        ),
    ] {
        assert_eq!(wire(request, headers, body), Wire::Aws(expected), "{request}");
    }
}

#[test]
fn json_rpc_pairs_answers_with_requests() {
    let call = |body: &str, headers: &[(&str, &str)]| match wire("POST mcp.example/mcp", headers, body) {
        Wire::JsonRpc(call) => call,
        other => panic!("{other:?}"),
    };
    let both = [("accept", "application/json, text/event-stream")];
    let tool = call(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#, &both);
    assert_eq!(
        tool,
        RpcCall { requests: vec![RpcRequest { id: "1".into(), tool: true }], batch: false, stream: false }
    );
    let batch = call(
        r#"[{"jsonrpc":"2.0","id":"a","method":"resources/subscribe"},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":2,"result":{}}]"#,
        &[("accept", "text/event-stream")],
    );
    assert_eq!(
        batch.requests,
        [RpcRequest { id: "\"a\"".into(), tool: false }],
        "notifications and answers want none"
    );
    assert!(batch.batch && batch.stream);
}

#[test]
fn other_protocols_are_told_by_media_type_place_and_body() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let graphql = |own_media, batch| Wire::GraphQl { batch, own_media };
    let mutation = r#"{"query":"mutation { a }"}"#;
    for (request, headers, body, expected) in [
        ("POST api.github.com/graphql", &[][..], mutation, graphql(false, None)),
        (
            "POST api.linear.app/graphql",
            &[("accept", "application/graphql-response+json, application/json")],
            mutation,
            graphql(true, None),
        ),
        ("POST nobody.example/v2", &[], mutation, graphql(false, None)),
        (
            "POST nobody.example/graphql",
            &[],
            r#"[{"query":"mutation { a }"},{"query":"{ b }"}]"#,
            graphql(false, Some(2)),
        ),
        ("POST nobody.example/p.S/M", &[("content-type", "application/grpc+proto")], "", Wire::Grpc),
        (
            "POST nobody.example/p.S/M",
            &[("content-type", "application/grpc-web-text")],
            "",
            Wire::GrpcWeb { media: "application/grpc-web-text".into() },
        ),
        ("POST nobody.example/p.S/M", &[("connect-protocol-version", "1")], "{}", Wire::Connect),
        ("POST login.example/oauth2/token", &[form], "grant_type=client_credentials", Wire::OAuth),
        (
            "POST oauth2.googleapis.com/token",
            &[form],
            "grant_type=refresh_token&refresh_token=x",
            Wire::OAuth,
        ),
        (
            "POST soap.example/svc",
            &[("content-type", "text/xml"), ("soapaction", "\"urn:Do\"")],
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><Do/></s:Body></s:Envelope>",
            Wire::Soap(SoapVersion::V1_1),
        ),
        (
            "POST soap.example/svc",
            &[("content-type", "application/soap+xml")],
            "<x/>",
            Wire::Soap(SoapVersion::V1_2),
        ),
        ("GET git.example/demo.git/info/refs?service=git-receive-pack", &[], "", Wire::Text),
        ("POST git.example/demo.git/git-receive-pack", &[], "0000", Wire::Text),
        ("MKCOL dav.example/folder", &[], "", Wire::WebDav),
    ] {
        assert_eq!(wire(request, headers, body), expected, "{request} {body}");
    }
}
