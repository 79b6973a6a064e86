//! What is answered: successes, refusals, versions, the statement of what is offered, the audit.

use std::sync::Arc;
use std::time::Duration;

use silta::access::interaction::Action;
use silta::gateway::outcome::{Issue, Refusal};
use silta::gateway::respond::{Body, Response, status};
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::Validator;

use crate::support::gateway::{Answer, CARE_PLAN, Plan, care_plan};

/// The published table: fault, issue code, HTTP status, severity.
const TABLE: [(Fault, &str, u16, &str); 37] = [
    (Fault::CannotParse, "structure", 400, "error"),
    (Fault::RequiredMissing, "required", 400, "error"),
    (Fault::BadValue, "value", 400, "error"),
    (Fault::ProfileRule, "invariant", 422, "error"),
    (Fault::BusinessRule, "business-rule", 422, "error"),
    (Fault::NoRecipient, "business-rule", 422, "error"),
    (Fault::CodeNotInValueSet, "code-invalid", 422, "error"),
    (Fault::UnknownType, "not-supported", 404, "error"),
    (Fault::MethodNotSupported, "not-supported", 405, "error"),
    (Fault::NotAcceptable, "not-supported", 406, "error"),
    (Fault::MediaTypeNotSupported, "not-supported", 415, "error"),
    (Fault::WrongProcessingMode, "not-supported", 422, "error"),
    (Fault::VersionNotSupported, "not-supported", 422, "error"),
    (Fault::NoCredentials, "login", 401, "error"),
    (Fault::UnknownCredentials, "unknown", 401, "error"),
    (Fault::ExpiredCredentials, "expired", 401, "error"),
    (Fault::Forbidden, "forbidden", 403, "error"),
    (Fault::Withheld, "suppressed", 200, "warning"),
    (Fault::WithheldSilently, "suppressed", 404, "error"),
    (Fault::NotFound, "not-found", 404, "error"),
    (Fault::Deleted, "deleted", 410, "error"),
    (Fault::VersionStale, "conflict", 412, "error"),
    (Fault::VersionMissing, "required", 400, "error"),
    (Fault::VersionConflict, "conflict", 409, "error"),
    (Fault::Duplicate, "duplicate", 409, "error"),
    (Fault::MultipleMatches, "multiple-matches", 412, "error"),
    (Fault::TooLarge, "too-long", 413, "error"),
    (Fault::HeadTooLarge, "too-long", 431, "error"),
    (Fault::ValueTooLong, "too-long", 400, "error"),
    (Fault::CallerSlow, "timeout", 408, "error"),
    (Fault::Throttled, "throttled", 429, "error"),
    (Fault::Incomplete, "incomplete", 200, "warning"),
    (Fault::ProviderDown, "transient", 503, "error"),
    (Fault::ProviderSlow, "timeout", 504, "error"),
    (Fault::ProviderAnswerUnusable, "exception", 502, "error"),
    (Fault::StoreUnavailable, "no-store", 503, "error"),
    (Fault::Internal, "exception", 500, "fatal"),
];

#[test]
fn the_code_is_the_published_table_of_errors() {
    println!("| fault | issue code | HTTP | severity |\n|---|---|---|---|");
    for fault in Fault::ALL {
        let (code, http, severity) = (fault.issue_code(), status(fault).as_u16(), fault.severity());
        println!("| {fault:?} | {code} | {http} | {severity} |");
        let row = TABLE.iter().find(|row| row.0 == fault).expect("each fault has its row");
        assert_eq!((code, http, severity), (row.1, row.2, row.3), "{fault:?}");
    }
}

