//! How fast content is made and sent: `cargo run --release -p debridfs-sim --example throughput`.
//!
//! The body is read from a raw socket in this process, so that no HTTP client is measured along.

use std::io::{Read, Write};
use std::time::Instant;

use debridfs_sim::{
    FileSpec, Generated, LibrarySpec, ReleaseSpec, ServeOptions, Sim, content, serve,
};

const BODY: u64 = 8 << 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut buffer = vec![0; 256 * 1024];
    let started = Instant::now();
    for block in 0..8192u64 {
        content::fill(7, block * buffer.len() as u64, &mut buffer);
    }
    println!(
        "fill: {:.2} GB/s",
        8192.0 * buffer.len() as f64 / 1e9 / started.elapsed().as_secs_f64()
    );

    let started = Instant::now();
    let options = Generated {
        releases: 10_000,
        files_per_release: 10,
        ..Generated::default()
    };
    Sim::new(&LibrarySpec::generated(&options))?;
    println!("100 000 files: {:.2} s", started.elapsed().as_secs_f64());

    let film = ReleaseSpec::new("Film", vec![FileSpec::generated("/film.mkv", BODY)]);
    let sim = Sim::new(&LibrarySpec {
        seed: 1,
        releases: vec![film],
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(sim.clone(), ServeOptions::default()))?;
    let link = sim.torrents(0)?[0].links[0].clone();
    let mut stream = std::net::TcpStream::connect(served.addresses()[0])?;
    let body = format!("link={link}");
    write!(
        stream,
        "POST /rest/1.0/unrestrict/link?auth_token={} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        sim.token(),
        body.len()
    )?;
    let length = stream.read(&mut buffer)?;
    let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let path = answer
        .split_once("\"download\":\"")
        .and_then(|(_, rest)| rest.split_once("/d/")?.1.split_once('"'))
        .ok_or("no direct link")?
        .0;
    write!(
        stream,
        "GET /d/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let started = Instant::now();
    let mut received = 0u64;
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        received += length as u64;
    }
    println!(
        "CDN over loopback: {:.2} GB/s",
        received as f64 / 1e9 / started.elapsed().as_secs_f64()
    );
    Ok(())
}
