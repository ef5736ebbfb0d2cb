//! `debridfs config hash-password`.

use std::io::{self, BufRead, IsTerminal, Write};

use debridfs_web::HashedPassword;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::failure::{Doing, Failure, USAGE};

/// Asks for a password, twice and unseen on a terminal, and prints its hash. From a pipe it takes the first line.
pub fn run() -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if ask("Again: ")? != first {
            return Err(Failure::new("these are two passwords", None).with_code(USAGE));
        }
        first
    } else {
        line()?
    };
    let hash = HashedPassword::of(&password)
        .map_err(|error| Failure::new(error.to_string(), None).with_code(USAGE))?;
    println!("{}", hash.reveal());
    Ok(())
}

/// One line of a terminal that does not show it.
fn ask(prompt: &str) -> Result<String, Failure> {
    let doing = || "terminal".into();
    let stdin = io::stdin();
    eprint!("{prompt}");
    io::stderr().flush().doing(doing)?;
    let before = tcgetattr(&stdin).doing(doing)?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &unseen).doing(doing)?;
    let read = line();
    // Whatever became of it, the terminal shows again what is typed.
    tcsetattr(&stdin, OptionalActions::Now, &before).doing(doing)?;
    eprintln!();
    read
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .doing(|| "password".into())?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
