//! The keeper as a process: options from the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use debridfs_handover::Recovery;
use debridfs_keeper::{KeeperOptions, Level, Mode, Owner};

/// `MOUNT SOCKET CONTROL [child|attached] [resend|none] [uid=N]`, and `heartbeat`, `start`,
/// `deadline`, `stop` and `linger`, each with `=MS`; `refused=STATUS`; `optional`: the mount may wait.
pub fn main(arguments: &[String]) -> ExitCode {
    let [mount, socket, control, words @ ..] = arguments else {
        return ExitCode::FAILURE;
    };
    let program = std::env::current_exe().unwrap();
    let mut command = vec![program.into_os_string()];
    command.extend(["as-engine", socket, control].map(Into::into));
    let mode = Mode::Child {
        installed: PathBuf::from(&command[0]),
        command,
    };
    let mut options = KeeperOptions::new(PathBuf::from(mount), PathBuf::from(socket), mode);
    options.threads = Some(3);
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, "0"));
        let value: u32 = value.parse().unwrap();
        let time = Duration::from_millis(value.into());
        match key {
            "child" => {}
            "optional" => options.mount_required = false,
            "attached" => options.mode = Mode::Attached,
            "resend" => options.recovery = Recovery::Resend,
            "none" => options.recovery = Recovery::None,
            "uid" => {
                options.owner = Some(Owner {
                    uid: value,
                    gid: value,
                })
            }
            "heartbeat" => options.limits.heartbeat = time,
            "start" => options.limits.start = time,
            "stop" => options.limits.stop = time,
            "linger" => options.limits.linger = time,
            "refused" => options.refused = Some(value.cast_signed()),
            "deadline" => options.limits.deadline = time,
            other => panic!("unknown word {other}"),
        }
    }
    options.log = Box::new(|level, text| {
        let level = match level {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
        };
        eprintln!("{level} {text}");
    });
    match debridfs_keeper::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR {error}: {:?}", std::error::Error::source(&error));
            ExitCode::FAILURE
        }
    }
}
