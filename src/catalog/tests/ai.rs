//! What tracing tools are told of models and tools.

use super::*;

fn told(request: &str, body: &str) -> Vec<Operation> {
    let (method, place) = request.split_once(' ').unwrap();
    let (host, path) = place.split_once('/').unwrap();
    let asked = with_header(head(method, host, &format!("/{path}")), "content-type", "application/json");
    CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_bytes()).iter().cloned().collect())
}

#[test]
fn a_model_is_told_from_the_body_or_the_path_and_changes_no_class() {
    for (request, body, word, provider, model) in [
        (
            "POST api.openai.com/v1/chat/completions",
            r#"{"model":"m-1","messages":[]}"#,
            "chat",
            "openai",
            Some("m-1"),
        ),
        (
            "POST api.openai.com/v1/embeddings",
            r#"{"input":"x","model":"e-2"}"#,
            "embeddings",
            "openai",
            Some("e-2"),
        ),
        ("POST api.anthropic.com/v1/messages", r#"{"model":"c-3"}"#, "chat", "anthropic", Some("c-3")),
        ("POST api.anthropic.com/v1/messages", "not json", "chat", "anthropic", None),
        (
            "POST bedrock-runtime.us-east-1.amazonaws.com/model/b-4/converse",
            "{}",
            "chat",
            "aws.bedrock",
            Some("b-4"),
        ),
    ] {
        let operations = told(request, body);
        let [one] = operations.as_slice() else { panic!("{operations:?}") };
        let ai = one.ai.as_deref().unwrap_or_else(|| panic!("{one:?}"));
        assert_eq!(ai.operation.as_deref(), Some(word), "{request}");
        assert_eq!((ai.provider.as_deref(), ai.model.as_deref()), (Some(provider), model), "{request}");
        assert_eq!(one.how, Recognition::Exact);
    }
    assert_eq!(told("GET api.openai.com/v1/models", "")[0].ai, None);
}

#[test]
fn every_tool_of_a_batch_is_told_by_name() {
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };
    let operations = told("POST mcp.example.test/mcp", &format!("[{},{}]", call("a"), call("b")));
    let tools: Vec<_> = operations.iter().filter_map(|o| o.ai.as_ref()?.tool.as_deref()).collect();
    assert_eq!(tools, ["a", "b"]);
    let listed = told("POST mcp.example.test/mcp", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let ai = listed[0].ai.as_deref().unwrap();
    assert_eq!((ai.mcp_method.as_deref(), &ai.tool, &ai.operation), (Some("tools/list"), &None, &None));
    let a2a = told("POST agents.example.test/a2a", r#"{"jsonrpc":"2.0","id":1,"method":"message/send"}"#);
    assert_eq!(a2a[0].ai, None);
}
