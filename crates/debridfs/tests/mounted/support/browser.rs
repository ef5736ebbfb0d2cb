//! A real Chromium, driven by its WebDriver: what it is sent is what the W3C's WebDriver specification says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::until;

/// The keys of WebDriver that tests press.
pub const ENTER: &str = "\u{e007}";
pub const TAB: &str = "\u{e004}";
/// How long a busy machine may take to show something.
const PATIENCE: Duration = Duration::from_secs(90);
/// The name under which an element's id is told.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser; ended when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// # Panics
    /// When there is none: `scripts/setup.sh test` installs it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let profile = tempfile::Builder::new()
            .prefix("debridfs-browser-")
            .tempdir()
            .expect("directory");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            // So that it is ended with all it started.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts (Debian: chromium-driver)");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        until("chromedriver answers", PATIENCE, || {
            browser
                .exchange("GET", "/status", None)
                .is_some_and(|said| said["value"]["ready"] == true)
        });
        let data = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            &data,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let said = browser.exchange("POST", "/session", Some(&wanted));
        let said = said.expect("a session");
        let session = said["value"]["sessionId"].as_str();
        browser.session = session
            .unwrap_or_else(|| panic!("no session: {said}"))
            .to_owned();
        browser
    }

    /// Goes to an address, and waits for the page.
    pub fn go(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.script("return location.href")
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// What a script returns.
    pub fn script(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text that somebody sees of the first element of this kind; nothing when there is none.
    pub fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText", json!(css));
        self.script(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until somebody sees `words` in the element.
    pub fn wait_for(&self, css: &str, words: &str) {
        until(&format!("{words:?} in {css}"), PATIENCE, || {
            self.text(css).contains(words)
        });
    }

    /// Clicks on the element.
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        self.command(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the element, which gets the focus.
    pub fn write(&self, css: &str, text: &str) {
        let element = self.find(css);
        self.command(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Sets the size of the window.
    pub fn resize(&self, width: u32, height: u32) {
        self.command("/window/rect", &json!({ "width": width, "height": height }));
    }

    /// What a person prefers: `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let parameters = json!({ "features": features });
        self.command(
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setEmulatedMedia", "params": parameters }),
        );
    }

    /// Warnings and errors of the pages since the last call.
    pub fn complaints(&self) -> Vec<String> {
        let said = self.command("/se/log", &json!({ "type": "browser" }));
        let lines = said.as_array().expect("a list").iter();
        lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .map(|line| line["message"].to_string())
            .collect()
    }

    fn find(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.command("/element", &wanted);
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let mut said = self.exchange("POST", &path, Some(body)).expect("an answer");
        assert!(said["value"]["error"].is_null(), "{path} {body}: {said}");
        said["value"].take()
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let body = body.map_or_else(String::new, Value::to_string);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .ok()?;
        // It does not close the connection, whatever it was asked.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).ok()?;
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().ok()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).ok()?;
        serde_json::from_slice(&body).ok()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; whatever does not, with the group.
        self.exchange("DELETE", &format!("/session/{}", self.session), None);
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}
