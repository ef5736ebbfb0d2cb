//! A page of links for rclone's `http` remote: the files themselves are where the simulator's CDN has them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Result;

/// Where each file is now, by its name.
pub(crate) type Links = Arc<Mutex<HashMap<String, String>>>;

/// Serves an index of files, each redirected to where it is at that moment, until the program ends. Gives the address.
pub(crate) fn serve(files: Links) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let links: String = files
        .lock()
        .keys()
        .map(|name| format!("<a href=\"{name}\">{name}</a>\n"))
        .collect();
    let page: Arc<str> = format!("<html><body>{links}</body></html>").into();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (page, targets) = (page.clone(), files.clone());
            std::thread::spawn(move || {
                // A client that goes away is no error.
                let _ = answer(&stream, &page, &targets);
            });
        }
    });
    Ok(address)
}

/// Answers requests of one connection until it is closed.
fn answer(mut stream: &TcpStream, page: &str, targets: &Links) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        while !lines.next().ok_or("no end of the head")??.is_empty() {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let name = path.trim_start_matches('/');
        let target = targets.lock().get(name).cloned();
        let answer = match target {
            None if name.is_empty() => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ";
                let body = if request.starts_with("GET ") {
                    page
                } else {
                    ""
                };
                format!("{head}{}\r\n\r\n{body}", page.len())
            }
            Some(target) => {
                format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")
            }
            None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}
