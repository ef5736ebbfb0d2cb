//! The whole test on one host: containers are namespaces, or those of a container runtime.

mod consumers;
mod parts;
mod phases;
pub(crate) mod runtime;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::code::Code;
use crate::host;
use crate::marker::Marker;
use crate::processes::{Contained, Helpers, Producer};
use crate::report::{Phase, Recorder, Report};

use consumers::Consumer;
use runtime::Sandbox;

pub use runtime::RuntimeSettings;

/// What a test is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How this program is started as a helper; the description is added as the last argument,
    /// and given to [`crate::helper_main`].
    pub helper: Vec<OsString>,
    /// The directory that is tested: the one that containers bind. It must exist.
    pub dir: PathBuf,
    /// How long the marker is waited for, in each place.
    pub wait: Duration,
    /// Mount with `allow_other`, as `mount.allow_other` says.
    pub allow_other: bool,
    /// The container runtime whose containers are used.
    pub runtime: Option<RuntimeSettings>,
}

/// A phase could not do its work; why has been recorded.
struct GivenUp;

/// Everything a test makes.
struct Session {
    settings: Settings,
    helpers: Helpers,
    record: Recorder,
    /// The test's own directory below the tested one.
    base: PathBuf,
    /// What is made there, the deepest first.
    directories: Vec<PathBuf>,
    /// Peer group of the host's mount.
    group: u32,
    /// Removes it all if this process is killed.
    sweeper: Option<Contained>,
    /// What containers are in that are a runtime's.
    sandbox: Option<Sandbox>,
    /// Removes that if this process is killed.
    runtime_sweeper: Option<Contained>,
    container: Option<Contained>,
    bare_container: Option<Contained>,
    producer: Option<Producer>,
    consumers: Vec<Consumer>,
}

/// Runs every phase, cleans up, and judges. `stop` ends it early; it is cleaned up all the same.
///
/// Has to be called on a runtime of one thread: helpers end with the thread that started them.
pub async fn run(
    settings: Settings,
    record: Recorder,
    stop: impl Future<Output = String>,
) -> Report {
    let mut session = Session {
        helpers: Helpers {
            program: settings.helper.clone(),
        },
        settings,
        record,
        base: PathBuf::new(),
        directories: Vec::new(),
        group: 0,
        sweeper: None,
        sandbox: None,
        runtime_sweeper: None,
        container: None,
        bare_container: None,
        producer: None,
        consumers: Vec::new(),
    };
    let interrupted = tokio::select! {
        // Whatever made it give up has been recorded.
        _ = session.phases() => None,
        why = stop => Some(why),
    };
    if let Some(why) = interrupted {
        let code = Code::Interrupted;
        session.record.failed(Phase::Cleanup, "test", code, why);
    }
    session.clean_up().await;
    session.record.conclude("")
}

impl Session {
    async fn phases(&mut self) -> Result<(), GivenUp> {
        self.host_set_up().await?;
        self.start_runtime().await?;
        self.start_consumers(true).await?;
        self.producer().await?;
        self.start_consumers(false).await?;
        self.consumers_see().await;
        self.readers().await;
        self.mounters().await;
        self.killed().await;
        self.stacked().await?;
        self.stopped().await;
        self.mounted_again().await?;
        self.parts().await;
        Ok(())
    }

    fn give_up(
        &mut self,
        phase: Phase,
        what: &str,
        code: Code,
        seen: impl Into<String>,
    ) -> GivenUp {
        self.record.failed(phase, what, code, seen);
        GivenUp
    }

    fn fresh_marker(&mut self, phase: Phase) -> Result<Marker, GivenUp> {
        Marker::fresh().map_err(|error| {
            let code = Code::ProducerFailed;
            self.give_up(phase, "random bytes", code, error.to_string())
        })
    }

    async fn clean_up(&mut self) {
        if let Some(mut producer) = self.producer.take() {
            producer.terminate().await;
        }
        for consumer in self.consumers.drain(..) {
            consumer.container.end().await;
        }
        let containers = [self.container.take(), self.bare_container.take()];
        for container in containers.into_iter().flatten() {
            container.end().await;
        }
        if let Some(sandbox) = self.sandbox.take()
            && let Err(error) = sandbox.end().await
        {
            let code = Code::CleanupIncomplete;
            self.record.failed(Phase::Cleanup, "sandbox", code, error);
        }
        if self.directories.is_empty() {
            return;
        }
        let left = host::remove_soon(&self.base, &self.directories);
        if left.is_empty() {
            let seen = "no mount, process or directory is left";
            self.record.ok(Phase::Cleanup, "host", seen);
        } else {
            let code = Code::CleanupIncomplete;
            self.record
                .failed(Phase::Cleanup, "host", code, left.join("; "));
        }
        let sweepers = [self.sweeper.take(), self.runtime_sweeper.take()];
        for sweeper in sweepers.into_iter().flatten() {
            sweeper.end().await;
        }
    }
}
