//! A machine that boots an image.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

use crate::{GuestError, Image};

/// The guest's name for the network it is in; nobody answers there.
pub const GATEWAY: &str = "10.0.2.2";
/// The address at which the guest finds what [`Forward`] leads to.
pub const SERVER: &str = "10.0.2.100";

/// A port of [`SERVER`] in the guest that leads to an address of the host. Every connection there is one of its own here, from a port above 1023.
#[derive(Debug, Clone, Copy)]
pub struct Forward {
    /// The port in the guest.
    pub port: u16,
    /// Where it leads.
    pub to: SocketAddr,
}

/// How a machine is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// MiB of memory; the image takes its part of that.
    pub memory: u32,
    /// How long it may take in all, from its start.
    pub limit: Duration,
    /// What it reaches of the host; nothing else.
    pub forwards: Vec<Forward>,
}

impl Default for Settings {
    /// 512 MiB, two minutes, nothing to be reached.
    fn default() -> Self {
        Self {
            memory: 512,
            limit: Duration::from_secs(120),
            forwards: Vec::new(),
        }
    }
}

/// What a script printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its standard output and errors.
    pub text: String,
    /// Its exit status.
    pub status: i32,
    /// The end of the kernel's console, for those who look for a fault.
    pub console: String,
}

impl Output {
    /// The output of a script that did not fail.
    ///
    /// # Panics
    /// If it failed, with all that it printed.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert_eq!(
            self.status, 0,
            "the script failed; it printed:\n{}\nconsole:\n{}",
            self.text, self.console
        );
        self.text
    }
}

/// A running machine; ended when dropped, with all that it has on the host.
///
/// It ends with the thread that started it, also when that is killed.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    printed: String,
    files: TempDir,
    started: Instant,
    limit: Duration,
}

impl Machine {
    /// Boots `image` and runs its script.
    ///
    /// # Errors
    /// If the image cannot be made or QEMU cannot be started.
    pub fn start(image: &Image, settings: &Settings) -> Result<Self, GuestError> {
        let files = tempfile::Builder::new()
            .prefix("debridfs-guest-")
            .tempdir()
            .map_err(GuestError::of(Path::new("/tmp")))?;
        image.write(&files.path().join("initramfs"))?;
        let log = files.path().join("qemu.log");
        let log = File::create(&log).map_err(GuestError::of(&log))?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(arguments(image, settings, files.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(GuestError::of(Path::new("setpriv")))?;
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        // Ends with the machine, whose output then ends.
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            input,
            lines,
            printed: String::new(),
            files,
            started: Instant::now(),
            limit: settings.limit,
        })
    }

    /// Boots `image`, runs its script to its end, and gives what it printed.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::finish`].
    pub fn run(image: &Image, settings: &Settings) -> Result<Output, GuestError> {
        Self::start(image, settings)?.finish()
    }

    /// Waits until the script has printed a line that begins with `start`, and gives the rest of that line.
    ///
    /// # Errors
    /// If it ends before, or the time is over.
    pub fn wait_for(&mut self, start: &str) -> Result<String, GuestError> {
        loop {
            match self.lines.recv_timeout(self.left()) {
                Ok(line) => {
                    self.printed += &line;
                    self.printed.push('\n');
                    if let Some(rest) = line.strip_prefix(start) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.too_long()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.no_status()),
            }
        }
    }

    /// What the script has printed so far.
    pub fn printed(&mut self) -> &str {
        while let Ok(line) = self.lines.try_recv() {
            self.printed += &line;
            self.printed.push('\n');
        }
        &self.printed
    }

    /// Sends the script a line, for its `read`.
    ///
    /// # Errors
    /// If the machine has ended.
    pub fn tell(&mut self, line: &str) -> Result<(), GuestError> {
        let sent = self.input.write_all(format!("{line}\n").as_bytes());
        let sent = sent.and_then(|()| self.input.flush());
        sent.map_err(GuestError::of(Path::new("the guest's input")))
    }

    /// Waits until the script has ended.
    ///
    /// # Errors
    /// [`GuestError::TooLong`] when the time is over, [`GuestError::NoStatus`] when the machine ends without a status.
    pub fn finish(mut self) -> Result<Output, GuestError> {
        loop {
            match self.lines.recv_timeout(self.left()) {
                Ok(line) => {
                    self.printed += &line;
                    self.printed.push('\n');
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.too_long()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if !self.ended() {
            return Err(self.too_long());
        }
        let told = fs::read_to_string(self.files.path().join("status")).unwrap_or_default();
        let status = told.trim().strip_prefix("status ");
        match status.and_then(|status| status.parse().ok()) {
            Some(status) => Ok(Output {
                text: std::mem::take(&mut self.printed),
                status,
                console: self.console(),
            }),
            None => Err(self.no_status()),
        }
    }

    /// Waits for the end of QEMU, which has closed its output; false when the time is over.
    fn ended(&self) -> bool {
        let pid = Pid::from_child(&self.child);
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return true;
        };
        let left = self.left().try_into().expect("minutes");
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)).is_ok_and(|ended| ended > 0)
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// The last 40 lines of the kernel's console, and what QEMU said.
    fn console(&self) -> String {
        let read = |name| fs::read(self.files.path().join(name)).unwrap_or_default();
        let text = [read("console"), read("qemu.log")].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn too_long(&self) -> GuestError {
        GuestError::TooLong {
            limit: self.limit,
            printed: self.printed.clone(),
            console: self.console(),
        }
    }

    fn no_status(&self) -> GuestError {
        GuestError::NoStatus {
            printed: self.printed.clone(),
            console: self.console(),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// QEMU's command line: software emulation, no device that nobody asked for, and a network that leads nowhere but to the forwards.
fn arguments(image: &Image, settings: &Settings, files: &Path) -> Vec<String> {
    let file = |name| format!("file:{}", files.join(name).display());
    let network = settings.forwards.iter().fold(
        "user,id=net,restrict=on,ipv6=off".to_owned(),
        |text, Forward { port, to }| {
            let (ip, to) = (to.ip(), to.port());
            // One process for each connection. It ends a moment after that, as QEMU 7.2 aborts where one ends
            // while bytes wait for the guest (libslirp's `soread`, "buf_len != 0").
            let connect = format!("sh -c \"busybox nc {ip} {to}; sleep 1\"");
            text + &format!(",guestfwd=tcp:{SERVER}:{port}-cmd:{connect}")
        },
    );
    let kernel = image.packages().kernel().display().to_string();
    let initramfs = files.join("initramfs").display().to_string();
    let (memory, console) = (format!("{}M", settings.memory), file("console"));
    let status = file("status");
    [
        "-machine",
        "pc,accel=tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        &memory,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        &console,
        "-chardev",
        "stdio,id=script,signal=off",
        "-serial",
        "chardev:script",
        "-serial",
        &status,
        "-netdev",
        &network,
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
        "-device",
        "virtio-rng-pci",
        "-kernel",
        &kernel,
        "-initrd",
        &initramfs,
        // A panic ends it at once; nothing is defended against in a guest that runs our tests alone.
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off nokaslr",
    ]
    .map(str::to_owned)
    .to_vec()
}
