//! The listening socket: accepts connections up to a limit and drains them at the end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::IntGauge;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument;

use super::connection::Lane;
use super::metrics::Handles;
use super::{Config, Handler, Metrics, Peer};
use crate::clock::{Clock, Instant};
use crate::provider::SetupError;

/// How long to wait after the operating system could not give a connection (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that does not accept yet.
pub struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) provider: Arc<str>,
    pub(super) clock: Clock,
    pub(super) metrics: Handles,
    tls: ArcSwapOption<Tls>,
}

struct Tls {
    acceptor: TlsAcceptor,
    /// The accepted client certificates; empty: all that verify.
    clients: Vec<String>,
}

/// A listener at work. Dropping it stops it at once; [`Running::drain`] lets it finish.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    socket: Option<Arc<TcpListener>>,
    reload: Reload,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Gives new certificates to a running listener.
#[derive(Clone)]
pub struct Reload(Arc<Shared>);

/// Certificates that were read and can be used.
pub struct Certificates(Option<Tls>);

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reload").field(&self.0.provider).finish()
    }
}

/// The drain's deadline came before every connection had finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("MLLP connections were still at work at the deadline and were cut")]
pub struct Cut;

impl Listener {
    /// Binds the socket and reads the certificates.
    ///
    /// # Errors
    /// When the address cannot be bound or a file cannot be used. Keys are relative to the listener's table.
    pub async fn bind(config: Config, base: &Path, clock: Clock, metrics: &Metrics) -> Result<Self, SetupError> {
        let tls = tls(&config, base)?;
        let unbound = |error: std::io::Error| SetupError::new("listen", format!("cannot listen: {error}"));
        let socket = TcpListener::bind(config.listen).await.map_err(unbound)?;
        let address = socket.local_addr().map_err(unbound)?;
        Ok(Self::on(Arc::new(socket), address, config, tls, clock, metrics))
    }

    /// A listener on the socket of one that runs: what connects while that is drained waits for this one.
    ///
    /// # Errors
    /// When a file cannot be used. Keys are relative to the listener's table.
    pub fn after(
        running: &Running,
        config: Config,
        base: &Path,
        metrics: &Metrics,
    ) -> Result<Option<Self>, SetupError> {
        let tls = tls(&config, base)?;
        let Some(socket) = running.socket.clone() else { return Ok(None) };
        let clock = running.reload.0.clock.clone();
        Ok(Some(Self::on(socket, running.address, config, tls, clock, metrics)))
    }

    fn on(
        socket: Arc<TcpListener>,
        address: SocketAddr,
        config: Config,
        tls: Option<Tls>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Self {
        let shared = Shared {
            provider: Arc::from(config.provider.as_str()),
            metrics: metrics.of(&config.provider),
            tls: ArcSwapOption::from_pointee(tls),
            config,
            clock,
        };
        Self { socket, address, shared: Arc::new(shared) }
    }

    /// The address it is bound to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept.
    #[must_use]
    pub fn start(self, handler: Arc<dyn Handler>) -> Running {
        let (drain, draining) = watch::channel(false);
        let reload = Reload(Arc::clone(&self.shared));
        let (address, socket) = (self.address, Some(Arc::clone(&self.socket)));
        let task = tokio::spawn(accept(self.socket, self.shared, handler, draining));
        Running { address, socket, reload, drain, task }
    }
}

impl Running {
    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle for new certificates.
    #[must_use]
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Stops accepting, lets each connection finish the messages that it has whole, closes them, and waits for that.
    ///
    /// # Errors
    /// [`Cut`] when `deadline` came first; what was not finished was not acknowledged.
    pub async fn drain(mut self, deadline: Instant) -> Result<(), Cut> {
        let _ = self.drain.send(true);
        drop(self.socket.take());
        let clock = self.reload.0.clock.clone();
        clock.deadline(deadline, &mut self.task).await.map(|_| ()).map_err(|_| Cut)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reload {
    /// Reads the certificates of a configuration.
    ///
    /// # Errors
    /// When a file cannot be used, or it would change between plain TCP and TLS.
    pub fn read(&self, config: &Config, base: &Path) -> Result<Certificates, SetupError> {
        let tls = tls(config, base)?;
        if tls.is_none() != self.0.tls.load().is_none() {
            return Err(SetupError::new("tls", "a running listener cannot change between plain TCP and TLS"));
        }
        Ok(Certificates(tls))
    }

    /// Takes certificates for connections from now on; those that stand are kept.
    pub fn certificates(&self, certificates: Certificates) {
        self.0.tls.store(certificates.0.map(Arc::new));
    }
}

fn tls(config: &Config, base: &Path) -> Result<Option<Tls>, SetupError> {
    match &config.tls {
        None if config.plaintext || config.listen.ip().is_loopback() => Ok(None),
        None => Err(SetupError::new("tls", "the address is not loopback: give a [tls] table or plaintext = true")),
        Some(tls) => {
            let server: ServerConfig = tls.server(base).map_err(|error| error.under("tls"))?;
            let clients = tls.fingerprints().map_err(|error| error.under("tls"))?;
            Ok(Some(Tls { acceptor: TlsAcceptor::from(Arc::new(server)), clients }))
        }
    }
}

async fn accept(
    socket: Arc<TcpListener>,
    shared: Arc<Shared>,
    handler: Arc<dyn Handler>,
    mut draining: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(shared.config.connections));
    let mut connections = JoinSet::new();
    let mut number = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|drain| *drain) => break,
            Some(ended) = connections.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!(provider = %shared.provider, "an MLLP connection ended in a panic");
                }
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(provider = %shared.provider, %error, "cannot accept an MLLP connection");
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            shared.metrics.full.inc();
            continue;
        };
        number += 1;
        let span = tracing::info_span!("mllp", provider = %shared.provider, connection = number, %address);
        let (shared, handler, draining) = (Arc::clone(&shared), Arc::clone(&handler), draining.clone());
        let connection = async move {
            let _place = place;
            let _counted = Counted::new(&shared.metrics.connections);
            serve(stream, address, number, &shared, handler.as_ref(), draining).await;
        };
        connections.spawn(connection.instrument(span));
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    connection: u64,
    shared: &Shared,
    handler: &dyn Handler,
    draining: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone");
        return;
    }
    let provider = Arc::clone(&shared.provider);
    let mut peer = Peer { provider, address, certificate: None, connection };
    let Some(tls) = shared.tls.load_full() else {
        return Lane::new(stream, shared, handler, &peer, draining).run().await;
    };
    let deadline = shared.clock.instant().after(shared.config.frame.0);
    let stream = match shared.clock.deadline(deadline, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        failed => {
            shared.metrics.handshake.inc();
            let error = failed
                .map_or_else(|late| late.to_string(), |done| done.err().map_or_else(String::new, |e| e.to_string()));
            tracing::warn!(%error, "TLS handshake failed");
            return;
        }
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| fingerprint(der));
    if !tls.clients.is_empty() && !certificate.as_ref().is_some_and(|found| tls.clients.contains(found)) {
        shared.metrics.certificate.inc();
        tracing::warn!("the client certificate is not one of those accepted here");
        return;
    }
    peer.certificate = certificate.map(Arc::from);
    Box::pin(Lane::new(stream, shared, handler, &peer, draining).run()).await;
}

/// Counts a connection for as long as it lives, however it ends.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}
