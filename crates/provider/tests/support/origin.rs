//! Small servers: an origin that answers every request alike, an HTTP proxy and a SOCKS5 proxy that remember what they were asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Something that listens until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// What was asked, one entry a request.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn start<F, R>(address: SocketAddr, serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> R + Send + 'static,
        R: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&seen)));
                }
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Answers each request with `answer`, as it stands, and closes if it says so.
    pub async fn origin(
        address: SocketAddr,
        answer: &'static [u8],
        tls: Option<TlsAcceptor>,
    ) -> Self {
        Self::start(address, move |stream, seen| {
            let tls = tls.clone();
            async move {
                match tls {
                    Some(tls) => answer_all(tls.accept(stream).await?, answer, &seen).await,
                    None => answer_all(stream, answer, &seen).await,
                }
            }
        })
        .await
    }

    /// An HTTP proxy: `CONNECT`, and absolute URIs for plain HTTP.
    pub async fn http_proxy() -> Self {
        Self::start(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            |mut stream, seen| async move {
                let head = read_head(&mut stream).await?;
                seen.lock().unwrap().push(head.clone());
                let target = head.split(' ').nth(1).unwrap().to_owned();
                if head.starts_with("CONNECT ") {
                    let mut to = TcpStream::connect(&target).await?;
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    copy_bidirectional(&mut stream, &mut to).await?;
                } else {
                    let host = target
                        .strip_prefix("http://")
                        .unwrap()
                        .split('/')
                        .next()
                        .unwrap();
                    let mut to = TcpStream::connect(host).await?;
                    to.write_all(head.as_bytes()).await?;
                    copy_bidirectional(&mut stream, &mut to).await?;
                }
                Ok(())
            },
        )
        .await
    }

    /// A SOCKS5 proxy (RFC 1928) with user and password (RFC 1929) if the client offers them. It remembers `IP` or `NAME` and the target.
    pub async fn socks_proxy() -> Self {
        Self::start(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            |mut stream, seen| async move {
                let count = {
                    stream.read_u8().await?;
                    stream.read_u8().await?
                };
                let mut methods = vec![0; usize::from(count)];
                stream.read_exact(&mut methods).await?;
                if methods.contains(&2) {
                    stream.write_all(&[5, 2]).await?;
                    stream.read_u8().await?;
                    let user = read_counted(&mut stream).await?;
                    let password = read_counted(&mut stream).await?;
                    seen.lock()
                        .unwrap()
                        .push(format!("LOGIN {user} {password}"));
                    stream.write_all(&[1, 0]).await?;
                } else {
                    stream.write_all(&[5, 0]).await?;
                }
                let mut head = [0; 4];
                stream.read_exact(&mut head).await?;
                let (kind, host) = match head[3] {
                    1 => {
                        let mut ip = [0; 4];
                        stream.read_exact(&mut ip).await?;
                        ("IP", std::net::Ipv4Addr::from(ip).to_string())
                    }
                    3 => ("NAME", read_counted(&mut stream).await?),
                    _ => {
                        let mut ip = [0; 16];
                        stream.read_exact(&mut ip).await?;
                        ("IP", format!("[{}]", std::net::Ipv6Addr::from(ip)))
                    }
                };
                let target = format!("{host}:{}", stream.read_u16().await?);
                seen.lock().unwrap().push(format!("{kind} {target}"));
                let mut to = TcpStream::connect(&target).await?;
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                copy_bidirectional(&mut stream, &mut to).await?;
                Ok(())
            },
        )
        .await
    }
}

async fn answer_all(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &[u8],
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    loop {
        let head = read_head(&mut stream).await?;
        seen.lock().unwrap().push(head);
        stream.write_all(answer).await?;
        stream.flush().await?;
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

async fn read_counted(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}
