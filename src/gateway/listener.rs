//! Connections: accepting, securing, bounding and closing them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::config::Config;
use super::framing::{Framing, Watched};
use super::life::{Life, Peer};
use super::respond::Http;
use super::settings::Settings;
use crate::access::certificate::PeerCertificate;
use crate::clock::Clock;

/// The protocols offered by ALPN, the preferred one first.
pub const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How long to wait after the operating system refused to give a connection (it has no descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What was still in flight when the time for stopping had passed: 0 when everything had finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut.
    pub cut: usize,
}

/// Accepts connections until `stop`, then finishes what is in flight.
pub(super) async fn run(listener: TcpListener, life: Arc<Life>, stop: impl Future<Output = ()>) -> Stopped {
    let mut connections = JoinSet::new();
    let (drain, draining) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let limit = life.settings.load().config.connections;
        let room = connections.len() < limit;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, address)) => {
                    connections.spawn(connection(Arc::clone(&life), stream, address, draining.clone()));
                }
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), "no connection could be accepted");
                    life.clock.sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        life.metrics.connections.set(i64::try_from(connections.len()).unwrap_or(i64::MAX));
    }
    drop(listener);
    drain.send_replace(true);
    let deadline = life.clock.instant().after(life.settings.load().config.stop_time);
    let finishing = async {
        while connections.join_next().await.is_some() {}
        life.running.ended().await;
    };
    let finished = life.clock.deadline(deadline, finishing).await;
    let cut = connections.len();
    connections.shutdown().await;
    life.metrics.connections.set(0);
    Stopped { cut: if finished.is_ok() { 0 } else { cut } }
}

/// One connection, from its handshake to its end.
async fn connection(life: Arc<Life>, stream: TcpStream, address: SocketAddr, draining: watch::Receiver<bool>) {
    let settings = life.settings.load_full();
    let deadline = life.clock.instant().after(settings.config.handshake_time);
    // Answers are written whole, so waiting for more to send gains nothing.
    let _ = stream.set_nodelay(true);
    let handshake = TlsAcceptor::from(Arc::clone(&settings.tls.server)).accept(stream);
    let stream = match life.clock.deadline(deadline, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return handshake_failed(&life, address, &error),
        Err(elapsed) => return handshake_failed(&life, address, &io::Error::other(elapsed)),
    };
    let (_, session) = stream.get_ref();
    let certificate = match session.peer_certificates().map(PeerCertificate::read) {
        None => None,
        Some(Ok(certificate)) => Some(certificate),
        Some(Err(error)) => return handshake_failed(&life, address, &io::Error::other(error)),
    };
    let speaks_h2 = session.alpn_protocol() == Some(b"h2");
    let framing = Arc::new(Framing::default());
    let peer = Arc::new(Peer::new(address, certificate, Arc::clone(&framing), &settings));
    if speaks_h2 {
        serve_h2(life, peer, stream, &settings.config, draining).await;
    } else {
        serve_h1(life, peer, Watched::new(stream, framing), &settings.config, draining).await;
    }
}

fn handshake_failed(life: &Life, address: SocketAddr, error: &io::Error) {
    life.metrics.handshakes_failed.inc();
    tracing::debug!(%address, %error, "no handshake");
}

/// Serves HTTP/2. Why a connection ended is its caller's matter; what was in flight on it has told its own end.
async fn serve_h2(
    life: Arc<Life>,
    peer: Arc<Peer>,
    stream: TlsStream<TcpStream>,
    config: &Config,
    draining: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::default());
    let (clock, shared) = (life.clock.clone(), Arc::clone(&activity));
    let service =
        service_fn(move |incoming| answer(Arc::clone(&life), Arc::clone(&peer), Arc::clone(&shared), incoming));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams)
        .max_pending_accept_reset_streams(config.resets)
        .max_local_error_reset_streams(config.resets.saturating_mul(8))
        .max_header_list_size(u32::try_from(hard_head_limit(config)).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(config.head_time))
        .keep_alive_timeout(config.head_time)
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, &activity, config.idle_time, &clock, draining).await;
}

