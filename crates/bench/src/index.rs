//! A page with one link, for rclone's `http` remote: the file itself is where the simulator's CDN has it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::Result;

/// Serves an index of one file `name`, which is redirected to `target`, until the program ends. Gives the address.
pub(crate) fn serve(name: &str, target: &str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let page = format!("<html><body><a href=\"{name}\">{name}</a></body></html>");
    let target = target.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (page, target) = (page.clone(), target.clone());
            std::thread::spawn(move || {
                // A client that goes away is no error.
                let _ = answer(&stream, &page, &target);
            });
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream, page: &str, target: &str) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().ok_or("no request")??;
    while !lines.next().ok_or("no end of the head")??.is_empty() {}
    let head = if request.contains(" / ") {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            page.len()
        )
    } else {
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    stream.write_all(head.as_bytes())?;
    if request.starts_with("GET / ") {
        stream.write_all(page.as_bytes())?;
    }
    Ok(())
}