#[tokio::test]
async fn every_fault_is_answered_by_its_row_in_json_and_in_xml() {
    let site = Plan::new(|request| async move {
        let number: usize = request.interaction.id().unwrap().as_str().parse().unwrap();
        Err(Refusal::new(Fault::ALL[number], "what is wrong & what was <expected>")
            .at("CarePlan.status")
            .located("3:14"))
    })
    .start()
    .await;
    let county = site.county();
    for (number, fault) in Fault::ALL.into_iter().enumerate() {
        let row = TABLE.iter().find(|row| row.0 == fault).unwrap();
        // What is withheld silently must not be told from what is not there.
        let code = if fault == Fault::WithheldSilently { "not-found" } else { row.1 };
        let url = site.url(&format!("/CarePlan/{number}"));
        let answer = Answer::to(county.get(&url)).await;
        assert_eq!(answer.issue(), (row.2, row.3.to_owned(), code.to_owned()), "{fault:?}");
        let issue = &answer.json()["issue"][0];
        assert_eq!(issue["details"]["text"], "what is wrong & what was <expected>");
        assert_eq!((&issue["diagnostics"], &issue["expression"][0]), (&"3:14".into(), &"CarePlan.status".into()));
        assert_eq!(answer.header("retry-after").is_empty(), !matches!(row.2, 429 | 503), "{fault:?}");
        assert_eq!(answer.header("www-authenticate").starts_with("Bearer"), row.2 == 401, "{fault:?}");
        assert!(!answer.header("x-request-id").is_empty());
        let xml = Answer::to(county.get(&url).header("accept", "application/fhir+xml")).await;
        assert_eq!((xml.status, xml.header("content-type")), (row.2, "application/fhir+xml; charset=utf-8"));
        let read = Document::from_xml(Model::r4(), xml.text.into_bytes(), &Limits::default()).unwrap();
        let text = |path| read.root().text_at(path).unwrap_or_default().to_owned();
        assert_eq!(read.root().type_name(), "OperationOutcome");
        assert_eq!((text("issue.code"), text("issue.severity")), (code.to_owned(), row.3.to_owned()), "{fault:?}");
        assert_eq!(text("issue.details.text"), "what is wrong & what was <expected>");
    }
}

#[tokio::test]
async fn what_is_withheld_silently_looks_like_what_is_not_there() {
    let site = Plan::new(|request| async move {
        let kind = request.interaction.resource_type().unwrap();
        let id = request.interaction.id().unwrap().as_str();
        Err(if id == "hidden" { Refusal::withheld_silently(kind) } else { Refusal::not_found(kind) })
    })
    .start()
    .await;
    let county = site.county();
    let hidden = Answer::to(county.get(site.url("/CarePlan/hidden"))).await;
    let absent = Answer::to(county.get(site.url("/CarePlan/absent"))).await;
    assert_eq!((hidden.status, &hidden.text), (absent.status, &absent.text));
    let mut names: [Vec<String>; 2] =
        [&hidden, &absent].map(|answer| answer.headers.keys().map(ToString::to_string).collect());
    names.iter_mut().for_each(|names| names.sort());
    assert_eq!(names[0], names[1]);
    let outcomes: Vec<&str> = site.audit.entries().iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, ["suppressed", "not-found"], "the audit knows the difference");
}

