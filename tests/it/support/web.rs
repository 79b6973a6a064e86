//! A scripted HTTP server: a closure answers, and every request is kept.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tls::{Authority, Issued};

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) version: Version,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) type Answer = Response<Full<Bytes>>;
type Script = dyn Fn(Seen) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// A server on loopback; it stops when dropped.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Answers each request at once.
    pub(crate) async fn plain(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, move |seen| {
            let answer = script(&seen);
            Box::pin(std::future::ready(answer))
        })
        .await
    }

    pub(crate) async fn tls(
        authority: &Authority,
        issued: &Issued,
        mutual: bool,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(authority.server(issued, mutual));
        Self::start(Some(acceptor), move |seen| {
            let answer = script(&seen);
            Box::pin(std::future::ready(answer))
        })
        .await
    }

    /// Never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(None, |_| Box::pin(std::future::pending())).await
    }

    async fn start(
        acceptor: Option<TlsAcceptor>,
        script: impl Fn(Seen) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script): (Arc<Mutex<Vec<Seen>>>, Arc<Script>) = (Arc::default(), Arc::new(script));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, script, kept) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&kept));
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, Arc::clone(&script), Arc::clone(&kept)));
                    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A connection that ends badly is what some tests are about.
                    let _ = match acceptor {
                        None => http.serve_connection(TokioIo::new(tcp), service).await,
                        Some(acceptor) => match acceptor.accept(tcp).await {
                            Ok(tls) => http.serve_connection(TokioIo::new(tls), service).await,
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        Self { port, seen, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn base(&self) -> String {
        format!("http://localhost:{}/", self.port)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    kept: Arc<Mutex<Vec<Seen>>>,
) -> Result<Answer, std::convert::Infallible> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { break };
        body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
    }
    let seen = Seen {
        method: parts.method,
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: body.freeze(),
        version: parts.version,
    };
    kept.lock().unwrap().push(seen.clone());
    Ok(script(seen).await)
}

/// An answer with a body of one media type.
pub(crate) fn respond(status: u16, media_type: &str, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).header("content-type", media_type).body(Full::new(body.into())).unwrap()
}

pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Answer {
    respond(status, "application/json; charset=utf-8", body)
}

pub(crate) fn with(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers_mut().insert(name, value.parse().unwrap());
    answer
}
