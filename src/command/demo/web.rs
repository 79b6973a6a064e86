//! A web server over TLS for the organisations that have one, which can be stopped and started again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::events::lock;
use crate::provider::BoxFuture;

/// The largest body that an organisation's server reads.
const BODY: usize = 4 << 20;

/// What an organisation's server answers.
pub(super) trait Site: Send + Sync + 'static {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply>;
}

/// One request.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// One answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Vec<u8>,
}

/// A server at work, or stopped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    tls: TlsAcceptor,
    site: Arc<dyn Site>,
    running: Mutex<Option<Run>>,
}

struct Run {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves on a free port of this machine.
    pub(super) async fn start(tls: TlsAcceptor, site: Arc<dyn Site>) -> std::io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = socket.local_addr()?;
        let running = Mutex::new(Some(serve(socket, tls.clone(), Arc::clone(&site))));
        Ok(Self { address, tls, site, running })
    }

    /// Closes the port and every connection.
    pub(super) async fn stop(&self) {
        let run = lock(&self.running).take();
        if let Some(run) = run {
            run.stop.send_replace(true);
            let _ = run.task.await;
        }
    }

    /// Serves again, on the same port.
    pub(super) async fn start_again(&self) -> std::io::Result<()> {
        let socket = TcpListener::bind(self.address).await?;
        *lock(&self.running) = Some(serve(socket, self.tls.clone(), Arc::clone(&self.site)));
        Ok(())
    }
}

fn serve(socket: TcpListener, tls: TlsAcceptor, site: Arc<dyn Site>) -> Run {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        // Dropped at the end, which closes every connection.
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                Some(_) = connections.join_next() => continue,
                accepted = socket.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            let (tls, site) = (tls.clone(), Arc::clone(&site));
            connections.spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = service_fn(move |request| {
                    let site = Arc::clone(&site);
                    async move { Ok::<_, std::convert::Infallible>(exchange(site.as_ref(), request).await) }
                });
                // A connection that breaks is the other side's to open again.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Run { stop, task }
}

async fn exchange(site: &dyn Site, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return plain(StatusCode::BAD_REQUEST) };
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(data);
        }
        if body.len() > BODY {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    let path = head.uri.path().to_owned();
    let asked = Asked { method: head.method, path, headers: head.headers, body: body.freeze() };
    let Reply { status, media, headers, body } = site.answer(asked).await;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}
