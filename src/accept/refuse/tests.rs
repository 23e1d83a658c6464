//! Each wire form, as its clients would parse it.

use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Wording, answer, message};
use crate::call::{
    AwsError, CallId, Class, Decision, Dialect, HoldId, JsonError, OperationId, PolicyId, Reason, Refusal,
    RpcCall, RpcRequest, RulesDigest, Ruling, SoapVersion, Wire,
};

const CALL: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn ruling(decision: Decision) -> Ruling {
    let reason = Reason {
        policy: PolicyId("no-acts".into()),
        reason: Some("acts < 3 & \"few\"".into()),
        advice: Some("Ask first.".into()),
        hold: (decision == Decision::Hold).then(|| "owners".into()),
    };
    Ruling::assertion(decision, vec![reason], None, RulesDigest([0; 32]))
}

fn denied() -> Refusal {
    let operation = OperationId("github:issues/create".into());
    Refusal::PolicyDenied { class: Class::Act, operation, ruling: Box::new(ruling(Decision::Deny)) }
}

fn held() -> Refusal {
    let hold: HoldId = "01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap();
    let operation = OperationId("github:issues/create".into());
    Refusal::Held { class: Class::Act, operation, hold, ruling: Box::new(ruling(Decision::Hold)) }
}

struct Got {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
    fn media(&self) -> &str {
        self.header("content-type")
    }
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn say(refusal: &Refusal, wire: Wire) -> Got {
    let call: CallId = CALL.parse().unwrap();
    let answer = answer(refusal, &Wording { call: Some(call), wire, tunnel: true });
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let got = Got { status: head.status, headers: head.headers, body };
    assert_eq!((got.header("remit-refusal"), got.header("remit-call")), (refusal.code(), CALL));
    got
}

fn message_of(refusal: &Refusal) -> String {
    format!("{refusal}. {}", refusal.advice())
}

#[tokio::test]
async fn a_problem_says_everything_to_whoever_is_not_known() {
    let got = say(&held(), Wire::Problem).await;
    assert_eq!((got.status.as_u16(), got.media()), (425, "application/problem+json; charset=utf-8"));
    let problem = got.json();
    assert_eq!(problem["hold"], "01BX5ZZKBKACTAV9WEVGEMMVRZ");
    assert_eq!(problem["approvers"], json!(["owners"]));
    assert_eq!((&problem["code"], &problem["advice"]), (&json!("held"), &json!("Ask first.")));
    assert!(problem["detail"].as_str().unwrap().contains("held for a person of `owners`"), "{problem}");
    assert_eq!((got.header("retry-after"), got.header("x-should-retry")), ("15", ""));
}

#[tokio::test]
async fn aws_clients_find_code_and_message() {
    for form in [AwsError::Json, AwsError::RestJson] {
        let got = say(&denied(), Wire::Aws(form)).await;
        assert_eq!((got.status, &got.json()["__type"]), (StatusCode::FORBIDDEN, &json!("AccessDenied")));
        assert_eq!(got.json()["message"], message_of(&denied()));
        let header = if form == AwsError::RestJson { "AccessDenied" } else { "" };
        assert_eq!(got.header("x-amzn-errortype"), header);
    }
    let told = "<Code>AccessDenied</Code><Message>`github:issues/create` (act) is refused by policy no-acts: acts &lt; 3 &amp; \"few\". Ask first.</Message>";
    for (form, begins) in [
        (AwsError::Query, "<ErrorResponse><Error><Type>Sender</Type>"),
        (AwsError::Ec2, "<Response><Errors><Error>"),
        (AwsError::Xml, "<Error>"),
    ] {
        let got = say(&denied(), Wire::Aws(form)).await;
        assert!(got.text().contains(&format!("{begins}{told}")), "{}", got.text());
        assert!(got.text().contains(CALL));
    }
    let got = say(&held(), Wire::Aws(AwsError::Json)).await;
    assert_eq!((got.status.as_u16(), &got.json()["__type"]), (425, &json!("AccessDenied")));
}

#[tokio::test]
async fn cbor_is_a_map_of_two_texts() {
    let got = say(&denied(), Wire::Aws(AwsError::Cbor)).await;
    assert_eq!((got.media(), got.header("smithy-protocol")), ("application/cbor", "rpc-v2-cbor"));
    let text = message_of(&denied());
    let mut expected = b"\xa2\x66__type\x6cAccessDenied\x67message\x7b".to_vec();
    expected.extend_from_slice(&(text.len() as u64).to_be_bytes());
    expected.extend_from_slice(text.as_bytes());
    assert_eq!(got.body, expected);
}

#[tokio::test]
async fn json_shapes_are_those_that_their_clients_read() {
    let message = message_of(&denied());
    let said = async |form| say(&denied(), Wire::Json(form)).await.json();
    assert_eq!(said(JsonError::Message).await["message"], message);
    assert_eq!(said(JsonError::ErrorObject).await["error"]["message"], message);
    let google = said(JsonError::Google).await;
    assert_eq!(
        (&google["error"]["code"], &google["error"]["status"]),
        (&json!(403), &json!("PERMISSION_DENIED"))
    );
    assert_eq!(google["error"]["details"][0]["reason"], "POLICY_DENIED");
    let metadata = google["error"]["details"][0]["metadata"].as_object().unwrap();
    assert!(metadata.values().all(Value::is_string), "{metadata:?}");
    let typed = said(JsonError::TypedError).await;
    assert_eq!((&typed["type"], &typed["error"]["type"]), (&json!("error"), &json!("permission_error")));
    assert_eq!(said(JsonError::Odata).await["error"]["innererror"]["request-id"], CALL);
    let status = said(JsonError::KubernetesStatus).await;
    assert_eq!(
        (&status["kind"], &status["status"], &status["code"]),
        (&json!("Status"), &json!("Failure"), &json!(403))
    );
    let slack = say(&denied(), Wire::Json(JsonError::OkFalse)).await;
    assert_eq!((slack.status, &slack.json()["ok"]), (StatusCode::OK, &json!(false)));
    assert_eq!(slack.json()["error"], "policy_denied");
    for form in [JsonError::Message, JsonError::Google, JsonError::OkFalse, JsonError::TypedError] {
        assert_eq!(said(form).await["operation"], "github:issues/create", "whoever reads by hand: {form:?}");
    }
}

#[tokio::test]
async fn graphql_has_errors_and_a_status_that_its_clients_look_behind() {
    let got = say(&denied(), Wire::GraphQl { batch: None, own_media: false }).await;
    assert_eq!((got.status, got.media()), (StatusCode::OK, "application/json"));
    assert_eq!(got.json()["errors"][0]["message"], message_of(&denied()));
    assert_eq!(got.json()["errors"][0]["extensions"]["code"], "policy_denied");
    assert!(got.json().get("data").is_none(), "nothing was run");
    let got = say(&held(), Wire::GraphQl { batch: Some(2), own_media: true }).await;
    assert_eq!((got.status.as_u16(), got.media()), (425, "application/graphql-response+json"));
    assert_eq!(got.json().as_array().map(Vec::len), Some(2));
}

fn rpc(id: &str, tool: bool) -> RpcRequest {
    RpcRequest { id: id.into(), tool }
}

#[tokio::test]
async fn a_tool_call_gets_a_result_that_a_model_reads_and_other_methods_an_error() {
    let call = RpcCall { requests: vec![rpc("7", true)], batch: false, stream: false };
    let got = say(&held(), Wire::JsonRpc(call)).await;
    assert_eq!((got.status, &got.json()["id"]), (StatusCode::OK, &json!(7)));
    let result = &got.json()["result"];
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0], json!({ "type": "text", "text": message_of(&held()) }));
    assert_eq!(result["_meta"]["remit/refusal"]["approvers"], json!(["owners"]));

    let requests = vec![rpc("\"a\"", false), rpc("2", true)];
    let got = say(&denied(), Wire::JsonRpc(RpcCall { requests, batch: true, stream: false })).await;
    assert_eq!(got.json()[0]["error"]["code"], -32003);
    assert_eq!((&got.json()[0]["id"], &got.json()[1]["id"]), (&json!("a"), &json!(2)));
    assert_eq!(got.json()[1]["result"]["isError"], true);
}

