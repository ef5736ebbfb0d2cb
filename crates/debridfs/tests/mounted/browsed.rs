//! The library's own pages in a real browser: somebody finds a film and plays it.

use std::time::Duration;

use debridfs_sim::{Clip, FileSpec, ReleaseSpec};

use crate::behaviour::token;
use crate::support::browser::Browser;
use crate::support::{Instance, Settings, Simulator, free_address, until};

#[test]
fn a_browser_plays_a_film_from_the_index_page() {
    let hostile = "Film <img src=x onerror=alert(1)> \"2024\"";
    let files = vec![FileSpec::clip(format!("/{hostile}.mkv"), Clip::Film)];
    let simulator = Simulator::start(vec![ReleaseSpec::new(hostile, files)]);
    let address = free_address();
    let settings = Settings {
        toml: format!("[http]\nlisten = \"{address}\"\n"),
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let token = token(&instance);
    let browser = Browser::start();

    browser.go(&format!("http://suite:{token}@{address}/dav/__all__/"));
    browser.wait_for("h1", "__all__");
    browser.click("tbody a");
    browser.wait_for("h1", hostile);
    browser.click("thead th:nth-child(2) a");
    browser.wait_for("th[aria-sort=ascending]", "Size");
    browser.click("a.play");
    browser.wait_for("main p", "no decoder");
    // Without a gesture a browser plays what is silent alone.
    browser.script("const film = document.querySelector('video'); film.muted = true; film.play()");
    let at = "return document.querySelector('video').currentTime";
    until("the film plays", Duration::from_secs(30), || {
        browser.script(at).as_f64().is_some_and(|at| at > 0.2)
    });
    let length = browser.script("return document.querySelector('video').duration");
    assert!(
        length.as_f64().is_some_and(|length| length > 10.0),
        "{length}"
    );
    // A jump is a range of its own.
    browser.script("document.querySelector('video').currentTime = 8");
    until("it goes on there", Duration::from_secs(30), || {
        browser.script(at).as_f64().is_some_and(|at| at > 8.1)
    });
    let noted = browser.complaints();
    assert!(noted.is_empty(), "{noted:?}");
}
