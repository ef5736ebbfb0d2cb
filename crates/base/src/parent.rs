//! A process that is of no use without the one that started it.

use std::io;

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, parent_process_death_signal,
    set_parent_process_death_signal,
};

/// `--parent=ID` with the id of this process: how it tells a helper that it starts whom to end with.
pub fn argument() -> String {
    format!("--parent={}", std::process::id())
}

/// Has the kernel send `signal` to this process when the thread of `parent` that started it ends: `parent` is the id of the process that called
/// `spawn`, as that process said it.
///
/// To be called after every change of user or group, which takes the request back (prctl(2), `PR_SET_PDEATHSIG`); [`DeathSignal`] makes it again.
///
/// # Errors
/// `ESRCH` when `parent` has ended before, so that no signal would ever come; this process should end.
pub fn end_with(parent: i32, signal: Signal) -> io::Result<()> {
    ask(Pid::from_raw(parent), signal)
}

fn ask(parent: Option<Pid>, signal: Signal) -> io::Result<()> {
    set_parent_process_death_signal(Some(signal))?;
    match getppid() == parent {
        true => Ok(()),
        false => Err(rustix::io::Errno::SRCH.into()),
    }
}

/// What the calling thread asked the kernel for, to be asked for again after a change of user or group.
#[derive(Debug)]
#[must_use = "the change takes the request back"]
pub struct DeathSignal {
    /// Whose end the thread is told of, and by what.
    asked: Option<(Option<Pid>, Signal)>,
}

impl DeathSignal {
    /// That of the calling thread.
    ///
    /// # Errors
    /// The kernel does not tell it.
    pub fn of_thread() -> io::Result<Self> {
        let signal = parent_process_death_signal()?;
        Ok(Self {
            asked: signal.map(|signal| (getppid(), signal)),
        })
    }

    /// Asks for it again. Where the signal would never come, as the parent has ended meanwhile, it is sent now.
    pub fn renew(&self) {
        if let Some((parent, signal)) = self.asked
            && ask(parent, signal).is_err()
        {
            let _ = kill_process(getpid(), signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// Has the test of this name run again, in a process of its own.
    const CHILD: &str = "DEBRIDFS_TEST_PARENT_ENDED";

    #[test]
    fn who_lost_its_parent_while_it_became_another_user_ends_at_once() {
        if std::env::var_os(CHILD).is_some() {
            // As if another process had started this one, and had ended.
            let lost = DeathSignal {
                asked: Some((Some(getpid()), Signal::TERM)),
            };
            lost.renew();
            return;
        }
        let name = "parent::tests::who_lost_its_parent_while_it_became_another_user_ends_at_once";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(
            ended.status.signal(),
            Some(Signal::TERM.as_raw()),
            "{ended:?}"
        );
    }

    #[test]
    fn the_request_is_what_it_was_after_a_change() {
        std::thread::spawn(|| {
            set_parent_process_death_signal(Some(Signal::USR1)).unwrap();
            let before = DeathSignal::of_thread().unwrap();
            // As the kernel does with a change of user.
            set_parent_process_death_signal(None).unwrap();
            before.renew();
            assert_eq!(parent_process_death_signal().unwrap(), Some(Signal::USR1));
            set_parent_process_death_signal(None).unwrap();
            let none = DeathSignal::of_thread().unwrap();
            none.renew();
            assert_eq!(parent_process_death_signal().unwrap(), None);
        })
        .join()
        .unwrap();
    }
}
