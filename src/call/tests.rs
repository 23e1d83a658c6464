use super::*;

#[test]
fn hosts_have_one_canonical_form() {
    for (spelt, canonical) in [
        ("API.GitHub.com.", "api.github.com"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("[::FFFF:7f00:1]", "[::ffff:127.0.0.1]"),
        ("_dmarc.example.org", "_dmarc.example.org"),
    ] {
        assert_eq!(Host::parse(spelt).map(|h| h.to_string()), Ok(canonical.to_owned()), "{spelt}");
    }
}

#[test]
fn doubtful_hosts_are_refused() {
    for spelt in [
        "",
        ".",
        "a..b",
        "a b",
        "a%2eb",
        "exämple.org",
        "a@b",
        "a#b",
        "a,b",
        "[[::1]]",
        "[evil.test]",
        "evil.test/x",
        "a\0b",
        "[fe80::1%25eth0]",
        "-.\u{3002}",
        "1.2.3.4.5:",
        "256.256.256.256",
    ] {
        assert!(Host::parse(spelt).is_err(), "{spelt:?} was taken for a host");
    }
}

#[test]
fn authorities_need_a_port_that_exists() {
    for text in
        ["h:0", "h:65536", "h:", "h:+80", "h:8 0", "u@h:80", "[::1]x:80", "[::1", "h:80:80", "[[h]]:443", "h"]
    {
        assert!(Origin::parse_authority(text, None).is_err(), "{text:?} was taken for an authority");
    }
    assert_eq!(
        Origin::parse_authority("H:443", None).map(|(h, p)| (h.to_string(), p)),
        Ok(("h".into(), 443))
    );
    assert_eq!(
        Origin::parse_authority("[::1]:8443", None).map(|(h, p)| (h.to_string(), p)),
        Ok(("[::1]".into(), 8443))
    );
    assert_eq!(Origin::parse_authority("h", Some(443)).map(|(_, p)| p), Ok(443));
}

#[test]
fn targets_read_in_two_ways_are_refused() {
    for raw in [
        "",
        "x",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/b",
        "/a/%2E%2E",
        "/a%2f..%2fb",
        "/a%5c..%5cb",
        "/a/..;x=1/b",
        "/a\\b",
        "/a b",
        "/a%0d%0ab",
        "/a%00",
        "/a%zz",
        "/a%2",
        "/a#b",
        "http://h/a",
    ] {
        assert!(Target::parse(raw).is_err(), "{raw:?} was let through");
    }
}

#[test]
fn paths_are_compared_decoded_and_sent_raw() -> Result<(), Box<dyn std::error::Error>> {
    let target = Target::parse("/%61pi/group%2fproject/x..y?a=%20&q=/../")?;
    assert_eq!(target.path(), "/api/group%2Fproject/x..y");
    assert_eq!(target.raw(), "/%61pi/group%2fproject/x..y?a=%20&q=/../");
    assert_eq!(target.query(), Some("a=%20&q=/../"));
    assert_eq!(target.to_string(), "/api/group%2Fproject/x..y");
    Ok(())
}

#[test]
fn traceparent_continues_or_starts_anew() -> Result<(), Box<dyn std::error::Error>> {
    struct Nines;
    impl Entropy for Nines {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(9);
        }
    }
    let call: CallId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse()?;
    let agents = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = TraceContext::of(call, Some(agents), &Nines);
    assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(context.parent.map(|p| p.to_string()).as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(context.span, SpanId::of_call(call));
    for bad in [
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "rubbish",
    ] {
        let context = TraceContext::of(call, Some(bad), &Nines);
        assert_eq!((context.trace, context.parent), (TraceId([9; 16]), None), "{bad}");
    }
    Ok(())
}

#[test]
fn timestamps_print_as_rfc_3339() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_795_500_000, "2026-11-24T06:00:00.000Z"),
        (4_107_542_399, "2100-02-28T23:59:59.000Z"),
    ] {
        assert_eq!(Timestamp::from_unix_s(seconds).to_string(), text);
    }
}

#[test]
fn spiffe_ids_are_strict() -> Result<(), Box<dyn std::error::Error>> {
    for text in [
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://Example.org/a",
        "spiffe://e.org/a//b",
        "spiffe://e.org/../b",
        "spiffe://e.org/a?b",
        "https://e.org/a",
    ] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
    let domain = TrustDomain::parse("example.org")?;
    assert_eq!(SpiffeId::parse_or_name("coder", &domain)?.as_str(), "spiffe://example.org/agent/coder");
    Ok(())
}

#[test]
fn the_strongest_operation_names_the_call() {
    let operation = |id: &str, class| Operation {
        id: OperationId(id.into()),
        service: ServiceName("s".into()),
        class,
        resource: None,
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "test".into(),
        ai: None,
    };
    let batch = Operations::batch(
        operation("s:a", Class::Read),
        vec![
            operation("s:b", Class::Delegate),
            operation("s:c", Class::Act),
            operation("s:d", Class::Delegate),
        ],
    );
    assert_eq!(batch.strongest().id.to_string(), "s:b");
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(..)");
}

