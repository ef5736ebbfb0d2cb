//! What to try.

use std::io::{self, Write};

use debridfs_config::control_socket_in;
use debridfs_control::Status;

use crate::children::Account;
use crate::place::Place;

/// `ready DIR`, which scripts wait for, and commands to copy; `hash` is of a release to grab again.
pub fn print(
    place: &Place,
    status: &Status,
    accounts: &[Account],
    hash: Option<&str>,
) -> io::Result<()> {
    let dir = place.mount().display();
    let program = std::env::args_os().next().unwrap_or_default();
    let program = program.to_string_lossy();
    let control = control_socket_in(&place.runtime_dir());
    let control = control.display();
    let releases = status
        .library
        .as_ref()
        .map_or(0, |library| library.releases);
    let mut out = io::stdout().lock();
    writeln!(out, "ready {dir}")?;
    writeln!(out)?;
    let simulated = !accounts.is_empty();
    match accounts {
        [] => writeln!(out, "Your account with {releases} releases is mounted.")?,
        [_] => writeln!(
            out,
            "A simulated account with {releases} releases is mounted."
        )?,
        several => {
            let count = several.len();
            writeln!(
                out,
                "{count} simulated accounts are mounted as one library of {releases} releases:"
            )?;
            for one in several {
                writeln!(
                    out,
                    "  {}: {} at {}, alone in {dir}/{}",
                    one.name, one.kind, one.url, one.name
                )?;
            }
        }
    }
    writeln!(out, "Things to try:")?;
    writeln!(out)?;
    // Only the test pictures of the simulated account hold something that can be decoded.
    let playable = if simulated {
        "-path '*Test.Pictures*' -name '*.m*'"
    } else {
        "-type f \\( -name '*.mkv' -o -name '*.mp4' \\)"
    };
    let downloads = place.downloads();
    let grab = hash.filter(|_| simulated).map(|hash| {
        [
            (
                format!("{program} queue add --category tv {hash}"),
                "grab it as Sonarr would",
            ),
            (
                format!("{program} queue ls; ls -lR {}", downloads.display()),
                "links are made for whoever imports it",
            ),
        ]
    });
    let commands = [
        (
            format!("export DEBRIDFS_CONTROL={control}"),
            "which instance the commands below mean",
        ),
        (format!("ls {dir} {dir}/__all__"), "look around"),
        (format!("find {dir} -ls"), "walking costs no call"),
        (
            format!("film=$(find {dir}/__all__ {playable} | head -1)"),
            match simulated {
                true => "choose something to play: the other files hold noise",
                false => "choose something to play",
            },
        ),
        ("ffprobe \"$film\"".into(), "probe it"),
        (
            format!("{program} why \"$film\""),
            "what is known of it; part of a name or an info-hash will do",
        ),
        (
            format!("ls {dir}/__bad__; {program} why \"$(ls {dir}/__bad__ | head -1)\""),
            "what cannot be read, and why",
        ),
        ("mpv \"$film\"".into(), "play it"),
        (
            format!("big=$(find {dir}/__all__ -type f -size +100M | head -1)"),
            "choose something large",
        ),
        (
            "dd if=\"$big\" of=/dev/null bs=1M count=512 skip=40 status=progress".into(),
            "read somewhere in it",
        ),
        (format!("{program} status"), "how it does"),
        (
            format!("kill -9 {}", status.engine.pid.unwrap_or_default()),
            "kill the engine while it plays: nothing happens",
        ),
    ];
    let failing = accounts.first().filter(|_| accounts.len() > 1);
    let failing = failing.map(|one| failure_of(one, &program));
    let more = grab
        .into_iter()
        .flatten()
        .chain(failing.into_iter().flatten());
    for (command, what) in commands.into_iter().chain(more) {
        writeln!(out, "  {command}")?;
        writeln!(out, "      # {what}")?;
    }
    writeln!(out)?;
    if let Some(address) = status.engine.listen {
        writeln!(out, "In a browser: http://{address}/")?;
    }
    writeln!(
        out,
        "Log: {}. Ctrl-C ends it and leaves nothing behind.",
        place.log("serve").display()
    )?;
    out.flush()
}

/// How one of several accounts is made to fail, and to be well again.
fn failure_of(one: &Account, program: &str) -> [(String, &'static str); 4] {
    let Account { control, name, .. } = one;
    let outage = |how: &str| {
        let body = format!("{{\"api\":\"{how}\",\"cdn\":\"{how}\"}}");
        format!("curl -X PUT -H 'Content-Type: application/json' -d '{body}' {control}outage")
    };
    [
        (
            outage("unavailable"),
            "let the first account fail while something plays: another one goes on",
        ),
        (
            format!("{program} provider ls; {program} why \"$film\""),
            "which account serves now, and why",
        ),
        (outage("none"), "let it be well again: readers come back"),
        (
            format!("{program} provider test {name}"),
            "try it step by step",
        ),
    ]
}
