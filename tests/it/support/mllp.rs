//! Scripted peers that speak MLLP: a listener that a test answers by hand, and a sender.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::time::soon;
use super::tls::{Authority, Issued};

pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// One connection, on either side, that writes and reads bytes as the test says.
pub(crate) struct Line {
    stream: Box<dyn Wire>,
    received: BytesMut,
}

impl Line {
    pub(crate) async fn to(address: std::net::SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn tls_to(
        address: std::net::SocketAddr,
        authority: &Authority,
        issued: Option<&Issued>,
    ) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(authority.client(issued));
        Ok(Self::over(connector.connect("localhost".try_into().unwrap(), tcp).await?))
    }

    pub(crate) fn over(stream: impl Wire + 'static) -> Self {
        Self { stream: Box::new(stream), received: BytesMut::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Writes one message between VT and FS CR.
    pub(crate) async fn send(&mut self, message: &str) {
        self.write(&framed(message)).await;
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next message, or none at the end of the stream.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        soon(async {
            loop {
                if let Some(end) = self.received.windows(2).position(|two| two == b"\x1c\r") {
                    let frame = self.received.split_to(end + 2);
                    assert_eq!(frame[0], 0x0B, "a frame begins with VT");
                    return Some(String::from_utf8(frame[1..end].to_vec()).unwrap());
                }
                match self.stream.read_buf(&mut self.received).await {
                    Ok(0) | Err(_) => {
                        assert!(self.received.is_empty(), "the stream ended inside a frame");
                        return None;
                    }
                    Ok(_) => {}
                }
            }
        })
        .await
    }
}

pub(crate) fn framed(message: &str) -> Vec<u8> {
    [b"\x0b", message.as_bytes(), b"\x1c\r"].concat()
}

/// A listener whose every connection the test answers by hand.
pub(crate) struct Peer {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
}

impl Peer {
    pub(crate) async fn plain() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), acceptor: None }
    }

    pub(crate) async fn tls(authority: &Authority, issued: &Issued, mutual: bool) -> Self {
        let acceptor = Some(TlsAcceptor::from(authority.server(issued, mutual)));
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), acceptor }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) async fn accept(&self) -> Line {
        soon(async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            match &self.acceptor {
                None => Line::over(tcp),
                Some(acceptor) => Line::over(acceptor.accept(tcp).await.unwrap()),
            }
        })
        .await
    }
}
