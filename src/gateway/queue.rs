//! The operators' queue on the administrators' port: what a human must decide, and that it was decided.
//!
//! `GET /queue` gives the open entries as JSON, `?after=ID` those after one. `POST /queue/ID` closes one: the body says what was
//! decided, the header `X-Operator` by whom. That header is what no page in a browser can send here by itself.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::clock::Clock;
use crate::store::{AuditTarget, Commit, NewAudit, Notice, NoticeEnd, NoticeId, Store, StoreError, Write};

/// Entries in one answer.
const PAGE: usize = 500;
/// Bytes of a decision.
const DECISION: usize = 2000;
/// Characters of an operator's name.
const NAME: usize = 100;
const OPERATOR: &str = "x-operator";

/// The queue of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Store,
    clock: Clock,
}

impl Queue {
    /// The queue of this store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Answers a request for what follows `/queue` in its path.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches("/queue").trim_start_matches('/').to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET | &Method::HEAD, "") => self.open(request.uri().query()).await,
            (&Method::POST, id) => match id.parse() {
                Ok(id) => self.close(NoticeId::from_number(id), request).await,
                Err(_) => said(StatusCode::NOT_FOUND, "POST /queue/ID"),
            },
            (&Method::GET | &Method::HEAD, _) => said(StatusCode::NOT_FOUND, "GET /queue, POST /queue/ID"),
            _ => said(StatusCode::METHOD_NOT_ALLOWED, "GET /queue, POST /queue/ID"),
        }
    }

    async fn open(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let after = query.and_then(|query| query.strip_prefix("after=")).map_or(Ok(0), str::parse);
        let Ok(after) = after else { return said(StatusCode::BAD_REQUEST, "after is the id of an entry") };
        let open = self.store.read(move |view| view.open_notices(NoticeId::from_number(after), PAGE)).await;
        match open {
            Ok(open) => json_answer(StatusCode::OK, &json!({"open": open.iter().map(entry).collect::<Vec<_>>()})),
            Err(error) => failed(&error),
        }
    }

    async fn close(&self, notice: NoticeId, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let name = request.headers().get(OPERATOR).and_then(|name| name.to_str().ok()).map(str::trim);
        let Some(name) = name.filter(|name| (1..=NAME).contains(&name.len())).map(str::to_owned) else {
            return said(StatusCode::BAD_REQUEST, "the header X-Operator says who decided");
        };
        #[expect(clippy::disallowed_methods, reason = "read up to a limit: that of the body it is put in")]
        let Ok(body) = Limited::new(request.into_body(), DECISION).collect().await else {
            return said(StatusCode::PAYLOAD_TOO_LARGE, "a decision has at most 2000 bytes");
        };
        let decision = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        if decision.is_empty() {
            return said(StatusCode::BAD_REQUEST, "the body says what was decided");
        }
        let now = self.clock.now();
        let mut commit = Commit::new();
        commit.write(Write::CloseNotice(NoticeEnd { notice, closed: now, text: format!("{name}: {decision}") }));
        commit.write(Write::Audit(NewAudit {
            time: now,
            who: name,
            interaction: "decide".to_owned(),
            target: AuditTarget::None,
            person: None,
            providers: Vec::new(),
            outcome: "success".to_owned(),
            request: format!("queue {}", notice.number()),
        }));
        match self.store.commit(commit).await {
            Ok(_) => json_answer(StatusCode::OK, &json!({"closed": notice.number()})),
            Err(StoreError::Missing(_)) => said(StatusCode::NOT_FOUND, "no entry of this id is open"),
            Err(error) => failed(&error),
        }
    }
}

fn entry(notice: &Notice) -> serde_json::Value {
    json!({
        "id": notice.id.number(),
        "opened": notice.opened.to_string(),
        "kind": notice.kind,
        "provider": notice.provider,
        "journal": notice.journal.map(crate::store::JournalSeq::number),
        "text": notice.text,
    })
}

fn failed(error: &StoreError) -> Response<Full<Bytes>> {
    tracing::warn!(%error, "the operators' queue cannot be read or written");
    said(StatusCode::SERVICE_UNAVAILABLE, "the store cannot do it now")
}

fn said(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    json_answer(status, &json!({"error": text}))
}

fn json_answer(status: StatusCode, content: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(content.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
