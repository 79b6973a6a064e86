//! What is asked: methods, paths, parameters, formats, headers.

use std::sync::{Arc, Mutex};

use reqwest::Method;
use silta::access::interaction::ResourceType;
use silta::gateway::request::{Content, Format, Id, Interaction, Request, Tag};

use crate::support::gateway::{Answer, Plan, Site, care_plan};

/// A site that keeps what reached the interactions.
async fn keeping() -> (Site, Arc<Mutex<Vec<Request>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let site = Plan::new(move |request| {
        keep.lock().unwrap().push(request);
        async { Ok(care_plan()) }
    });
    (site.start().await, kept)
}

#[tokio::test]
async fn what_fhir_defines_is_told_from_what_is_not_offered_and_what_is_unknown() {
    let site = Plan::usual().start().await;
    let county = site.county();
    let expected = [
        ("GET", "/CarePlan/1", 200, ""),
        ("GET", "/CarePlan/1/", 200, ""),
        ("GET", "/CarePlan/1/_history/3", 200, ""),
        ("GET", "/CarePlan", 200, ""),
        ("GET", "/CarePlan?status=active", 200, ""),
        ("POST", "/CarePlan/_search", 200, ""),
        ("GET", "/metadata", 200, ""),
        ("POST", "/CarePlan", 400, "required"),
        ("PUT", "/CarePlan/1", 400, "required"),
        ("PUT", "/CarePlan/not_an_id", 400, "value"),
        ("GET", "/CarePlan/not_an_id", 404, "not-found"),
        ("GET", "/Observation/1", 404, "not-supported"),
        ("GET", "/Observation", 404, "not-supported"),
        ("GET", "/CarePlans/1", 404, "not-supported"),
        ("GET", "/careplan/1", 404, "not-supported"),
        ("GET", "/DomainResource/1", 404, "not-supported"),
        ("GET", "/HumanName/1", 404, "not-supported"),
        ("GET", "/favicon.ico", 404, "not-supported"),
        ("GET", "/Patient/1/CarePlan", 404, "not-supported"),
        ("GET", "/CarePlan/1/2/3/4", 404, "not-supported"),
        ("GET", "/", 405, "not-supported"),
        ("POST", "/", 405, "not-supported"),
        ("GET", "/_history", 405, "not-supported"),
        ("GET", "/$convert", 405, "not-supported"),
        ("GET", "/CarePlan/_history", 405, "not-supported"),
        ("GET", "/CarePlan/1/_history", 405, "not-supported"),
        ("POST", "/CarePlan/$validate", 405, "not-supported"),
        ("GET", "/CarePlan/1/$apply", 405, "not-supported"),
        ("GET", "/CarePlan/_search", 405, "not-supported"),
        ("POST", "/CarePlan/1", 405, "not-supported"),
        ("PATCH", "/CarePlan/1", 405, "not-supported"),
        ("DELETE", "/CarePlan/1", 405, "not-supported"),
        ("DELETE", "/CarePlan?status=draft", 405, "not-supported"),
        ("PUT", "/CarePlan?status=draft", 405, "not-supported"),
        ("POST", "/metadata", 405, "not-supported"),
        ("PUT", "/Binary/1", 405, "not-supported"),
        ("OPTIONS", "/CarePlan/1", 405, "not-supported"),
        ("TRACE", "/CarePlan/1", 405, "not-supported"),
        ("BREW", "/CarePlan/1", 405, "not-supported"),
    ];
    for (method, path, status, code) in expected {
        let answer = Answer::to(county.request(method.parse().unwrap(), site.url(path))).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if !code.is_empty() {
            assert_eq!(answer.issue(), (status, "error".to_owned(), code.to_owned()), "{method} {path}");
        }
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method} {path}");
    }
    let refused = Answer::to(county.delete(site.url("/CarePlan/1"))).await;
    assert_eq!(refused.header("allow"), "GET, HEAD, PUT");
    let refused = Answer::to(county.delete(site.url("/CarePlan?status=draft"))).await;
    assert_eq!(refused.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn the_interactions_get_everything_that_was_said() {
    let (site, kept) = keeping().await;
    let body = r#"{"resourceType":"CarePlan","id":"1"}"#;
    let answer = Answer::to(
        site.county()
            .put(site.url("/CarePlan/1?a=1&b=%C3%A4+%2B&a=2&_format=xml&_pretty=true&empty=&flag"))
            .header("content-type", "application/fhir+json; charset=UTF-8; fhirVersion=4.0")
            .header("if-match", "W/\"3\"")
            .header("if-none-match", "W/\"7\", \"8\"")
            .header("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("prefer", "return=minimal; handling=strict, respond-async")
            .header("x-request-id", "the-callers.own_1")
            .body(body),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let requests = kept.lock().unwrap();
    let request = requests.first().unwrap();
    let kind = ResourceType::named("CarePlan").unwrap();
    assert_eq!(request.interaction, Interaction::Update(kind, Id::new("1")));
    let pairs: Vec<(&str, &str)> = request.parameters.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, [("a", "1"), ("b", "ä +"), ("a", "2"), ("empty", ""), ("flag", "")]);
    assert_eq!(request.caller.name, "county");
    assert_eq!(request.id.as_str(), "the-callers.own_1");
    assert_eq!(answer.header("x-request-id"), "the-callers.own_1");
    assert_eq!(request.answer, Format::Xml);
    assert_eq!(answer.header("content-type"), "application/fhir+xml; charset=utf-8");
    let payload = request.body.as_ref().unwrap();
    assert_eq!((payload.format, &payload.bytes[..]), (Format::Json, body.as_bytes()));
    assert_eq!(request.conditions.if_match, [Tag::Is("3".to_owned())]);
    assert_eq!(request.conditions.if_none_match, [Tag::Is("7".to_owned()), Tag::Is("8".to_owned())]);
    assert_eq!(request.conditions.if_modified_since, Some("1994-11-06T08:49:37Z".parse().unwrap()));
    assert_eq!(request.prefer.content, Content::Minimal);
    assert!(request.prefer.strict && request.prefer.asynchronous);
    assert_eq!(&*request.base, site.url(""));
}

#[tokio::test]
async fn a_search_by_post_has_the_parameters_of_both_the_url_and_the_form() {
    let (site, kept) = keeping().await;
    let answer = Answer::to(
        site.county()
            .post(site.url("/CarePlan/_search?_count=5"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("patient.identifier=urn%3Aoid%3A1.2.246.21%7C010190-900X&_format=application%2Ffhir%2Bxml"),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/fhir+xml; charset=utf-8");
    let requests = kept.lock().unwrap();
    let request = requests.first().unwrap();
    let pairs: Vec<(&str, &str)> = request.parameters.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, [("_count", "5"), ("patient.identifier", "urn:oid:1.2.246.21|010190-900X")]);
    assert!(matches!(request.interaction, Interaction::Search(Some(_))) && request.body.is_none());
}

#[tokio::test]
async fn a_personal_identity_code_in_a_url_is_refused_and_the_post_form_named() {
    let (site, kept) = keeping().await;
    let county = site.county();
    for path in [
        "/CarePlan?patient.identifier=urn:oid:1.2.246.21%7C010190-900X",
        "/CarePlan?patient.identifier=010190-900X",
        "/CarePlan?patient.identifier=010190-900x",
        "/CarePlan?patient.identifier=010190A900X",
        "/CarePlan?patient:identifier=http://x%7C1,urn:oid:1.2.246.21%7Cabc",
        "/CarePlan?subject:Patient.identifier=%30%31%30%31%39%30-900X",
        "/CarePlan?_has:Task:focus:owner=(010190%2B900X)",
        "/CarePlan?patient.identifier=urn:oid:1.2.752.129.2.1.3.1%7C199001019009",
        "/CarePlan/010190-900X",
        "/CarePlan/x.010190-900X",
    ] {
        let answer = Answer::to(county.get(site.url(path))).await;
        assert_eq!(answer.issue(), (400, "error".to_owned(), "value".to_owned()), "{path}");
        assert!(answer.text.contains("POST [base]/CarePlan/_search"), "{}", answer.text);
        assert!(!answer.text.contains("010190"), "the code is not said again: {}", answer.text);
    }
    assert!(kept.lock().unwrap().is_empty(), "none of them reached the interactions");
    for path in [
        "/CarePlan?patient.identifier=http://hospital.example/id%7C12345",
        "/CarePlan?patient.identifier=991390-900X",
        "/CarePlan?patient.identifier=urn:oid:1.2.246.21%7C",
        "/CarePlan?identifier=3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "/CarePlan?_lastUpdated=ge2026-02-01T10:00:00",
        "/CarePlan/1",
    ] {
        assert_eq!(Answer::to(county.get(site.url(path))).await.status, 200, "{path}");
    }
    let allowing = Plan::usual().with(|server| server.identity_codes_in_urls = true).start().await;
    let answer = Answer::to(allowing.county().get(allowing.url("/CarePlan?patient.identifier=010190-900X"))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_format_is_chosen_by_format_parameter_then_accept_then_json() {
    let site = Plan::usual().start().await;
    let county = site.county();
    let (json, xml) = ("application/fhir+json; charset=utf-8", "application/fhir+xml; charset=utf-8");
    for (accept, query, expected) in [
        (None, "", json),
        (Some("*/*"), "", json),
        (Some("application/fhir+xml"), "", xml),
        (Some("application/xml"), "", xml),
        (Some("text/xml; q=0.5, application/json; q=0.4"), "", xml),
        (Some("text/html, application/fhir+xml;q=0.9, */*;q=0.8"), "", xml),
        (Some("application/fhir+json; fhirVersion=4.0"), "", json),
        (Some("application/fhir+xml"), "?_format=json", json),
        (Some("text/html"), "?_format=application/fhir+xml", xml),
        (Some("text/html"), "?_format=application/fhir%2Bxml", xml),
        (None, "?_format=xml", xml),
    ] {
        let mut request = county.get(site.url(&format!("/CarePlan/1{query}")));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = Answer::to(request).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{accept:?} {query}");
        assert_eq!(answer.text.starts_with('<'), expected == xml);
    }
    for (accept, query) in [
        ("text/html", ""),
        ("application/fhir+json; q=0", ""),
        ("application/fhir+json; fhirVersion=5.0", ""),
        ("*/*", "?_format=ttl"),
        ("*/*", "?_format=application/fhir%2Bjson;fhirVersion=3.0"),
    ] {
        let request = county.get(site.url(&format!("/CarePlan/1{query}"))).header("accept", accept);
        let answer = Answer::to(request).await;
        assert_eq!(answer.issue(), (406, "error".to_owned(), "not-supported".to_owned()), "{accept} {query}");
    }
    let binary = county.get(site.url("/Binary/1")).header("accept", "application/pdf");
    assert_eq!(Answer::to(binary).await.status, 200, "a Binary may be asked for in its own media type");
}

#[tokio::test]
async fn bodies_and_headers_that_cannot_be_read_are_told_apart() {
    let site = Plan::usual().start().await;
    let county = site.county();
    for (content_type, extra, status, code) in [
        ("application/fhir+json", ("x-plain", "1"), 200, ""),
        ("application/json", ("x-plain", "1"), 200, ""),
        ("text/xml; charset=utf-8", ("x-plain", "1"), 200, ""),
        ("text/plain", ("x-plain", "1"), 415, "not-supported"),
        ("nonsense", ("x-plain", "1"), 415, "not-supported"),
        ("application/x-www-form-urlencoded", ("x-plain", "1"), 415, "not-supported"),
        ("application/fhir+json; charset=latin1", ("x-plain", "1"), 415, "not-supported"),
        ("application/fhir+json; fhirVersion=5.0", ("x-plain", "1"), 415, "not-supported"),
        ("application/fhir+json", ("content-encoding", "gzip"), 415, "not-supported"),
        ("application/fhir+json", ("if-match", "*"), 200, ""),
        ("application/fhir+json", ("if-match", "W/\"1\", W/\"2\""), 200, ""),
        ("application/fhir+json", ("if-match", "W/\"1\", 2"), 400, "value"),
        ("application/fhir+json", ("if-match", "3"), 400, "value"),
        ("application/fhir+json", ("if-none-exist", "a=%zz"), 405, "not-supported"),
    ] {
        let request = if extra.0 == "if-none-exist" {
            county.post(site.url("/CarePlan"))
        } else {
            county.put(site.url("/CarePlan/1"))
        };
        let answer = Answer::to(request.header("content-type", content_type).header(extra.0, extra.1).body("{}")).await;
        assert_eq!(answer.status, status, "{content_type} {extra:?}: {}", answer.text);
        if status != 200 {
            assert_eq!(answer.issue().2, code, "{content_type} {extra:?}");
        }
    }
    let without = county.request(Method::PUT, site.url("/CarePlan/1")).body("{}");
    assert_eq!(Answer::to(without).await.issue(), (415, "error".to_owned(), "not-supported".to_owned()));
}

#[tokio::test]
async fn broken_escapes_and_bytes_that_are_not_utf_8_are_refused() {
    let site = Plan::usual().start().await;
    let secret = crate::support::gateway::county_secret();
    for target in [
        "/CarePlan?a=%",
        "/CarePlan?a=%4",
        "/CarePlan?a=%zz",
        "/CarePlan?%ff=1",
        "/CarePlan?a=%C3%28",
        "/%FF",
        "/CarePlan?a=%00",
    ] {
        let text = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\nconnection: close\r\n\r\n"
        );
        let answer = site.exchange(&text).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert!(answer.contains(r#""code":"structure""#), "{target}: {answer}");
    }
    let hostless = format!("GET /CarePlan/1 HTTP/1.1\r\nauthorization: Bearer {secret}\r\nconnection: close\r\n\r\n");
    assert!(site.exchange(&hostless).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn below_a_configured_base_url_its_path_is_the_root() {
    let plan = Plan::usual().with(|server| server.base_url = Some("https://fhir.example.org/r4".to_owned()));
    let site = plan.start().await;
    let county = site.county();
    assert_eq!(Answer::to(county.get(site.url("/r4/CarePlan/1"))).await.status, 200);
    assert_eq!(Answer::to(county.get(site.url("/CarePlan/1"))).await.status, 404);
    assert_eq!(Answer::to(county.get(site.url("/r4x/CarePlan/1"))).await.status, 404);
    let statement = Answer::to(county.get(site.url("/r4/metadata"))).await.json();
    assert_eq!(statement["implementation"]["url"], "https://fhir.example.org/r4");
}