#[tokio::test]
async fn several_issues_all_reach_the_caller_and_the_first_decides() {
    let site = Plan::new(|_| async {
        let issues = [
            Issue::new(Fault::CodeNotInValueSet, "one").at("CarePlan.status").rule("http://x", "binding"),
            Issue::new(Fault::Internal, "two"),
            Issue::new(Fault::BadValue, "three").severity("information"),
        ];
        Err(Refusal::all(issues).unwrap().retry_after(Duration::from_secs(1)))
    })
    .start()
    .await;
    let answer = Answer::to(site.county().get(site.url("/CarePlan/1"))).await;
    assert_eq!(answer.issue().0, 422);
    let json = answer.json();
    assert_eq!(json["issue"][0]["details"]["coding"][0]["code"], "binding");
    let severities: Vec<&str> =
        json["issue"].as_array().unwrap().iter().map(|issue| issue["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, ["error", "fatal", "information"]);
}

#[tokio::test]
async fn a_success_carries_versions_and_security_headers() {
    let site = Plan::new(|request| async move {
        let mut response = care_plan();
        if request.interaction.action() == Action::Create {
            response.status = hyper::StatusCode::CREATED;
            response.location = Some("CarePlan/1/_history/3".to_owned());
        }
        response.age = Some(Duration::from_secs(7));
        Ok(response)
    })
    .start()
    .await;
    let county = site.county();
    let answer = Answer::to(county.get(site.url("/CarePlan/1"))).await;
    assert_eq!((answer.status, &*answer.text), (200, CARE_PLAN));
    assert_eq!(answer.header("etag"), "W/\"3\"");
    assert_eq!(answer.header("last-modified"), "Sun, 01 Feb 2026 10:00:00 GMT");
    assert_eq!(answer.header("age"), "7");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("vary"), "Accept");
    assert!(answer.header("strict-transport-security").contains("max-age="));
    let create = county.post(site.url("/CarePlan")).header("content-type", "application/fhir+json").body("{}");
    let answer = Answer::to(create).await;
    assert_eq!((answer.status, answer.header("location")), (201, &*site.url("/CarePlan/1/_history/3")));
}

#[tokio::test]
async fn conditions_of_a_retrieval_are_judged_in_the_order_of_http() {
    let site = Plan::usual().start().await;
    let changed = "Sun, 01 Feb 2026 10:00:00 GMT";
    let before = "Sun, 01 Feb 2026 09:59:59 GMT";
    let cases: [(&[(&str, &str)], u16); 19] = [
        (&[("if-match", "W/\"3\"")], 200),
        (&[("if-match", "\"3\"")], 200),
        (&[("if-match", "W/\"2\", W/\"3\"")], 200),
        (&[("if-match", "W/\"2\""), ("if-match", "W/\"3\"")], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "W/\"2\"")], 412),
        (&[("if-match", "3")], 400),
        (&[("if-match", "")], 400),
        (&[("if-match", "*, W/\"3\"")], 400),
        (&[("if-unmodified-since", changed)], 200),
        (&[("if-unmodified-since", before)], 412),
        (&[("if-unmodified-since", "Sunday, 01-Feb-26 09:59:59 GMT")], 412),
        (&[("if-unmodified-since", "Sun Feb  1 09:59:59 2026")], 412),
        (&[("if-unmodified-since", "yesterday")], 200),
        // A version goes before a date, and whether an answer may be given before whether it need be sent.
        (&[("if-match", "W/\"3\""), ("if-unmodified-since", before)], 200),
        (&[("if-match", "W/\"2\""), ("if-none-match", "W/\"3\"")], 412),
        (&[("if-match", "W/\"3\""), ("if-none-match", "W/\"3\"")], 304),
        (&[("if-none-match", "nonsense"), ("if-modified-since", changed)], 200),
        (&[("if-modified-since", "Sun Feb  1 10:00:00 2026")], 304),
    ];
    for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
        for (headers, expected) in cases {
            let request = site.county().request(method.clone(), site.url("/CarePlan/1"));
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, expected, "{method} {headers:?}");
            if expected == 412 && method == reqwest::Method::GET {
                assert!(answer.text.contains("\"conflict\"") && !answer.text.contains("CarePlan"), "{}", answer.text);
            }
        }
    }
    // What is not there, or not to be had, is told as such.
    let absent = site.county().get(site.url("/Observation/1")).header("if-match", "W/\"1\"");
    assert_eq!(Answer::to(absent).await.status, 404);
}

