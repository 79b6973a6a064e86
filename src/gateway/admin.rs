//! The administrators' port: metrics, liveness, readiness, the operators' queue. Plain HTTP, meant for this machine or an inner network.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::queue::Queue;
use crate::telemetry::metrics::Metrics;

/// `[admin]`: the port for metrics and health. Read at start only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether there is such a port.
    pub enabled: bool,
    /// Address and port to listen on. What it tells is for administrators: on another address than a loopback one, guard it.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)) }
    }
}

/// What must hold for requests to be sent here: named checks, each asked anew every time. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<Vec<Check>>>);

/// A name and what asks whether it holds; a sentence says why not.
type Check = (&'static str, Box<dyn Fn() -> Result<(), String> + Send + Sync>);

impl Readiness {
    /// Adds a check. It must answer at once, from what is known.
    pub fn check(&self, name: &'static str, holds: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(holds)));
    }

    /// Every check with its result.
    #[must_use]
    pub fn results(&self) -> Vec<(&'static str, Result<(), String>)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, holds)| (*name, holds())).collect()
    }
}

/// The port, bound and not serving yet.
pub struct Admin {
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    queue: Option<Queue>,
}

/// Connections at one time.
const CONNECTIONS: usize = 64;

/// Time for a request's head to arrive.
const HEAD_TIME: Duration = Duration::from_secs(10);

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn bind(config: &Config, metrics: Metrics, readiness: Readiness) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(config.listen).await?, metrics, readiness, queue: None })
    }

    /// Shows the operators' queue too.
    #[must_use]
    pub fn with_queue(self, queue: Queue) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`; what is in flight then is cut.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, metrics, readiness, queue } = self;
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (metrics, readiness, queue) = (metrics.clone(), readiness.clone(), queue.clone());
                    connections.spawn(async move {
                        let service = service_fn(move |request: hyper::Request<Incoming>| {
                            let (metrics, readiness, queue) = (metrics.clone(), readiness.clone(), queue.clone());
                            async move {
                                Ok::<_, Infallible>(match queue {
                                    Some(queue) if is_of_queue(request.uri().path()) => queue.answer(request).await,
                                    _ => answer(&request, &metrics, &readiness),
                                })
                            }
                        });
                        let _ = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(HEAD_TIME)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        }
    }
}

fn answer(
    request: &hyper::Request<Incoming>,
    metrics: &Metrics,
    readiness: &Readiness,
) -> hyper::Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(readiness),
        "/metrics" => metrics.text().map_or_else(
            |_| text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
            |bytes| {
                let mut response = text(StatusCode::OK, bytes);
                let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, version);
                response
            },
        ),
        _ => text(StatusCode::NOT_FOUND, "/livez, /readyz, /metrics, /queue\n"),
    }
}

fn is_of_queue(path: &str) -> bool {
    path == "/queue" || path.starts_with("/queue/")
}

fn ready(readiness: &Readiness) -> hyper::Response<Full<Bytes>> {
    let results = readiness.results();
    let all = results.iter().all(|(_, result)| result.is_ok());
    let mut lines = String::new();
    for (name, result) in results {
        let state = result.map_or_else(|reason| format!("not ready: {reason}"), |()| "ok".to_owned());
        lines.push_str(&format!("{name}: {state}\n"));
    }
    text(if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