/// Serves HTTP/1.1 in the same way.
async fn serve_h1(
    life: Arc<Life>,
    peer: Arc<Peer>,
    stream: Watched<TlsStream<TcpStream>>,
    config: &Config,
    draining: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::default());
    let (clock, shared) = (life.clock.clone(), Arc::clone(&activity));
    let service =
        service_fn(move |incoming| answer(Arc::clone(&life), Arc::clone(&peer), Arc::clone(&shared), incoming));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_time)
        .max_headers(config.headers.saturating_mul(2).max(HARD_HEADERS))
        .max_buf_size(hard_head_limit(config).max(MIN_BUFFER))
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, &activity, config.idle_time, &clock, draining).await;
}

async fn answer(
    life: Arc<Life>,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    incoming: hyper::Request<Incoming>,
) -> Result<Http, Infallible> {
    let clock = life.clock.clone();
    let _busy = activity.begin(&clock);
    Ok(life.live(peer, incoming).await)
}

/// A head up to the limit is read and refused with an outcome by us; beyond this one, by the HTTP library without.
fn hard_head_limit(config: &Config) -> usize {
    config.head_bytes.saturating_mul(2)
}

/// The least number of header fields at which the HTTP library refuses.
const HARD_HEADERS: usize = 100;

/// The least buffer that the HTTP library takes.
const MIN_BUFFER: usize = 16 << 10;

/// A connection of either version of HTTP.
trait Connection: Future {
    /// Takes no more requests, and ends after those in flight.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    Self: Future,
    S: HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Connection for http2::Connection<I, S, TokioExecutor>
where
    Self: Future,
    S: HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    TokioExecutor: Http2ServerConnExec<S::Future, Full<Bytes>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection. When everything stops, or nothing has been asked on it for `idle`, it takes no more requests and ends
/// after those in flight; if it then does not end in that time either, it is cut.
async fn drive<C: Connection>(
    connection: C,
    activity: &Activity,
    idle: Duration,
    clock: &Clock,
    mut draining: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let mut finishing = false;
    let mut wake = clock.instant().after(idle);
    activity.touch(clock);
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            changed = draining.changed(), if !finishing => {
                if changed.is_err() || *draining.borrow() {
                    connection.as_mut().finish();
                    finishing = true;
                }
            }
            () = clock.sleep_until(wake) => {
                let quiet = activity.quiet_for(clock);
                if quiet < idle {
                    wake = clock.instant().after(idle.saturating_sub(quiet));
                } else if finishing {
                    return;
                } else {
                    connection.as_mut().finish();
                    finishing = true;
                    activity.touch(clock);
                    wake = clock.instant().after(idle);
                }
            }
        }
    }
}

/// When something was last asked on a connection.
#[derive(Debug, Default)]
struct Activity {
    busy: AtomicUsize,
    last_millis: AtomicU64,
}

impl Activity {
    fn touch(&self, clock: &Clock) {
        let millis = u64::try_from(clock.instant().elapsed_of_clock().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    fn begin<'a>(&'a self, clock: &'a Clock) -> Busy<'a> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy { activity: self, clock }
    }

    fn quiet_for(&self, clock: &Clock) -> Duration {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
        clock.instant().elapsed_of_clock().saturating_sub(last)
    }
}

/// A request on a connection, until it is dropped.
struct Busy<'a> {
    activity: &'a Activity,
    clock: &'a Clock,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.activity.touch(self.clock);
        self.activity.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Binds the address.
///
/// # Errors
/// The operating system's: it is taken, or not ours.
pub(super) async fn bind(settings: &Settings) -> io::Result<TcpListener> {
    TcpListener::bind(settings.config.listen).await
}