#[tokio::test]
async fn a_caller_that_has_the_version_gets_304_without_a_body() {
    let site = Plan::usual().start().await;
    for caller in [site.county(), site.bearing(&crate::support::gateway::county_secret())] {
        for (name, value, expected) in [
            ("if-none-match", "W/\"3\"", 304),
            ("if-none-match", "\"3\"", 304),
            ("if-none-match", "W/\"2\", W/\"3\"", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "W/\"2\"", 200),
            ("if-none-match", "nonsense", 200),
            ("if-modified-since", "Sun, 01 Feb 2026 10:00:00 GMT", 304),
            ("if-modified-since", "Mon, 02 Feb 2026 10:00:00 GMT", 304),
            ("if-modified-since", "Sun, 01 Feb 2026 09:59:59 GMT", 200),
            ("if-modified-since", "yesterday", 200),
        ] {
            let answer = Answer::to(caller.get(site.url("/CarePlan/1")).header(name, value)).await;
            assert_eq!((answer.status, answer.text.is_empty()), (expected, expected == 304), "{name}: {value}");
            assert_eq!(answer.header("etag"), "W/\"3\"");
        }
    }
    let both = site
        .county()
        .get(site.url("/CarePlan/1"))
        .header("if-none-match", "W/\"2\"")
        .header("if-modified-since", "Mon, 02 Feb 2026 10:00:00 GMT");
    assert_eq!(Answer::to(both).await.status, 200, "a version goes before a date");
    let put = site
        .county()
        .put(site.url("/CarePlan/1"))
        .header("content-type", "application/fhir+json")
        .header("if-none-match", "W/\"3\"")
        .body("{}");
    assert_eq!(Answer::to(put).await.status, 200, "only what is read may be left out");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let site = Plan::usual().start().await;
    let older = site.caller(|builder| {
        let mut headers = reqwest::header::HeaderMap::new();
        let secret = crate::support::gateway::county_secret();
        headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        builder.http1_only().default_headers(headers)
    });
    for caller in [site.county(), older] {
        let answer = Answer::to(caller.head(site.url("/CarePlan/1"))).await;
        assert_eq!((answer.status, &*answer.text), (200, ""));
        assert_eq!(answer.header("content-length"), CARE_PLAN.len().to_string());
        assert_eq!(answer.header("etag"), "W/\"3\"");
        let answer = Answer::to(caller.head(site.url("/Observation/1"))).await;
        assert_eq!((answer.status, &*answer.text), (404, ""));
    }
}

#[tokio::test]
async fn a_binary_goes_out_in_its_own_media_type() {
    let site = Plan::new(|request| async move {
        assert_eq!(request.accept.as_deref(), Some("application/pdf"));
        let mut response = Response::empty(hyper::StatusCode::OK);
        response.body = Body::Raw { media_type: "application/pdf".to_owned(), bytes: "%PDF".into() };
        Ok(response)
    })
    .start()
    .await;
    let answer = Answer::to(site.county().get(site.url("/Binary/1")).header("accept", "application/pdf")).await;
    assert_eq!((answer.status, answer.header("content-type"), &*answer.text), (200, "application/pdf", "%PDF"));
    assert!(answer.header("content-security-policy").contains("sandbox"), "content of others does not run");
}

