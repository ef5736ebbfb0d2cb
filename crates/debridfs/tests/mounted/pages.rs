//! The pages in a real browser: somebody logs in, looks around, and changes the queue.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use debridfs_sim::{Clip, FileSpec};

use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::{ENGINE_USER, Instance, Settings, Simulator, film, run};

const HASH: &str = "00112233445566778899aabbccddeeff00112233";
const PASSWORD: &str = "correct horse";
const PAGES: [&str; 6] = ["/", "/library", "/queue", "/accounts", "/cache", "/log"];

/// What `debridfs config hash-password` prints.
fn hash(password: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["config", "hash-password"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("debridfs starts");
    let mut stdin = command.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("written");
    drop(stdin);
    let output = command.wait_with_output().expect("debridfs ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

#[test]
fn somebody_logs_in_looks_around_and_changes_the_queue() {
    let hostile = "Show <img src=x onerror=alert(1)> \"S01\"";
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20), film(hostile, 1 << 20)]);
    let files = vec![FileSpec::clip("/Grabbed.2024.mkv", Clip::Film)];
    simulator.know(HASH, "Grabbed.2024", files);
    let downloads = tempfile::tempdir().expect("directory");
    let owned = downloads.path().to_str().expect("text");
    run("chown", &[ENGINE_USER, owned]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    drop(listener);
    let hashed = hash(PASSWORD);
    let toml = format!(
        "[web]\npassword_hash = '{hashed}'\n[acquire]\ndownloads = \"{}\"\n[qbittorrent]\nlisten = \"{address}\"\n",
        downloads.path().display()
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let status = instance.status();
    let site = status["engine"]["listen"].as_str().expect("it listens");
    let at = |path: &str| format!("http://{site}{path}");
    let browser = Browser::start();

    browser.go(&at("/queue"));
    assert!(
        browser.url().contains("/login?next=%2Fqueue"),
        "{}",
        browser.url()
    );
    browser.write("input[name=password]", "wrong");
    browser.press(&[ENTER]);
    browser.wait_for("[role=alert]", "not the password");
    browser.write("input[name=password]", PASSWORD);
    browser.press(&[ENTER]);
    browser.wait_for("h1", "Queue");
    assert_eq!(browser.url(), at("/queue"));
    // The wrong password is answered with 401, which a browser notes.
    let noted = browser.complaints();
    assert!(noted.iter().all(|line| line.contains("401")), "{noted:?}");

    browser.go(&at("/library"));
    let listed = browser.text("tbody");
    assert!(
        listed.contains("First.2024") && listed.contains(hostile),
        "{listed}"
    );
    browser.write("input[name=q]", "first 2024");
    browser.press(&[ENTER]);
    browser.wait_for("main [role=status]", "Releases: 1");
    browser.click("tbody a");
    browser.wait_for("h1", "__all__/First.2024");
    assert!(browser.text("tbody").contains("First.2024.mkv"));

    browser.go(&at("/queue"));
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=Grabbed.2024");
    browser.write("input[name=category]", "films");
    browser.write("input[name=link]", &magnet);
    browser.press(&[ENTER]);
    let row = format!("#job-{HASH}");
    browser.wait_for(&row, "Grabbed.2024");
    browser.script("window.loaded = 'once'");
    // Nobody reloads the page.
    browser.wait_for(&row, "complete");
    assert_eq!(browser.script("return window.loaded"), "once");
    assert!(downloads.path().join("films/Grabbed.2024").exists());

    // By keyboard alone: open the menu of the row, then its second button.
    browser.script(&format!(
        "document.querySelector('#remove-{HASH} summary').focus()"
    ));
    browser.press(&[ENTER, TAB, TAB, ENTER]);
    browser.wait_for("#queue", "Nothing to show");
    assert!(!downloads.path().join("films/Grabbed.2024").exists());

    // On a phone nothing is wider than the screen, and each preference has its colours.
    browser.resize(400, 850);
    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for page in PAGES {
            browser.go(&at(page));
            let over = "return document.documentElement.scrollWidth - innerWidth";
            let over = browser.script(over).as_f64().expect("a number");
            assert!(over <= 0.0, "{page} is {over} px too wide");
        }
        backs.push(browser.script("return getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backs[0], backs[1]);
    assert!(!instance.log().contains(PASSWORD) && !instance.log().contains(&hashed));
    assert!(browser.text("#log").contains("qBittorrent API"));
    let noted = browser.complaints();
    assert!(noted.is_empty(), "{noted:?}");

    browser.click("header button");
    browser.wait_for("h1", "debridfs");
    browser.go(&at("/library"));
    assert!(browser.url().contains("/login"), "{}", browser.url());
}