#[test]
fn words_that_look_like_secrets_are_hidden_and_stay_comparable() {
    use super::veil::veil;
    for secret in [
        "ghp_R3aXk9Qm2LzT7vB4nW8sYcJ1dF6hG0pU5eKo",
        "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
        "xoxb-2468013579-AbC1dEf2GhI3jKl4MnO5",
        "9f86d081884c7d65",
        "CANARY-path-3b1f9a77c04e",
        "550e8400-e29b-41d4-a716-446655440000",
        "k7%2Bq9Zt3%2Fw1Xy5Lm8",
    ] {
        let path = format!("/v1/hooks/{secret}/send");
        let veiled = veil(&path, "").into_owned();
        assert!(!veiled.contains(secret) && veiled.contains('~'), "{veiled}");
        assert!(veiled.starts_with("/v1/hooks/") && veiled.ends_with("/send"), "{veiled}");
        assert_eq!(veiled, veil(&path, ""));
        assert_eq!(veil(&path, &format!("x {secret}")), path, "the catalog says that it is a name");
    }
}

#[test]
fn words_that_are_names_stay_readable() {
    use super::veil::veil;
    for path in [
        "/repos/octo/hello-world/issues/1347/comments",
        "/google.pubsub.v1.Publisher/ListTopicSubscriptions",
        "/2015-03-31/functions/my-function-v2/invocations",
        "/api/v4/projects/278964/repository/branches/release-2024-11-30",
        "/services/BatchGetEffectiveIamPolicies/123456789012345678",
        "/tools/call/report2024final.pdf",
        "*",
    ] {
        assert_eq!(veil(path, ""), path);
    }
}

#[test]
fn every_code_of_a_refusal_is_counted() {
    let source = include_str!("refusal/code.rs");
    let told = source.lines().filter_map(|line| {
        let (variant, code) = line.trim().split_once("=> \"")?;
        variant.starts_with("Self::").then(|| code.trim_end_matches("\","))
    });
    let mut told: Vec<_> = told.filter(|code| !code.contains(' ')).collect();
    told.sort_unstable();
    assert_eq!(told, Refusal::CODES);
}

#[test]
fn a_bad_authority_is_told_without_user_and_password() {
    for text in ["user:hunter2@host:443", "hunter2@host", "hunter2@ho st:443", "a@hunter2@host:1"] {
        let told = Origin::parse_authority(text, Some(443)).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_measurement_is_in_the_bucket_of_its_bound() {
    use super::meter::Histogram;
    let histogram = Histogram::default();
    for ns in [0, 10_000, 10_001, 30_000_000_000, u64::MAX / 4] {
        histogram.add(std::time::Duration::from_nanos(ns));
    }
    let measured = histogram.measured();
    assert_eq!(measured.count(), 5);
    assert_eq!(&measured.buckets[..2], [2, 1]);
    assert_eq!(&measured.buckets[16..], [1, 1]);
}

#[test]
fn links_of_templates_name_one_thing_and_lie_inside_one_another() {
    let link = |text: &str| TemplateLink::parse(text);
    for text in ["t=github", "t=wiki.example.org", "t:x=github/repo/octo/hello", "a.b=s3/object/b/k=v"] {
        assert_eq!(link(text).map(|link| link.to_string()), Ok(text.to_owned()));
    }
    for text in [
        "",
        "t",
        "t=",
        "=github",
        "t=github/",
        "t=github/repo",
        "t=github/repo/",
        "t=/repo/x",
        "t=github/*",
        "t=a b",
    ] {
        assert!(link(text).is_err(), "{text:?} was taken for a link");
    }
    let inside = |wide: &str, narrow: &str| link(wide).unwrap().contains(&link(narrow).unwrap());
    assert!(inside("t=github", "t=github/repo/octo/hello") && inside("t=github", "t=github"));
    assert!(!inside("t=github/repo/octo/hello", "t=github"));
    assert!(!inside("t=git", "t=github/repo/octo/hello") && !inside("t=github", "u=github"));
    assert!(!inside("t=github/repo/octo", "t=github/repo/octo/hello"));
}

#[test]
fn links_are_kept_as_text_and_older_grants_have_none() {
    let old: Grant = serde_json::from_str(r#"{"classes": ["read"]}"#).unwrap();
    assert_eq!(serde_json::to_string(&old).unwrap(), r#"{"classes":["read"]}"#);
    let text = r#"{"links":["t=github","t=github/repo/octo/hello"]}"#;
    let grant: Grant = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&grant).unwrap(), text);
    assert!(serde_json::from_str::<Grant>(r#"{"links":["t=github/*"]}"#).is_err());
    assert!(!grant.is_everything());
    assert_eq!(old.within(&grant).map(|grant| grant.links.len()), Ok(0), "none is taken over");
    let one: Grant = serde_json::from_str(r#"{"links":["t=github/repo/octo/hello"]}"#).unwrap();
    assert_eq!(one.within(&grant).map(|grant| grant.links), Ok(one.links.clone()));
    assert_eq!(grant.within(&one), Err(grant::Part::Links));
    assert_eq!(one.within(&Grant::default()), Err(grant::Part::Links), "nobody hands on what is not theirs");
    let many =
        (0..=grant::MAX_NAMES).map(|n| TemplateLink::parse(&format!("t{n}=github")).unwrap()).collect();
    assert!(Grant { links: many, ..Grant::default() }.check().is_err());
}