#[tokio::test]
async fn the_statement_tells_what_is_offered_and_nothing_else() {
    let site = Plan::usual().start().await;
    let stranger = site.caller(|caller| caller);
    let answer = Answer::to(stranger.get(site.url("/metadata"))).await;
    assert_eq!(answer.status, 200, "everyone may read it");
    let json = answer.json();
    assert_eq!((&json["resourceType"], &json["fhirVersion"]), (&"CapabilityStatement".into(), &"4.0.1".into()));
    assert_eq!(json["implementation"]["url"], site.url(""));
    let resources = json["rest"][0]["resource"].as_array().unwrap();
    let types: Vec<&str> = resources.iter().map(|resource| resource["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["Binary", "CarePlan"]);
    let codes: Vec<&str> = resources[1]["interaction"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interaction| interaction["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["read", "vread", "search-type", "create", "update"]);
    assert_eq!(resources[1]["versioning"], "versioned-update");
    assert_eq!(resources[1]["searchParam"][0]["name"], "status");
    assert_eq!(resources[1]["searchInclude"][0], "CarePlan:activity-reference");
    assert_eq!(resources[1]["searchRevInclude"][0], "Task:focus");
    let document = Document::from_json(Model::r4(), answer.text.into_bytes(), &Limits::default()).unwrap();
    let findings = Validator::built_in().validate(&document, &[]);
    let errors: Vec<String> =
        findings.iter().filter(|finding| finding.is_error()).map(|finding| finding.text(&document)).collect();
    assert_eq!(errors, [] as [&str; 0], "the statement is valid FHIR R4");
    let xml = Answer::to(stranger.get(site.url("/metadata?_format=xml"))).await;
    let again = Document::from_xml(Model::r4(), xml.text.into_bytes(), &Limits::default()).unwrap();
    assert_eq!(again.root().text_at("rest.resource.type"), Some("Binary"));
    let refused = Answer::to(stranger.get(site.url("/metadata?_format=ttl"))).await;
    assert_eq!(refused.status, 406);
}

#[tokio::test]
async fn a_fault_of_the_program_is_contained_and_tells_nothing_of_its_inside() {
    let site = Plan::new(|request| async move {
        assert!(request.interaction.id().unwrap().as_str() != "bad", "secret inner state 010190-900X");
        Ok(care_plan())
    })
    .start()
    .await;
    let county = site.county();
    let answer = Answer::to(county.get(site.url("/CarePlan/bad"))).await;
    assert_eq!(answer.issue(), (500, "fatal".to_owned(), "exception".to_owned()));
    assert!(!answer.text.contains("secret") && !answer.text.contains("010190"), "{}", answer.text);
    assert_eq!(Answer::to(county.get(site.url("/CarePlan/good"))).await.status, 200);
    assert!(String::from_utf8(site.metrics.text().unwrap()).unwrap().contains("silta_panics_total 1"));
}

#[tokio::test]
async fn every_disclosure_and_every_refusal_is_audited() {
    let site = Plan::usual().start().await;
    let county = site.county();
    Answer::to(county.get(site.url("/CarePlan/1")).header("x-request-id", "one")).await;
    Answer::to(county.get(site.url("/Observation/2")).header("x-request-id", "two")).await;
    Answer::to(site.caller(|caller| caller).get(site.url("/CarePlan/3")).header("x-request-id", "three")).await;
    Answer::to(county.get(site.url("/metadata"))).await;
    let entries = site.audit.entries();
    let seen: Vec<(&str, Option<&str>, Option<&str>, &str)> = entries
        .iter()
        .map(|entry| (&*entry.request, entry.caller.as_deref(), entry.id.as_deref(), entry.outcome))
        .collect();
    assert_eq!(
        seen,
        [
            ("one", Some("county"), Some("1"), "success"),
            ("two", Some("county"), Some("2"), "not-supported"),
            ("three", None, Some("3"), "login"),
        ]
    );
}

#[tokio::test]
async fn nothing_is_disclosed_that_cannot_be_audited() {
    let mut plan = Plan::usual();
    plan.audit_works = false;
    let site = plan.start().await;
    let county = site.county();
    let read = Answer::to(county.get(site.url("/CarePlan/1"))).await;
    assert_eq!(read.issue(), (503, "error".to_owned(), "no-store".to_owned()));
    assert!(!read.text.contains("Patient/1") && read.header("etag").is_empty());
    assert!(!read.header("retry-after").is_empty());
    let refused = Answer::to(county.get(site.url("/Observation/1"))).await;
    assert_eq!(refused.status, 404, "a refusal discloses nothing and keeps its reason");
    assert_eq!(Answer::to(county.get(site.url("/metadata"))).await.status, 200);
}

#[tokio::test]
async fn what_was_audited_with_the_change_is_not_audited_twice() {
    let site = Plan::new(|_| async {
        let mut response = care_plan();
        response.audited = true;
        Ok(response)
    })
    .start()
    .await;
    let put = site.county().put(site.url("/CarePlan/1")).header("content-type", "application/fhir+json").body("{}");
    assert_eq!(Answer::to(put).await.status, 200);
    assert!(site.audit.entries().is_empty());
}

#[tokio::test]
async fn requests_are_measured_by_interaction_and_class_of_status() {
    let site = Plan::usual().start().await;
    let county = site.county();
    Answer::to(county.get(site.url("/CarePlan/1"))).await;
    Answer::to(county.get(site.url("/Observation/1"))).await;
    let text = Arc::new(String::from_utf8(site.metrics.text().unwrap()).unwrap());
    for line in [
        r#"silta_request_duration_seconds_count{interaction="read",status="2xx"} 1"#,
        r#"silta_request_duration_seconds_count{interaction="read",status="4xx"} 1"#,
        r#"silta_refusals_total{code="not-supported",fault="UnknownType"} 1"#,
        "silta_requests_in_flight 0",
        "silta_response_body_bytes_count 2",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