#[tokio::test]
async fn json_rpc_says_it_in_the_status_where_nobody_waits_and_as_an_event_where_those_are_waited_for() {
    let got = say(&denied(), Wire::JsonRpc(RpcCall::default())).await;
    assert_eq!((got.status, &got.json()["id"]), (StatusCode::FORBIDDEN, &Value::Null));
    let call = RpcCall { requests: vec![rpc("1", false)], batch: false, stream: true };
    let got = say(&denied(), Wire::JsonRpc(call.clone())).await;
    assert_eq!(got.media(), "text/event-stream");
    let data = got.text().lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["error"]["code"], -32003);
    let got = say(&Refusal::IdentityRequired, Wire::JsonRpc(call)).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED, "a challenge is HTTP's, whatever is spoken above it");
    assert!(got.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn grpc_and_its_relatives_have_their_codes() {
    for (wire, media) in [
        (Wire::Grpc, "application/grpc"),
        (Wire::GrpcWeb { media: "application/grpc-web+proto".into() }, "application/grpc-web+proto"),
    ] {
        let got = say(&denied(), wire).await;
        assert_eq!((got.status, got.media(), got.header("grpc-status")), (StatusCode::OK, media, "7"));
        assert!(got.header("grpc-message").contains("Ask first."));
    }
    assert_eq!(
        say(&held(), Wire::Grpc).await.header("grpc-status"),
        "9",
        "not until somebody has approved it"
    );
    let got = say(&denied(), Wire::Connect).await;
    assert_eq!((got.status, &got.json()["code"]), (StatusCode::FORBIDDEN, &json!("permission_denied")));
}

#[tokio::test]
async fn token_endpoints_have_an_error_of_oauth() {
    let got = say(&denied(), Wire::OAuth).await;
    assert_eq!((got.status, &got.json()["error"]), (StatusCode::FORBIDDEN, &json!("access_denied")));
    let description = got.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.contains("acts < 3 & 'few'"), "{description}");
    assert!(description.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\'));
}

#[tokio::test]
async fn soap_and_webdav_have_well_formed_xml() {
    let old = say(&denied(), Wire::Soap(SoapVersion::V1_1)).await;
    assert_eq!(old.status, StatusCode::INTERNAL_SERVER_ERROR, "SOAP 1.1 knows no other");
    assert!(old.text().contains("<faultcode>s:Client</faultcode><faultstring>`github:issues/create`"));
    let new = say(&denied(), Wire::Soap(SoapVersion::V1_2)).await;
    assert_eq!((new.status, new.media()), (StatusCode::BAD_REQUEST, "application/soap+xml; charset=utf-8"));
    assert!(new.text().contains("<s:Value>s:Sender</s:Value>"));
    let dav = say(&denied(), Wire::WebDav).await;
    assert!(dav.text().contains("<D:error xmlns:D=\"DAV:\">") && dav.text().contains("acts &lt; 3 &amp;"));
    let text = say(&denied(), Wire::Text).await;
    assert_eq!(
        (text.media(), text.text()),
        ("text/plain; charset=utf-8", &*format!("{}\n", message_of(&denied())))
    );
}

#[test]
fn a_tool_call_over_a_websocket_gets_a_result_too() {
    let call: CallId = CALL.parse().unwrap();
    let said = message(&denied(), &Dialect::JsonRpc { id: "3".into(), tool: true }, call).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["result"]["isError"], true);
    let said = message(&denied(), &Dialect::JsonRpc { id: "3".into(), tool: false }, call).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["error"]["data"]["call"], CALL);
}
