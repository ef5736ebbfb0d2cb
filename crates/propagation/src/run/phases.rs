//! What is done and looked at, phase by phase.

use std::fs;
use std::path::{Path, PathBuf};

use debridfs_base::mountinfo::{self, Mount};

use crate::code::Code;
use crate::container::{Container, Propagation, VOLUME};
use crate::host::{self, MOUNT_POINT, ours_below, propagation_of};
use crate::level::{self, Level};
use crate::processes::Contained;
use crate::report::Phase;
use crate::server::Keep;
use crate::task::{Attempt, Sight, Written};
use crate::watch::{is_marker, look_until, reason};

use super::consumers::{Consumer, Source, WAYS, Way};
use super::{GivenUp, Session};

impl Session {
    pub(super) fn volume(&self) -> PathBuf {
        self.base.join("volume")
    }

    pub(super) fn host_mount(&self) -> PathBuf {
        self.volume().join(MOUNT_POINT)
    }

    pub(super) async fn host_set_up(&mut self) -> Result<(), GivenUp> {
        let phase = Phase::HostSetUp;
        if !level::has_sys_admin() {
            let seen = "making namespaces and mounts takes CAP_SYS_ADMIN: run it as root";
            return Err(self.give_up(phase, "capabilities", Code::NoSysAdmin, seen));
        }
        let dir = self.settings.dir.clone();
        let found = fs::canonicalize(&dir).and_then(|dir| Ok((host::mount_of(&dir)?, dir)));
        let (mount, dir) = found.map_err(|error| {
            let seen = format!("{}: {error}", dir.display());
            self.give_up(phase, "directory", Code::ProducerFailed, seen)
        })?;
        let Some(group) = mount.peer_group else {
            let seen = host::not_shared(&dir, &mount);
            return Err(self.give_up(phase, "propagation", Code::HostNotShared, seen));
        };
        self.group = group;
        let seen = format!(
            "{} lies on {} ({}), {}",
            dir.display(),
            mount.mount_point.display(),
            mount.fstype.to_string_lossy(),
            propagation_of(&mount)
        );
        self.record.ok(phase, "propagation", seen);
        self.make_directories(&dir).await
    }

    async fn make_directories(&mut self, dir: &Path) -> Result<(), GivenUp> {
        let phase = Phase::HostSetUp;
        let marker = self.fresh_marker(phase)?;
        self.base = dir.join(format!("debridfs-propagation-{}", &marker.nonce[..12]));
        let root = self.base.join("root");
        self.directories = vec![self.host_mount(), self.volume(), root, self.base.clone()];
        let (base, directories) = (self.base.clone(), self.directories.clone());
        match self.helpers.sweep(base, directories.clone()).await {
            Ok(sweeper) => self.sweeper = Some(sweeper),
            Err(error) => {
                return Err(self.give_up(phase, "sweeper", Code::ProducerFailed, error));
            }
        }
        // The deepest one is the mount point, which is made in its own way.
        for made in directories.into_iter().skip(1).rev() {
            if let Err(error) = fs::create_dir(&made) {
                let seen = format!("{}: {error}", made.display());
                return Err(self.give_up(phase, "directories", Code::ProducerFailed, seen));
            }
        }
        let mount = self.host_mount();
        match host::make_mount_point(&mount) {
            Err(error) => {
                let seen = format!("{}: {error}", mount.display());
                return Err(self.give_up(phase, "mount point", Code::ProducerFailed, seen));
            }
            Ok(immutable) => {
                let seen = match immutable {
                    Ok(()) => format!("{} is closed and immutable", mount.display()),
                    Err(error) => format!("{} cannot be immutable: {error}", mount.display()),
                };
                self.record.note(phase, "mount point", seen);
            }
        }
        Ok(())
    }

    async fn contain(
        &mut self,
        phase: Phase,
        what: &str,
        way: (PathBuf, bool, Propagation),
        device: bool,
    ) -> Result<Contained, GivenUp> {
        let (volume, recursive, propagation) = way;
        let container = Container {
            root: self.base.join("root"),
            volume,
            recursive,
            propagation,
            device,
        };
        let made = match &self.sandbox {
            Some(sandbox) => sandbox.contain(&container).await,
            None => {
                let made = self.helpers.contain(container).await;
                made.map_err(|error| (Code::ProducerFailed, error))
            }
        };
        made.map_err(|(code, error)| self.give_up(phase, what, code, error))
    }

    /// Starts the consumers that come before the first mount, or those that come after it.
    pub(super) async fn start_consumers(&mut self, before: bool) -> Result<(), GivenUp> {
        for way in WAYS.into_iter().filter(|way| way.before == before) {
            let source = match way.source {
                Source::Parent => self.volume(),
                Source::MountPoint | Source::SubPath => self.host_mount(),
            };
            let bound = (source, way.source != Source::SubPath, way.propagation);
            let container = self
                .contain(Phase::Consumer, way.name, bound, false)
                .await?;
            self.consumers.push(Consumer { way, container });
        }
        Ok(())
    }

    async fn start_producer(
        &mut self,
        phase: Phase,
        pid: u32,
        engine: Level,
    ) -> Result<(), GivenUp> {
        let marker = self.fresh_marker(phase)?;
        let keep = Keep {
            mount: Path::new(VOLUME).join(MOUNT_POINT),
            socket: self.scratch().join("keeper.sock"),
            unprivileged: engine != Level::Root,
            allow_other: self.settings.allow_other,
        };
        let nonce = marker.nonce.clone();
        match self.helpers.produce(Some(pid), keep, engine, marker).await {
            Ok(producer) => {
                self.producer = Some(producer);
                let seen = format!("mounted and served by {}, nonce {nonce}", engine.name());
                self.record.ok(phase, "producer", seen);
                Ok(())
            }
            Err(error) => Err(self.give_up(phase, "producer", Code::ProducerFailed, error)),
        }
    }

    fn nonce(&self) -> String {
        let marker = self.producer.as_ref().map(|producer| &producer.marker);
        marker
            .map(|marker| marker.nonce.clone())
            .unwrap_or_default()
    }

    pub(super) async fn producer(&mut self) -> Result<(), GivenUp> {
        let phase = Phase::Producer;
        let bound = (self.volume(), true, Propagation::Bidirectional);
        let container = self.contain(phase, "container", bound, true).await?;
        let pid = container.pid;
        self.container = Some(container);
        self.volume_propagates(phase, "producer's volume", pid, Propagation::Bidirectional)?;
        let scratch = self.scratch();
        match self
            .helpers
            .try_mount(Some(pid), Level::Root, &scratch)
            .await
        {
            Ok(Attempt::Mounted) => self.record.ok(phase, "mounting as root", "allowed"),
            Ok(Attempt::Refused(code, seen)) => {
                return Err(self.give_up(phase, "mounting as root", code, seen));
            }
            Err(error) => {
                let code = Code::ProducerFailed;
                return Err(self.give_up(phase, "mounting as root", code, error));
            }
        }
        self.start_producer(phase, pid, Level::Root).await?;
        self.host_sees(phase).await
    }

    async fn host_sees(&mut self, phase: Phase) -> Result<(), GivenUp> {
        let (mount, nonce) = (self.host_mount(), self.nonce());
        let sight = look_until(&self.helpers, None, &mount, self.settings.wait, |sight| {
            is_marker(sight, &nonce)
        })
        .await;
        if is_marker(&sight, &nonce) {
            self.record.ok(phase, "host", sight.to_string());
            return Ok(());
        }
        let mounts = mountinfo::read().unwrap_or_default();
        let code = reason(&sight, &mounts, &mount, Code::NotPropagatedToHost);
        self.record.never_appeared(self.settings.wait);
        Err(self.give_up(phase, "host", code, sight.to_string()))
    }

    /// Whether the container got what its volume asks for.
    fn volume_propagates(
        &mut self,
        phase: Phase,
        what: &str,
        pid: u32,
        asked: Propagation,
    ) -> Result<(), GivenUp> {
        let mounts = mountinfo::read_of(pid).unwrap_or_default();
        let volume = mountinfo::containing(&mounts, Path::new(VOLUME));
        let seen = volume.map_or_else(|| "no mount".into(), propagation_of);
        let seen = format!(
            "{} asked for, {seen} seen, host shared:{}",
            asked.name(),
            self.group
        );
        let got = volume.is_some_and(|volume| match asked {
            Propagation::Bidirectional => volume.peer_group == Some(self.group),
            // A mount that was bound on its own has a peer group of its own.
            Propagation::HostToContainer => {
                volume.master == Some(self.group) || (volume.is_ours() && volume.master.is_some())
            }
            Propagation::None => !volume.is_shared() && volume.master.is_none(),
        });
        if got {
            self.record.ok(phase, what, seen);
            Ok(())
        } else {
            let code = Code::RuntimeDroppedPropagation;
            Err(self.give_up(phase, what, code, seen))
        }
    }

    /// What every consumer sees, in order.
    fn ways(&self) -> Vec<(Way, u32, PathBuf)> {
        let all = self.consumers.iter();
        all.map(|one| (one.way, one.container.pid, one.mount()))
            .collect()
    }

    /// Whether a consumer sees the present producer's marker, looking for as long as it may take.
    async fn must_see(&mut self, phase: Phase, what: &str, pid: u32, mount: &Path, missing: Code) {
        let nonce = self.nonce();
        let sight = look_until(
            &self.helpers,
            Some(pid),
            mount,
            self.settings.wait,
            |sight| is_marker(sight, &nonce),
        )
        .await;
        if is_marker(&sight, &nonce) {
            self.record.found();
            self.record.ok(phase, what, sight.to_string());
        } else {
            let mounts = mountinfo::read_of(pid).unwrap_or_default();
            let code = reason(&sight, &mounts, mount, missing);
            self.record.never_appeared(self.settings.wait);
            self.record.failed(phase, what, code, sight.to_string());
        }
    }

    pub(super) async fn consumers_see(&mut self) {
        let phase = Phase::Consumer;
        for (way, pid, mount) in self.ways() {
            let what = way.name;
            // Failed means recorded; the sight tells more.
            let _ = self.volume_propagates(phase, what, pid, way.propagation);
            if way.sees {
                let missing = Code::NotPropagatedToConsumer;
                self.must_see(phase, what, pid, &mount, missing).await;
                continue;
            }
            let sight = self.helpers.look(Some(pid), Level::Own, &mount).await;
            let seen = format!("{sight}; a private volume never gets a later mount");
            self.record.limit(phase, what, seen);
        }
    }

    /// As whom it can be read, and that it cannot be written.
    pub(super) async fn readers(&mut self) {
        let phase = Phase::PermissionLevels;
        let Some((_, pid, mount)) = self.ways().into_iter().next() else {
            return;
        };
        let nonce = self.nonce();
        let mounts = mountinfo::read_of(pid).unwrap_or_default();
        for level in [Level::Root, Level::User, Level::Restricted] {
            let what = format!("reading as {}", level.name());
            let sight = self.helpers.look(Some(pid), level, &mount).await;
            if is_marker(&sight, &nonce) {
                self.record.ok(phase, &what, sight.to_string());
            } else {
                let code = reason(&sight, &mounts, &mount, Code::NotPropagatedToConsumer);
                self.record.failed(phase, &what, code, sight.to_string());
            }
        }
        let what = "writing as root";
        let written = self.helpers.write(Some(pid), Level::Root, &mount).await;
        let top = mountinfo::top(&mountinfo::layers(mounts, &mount));
        let read_only = top.is_some_and(|mount| mount.has_super_option("ro"));
        match written {
            Written::Refused(errno) if read_only => self.record.ok(phase, what, errno),
            Written::Refused(errno) => {
                let seen = format!("refused by the server alone ({errno}): mounted read-write");
                self.record
                    .failed(phase, what, Code::WritableSubmount, seen);
            }
            Written::Made => {
                let seen = "a file was made";
                self.record
                    .failed(phase, what, Code::WritableSubmount, seen);
            }
        }
    }

    /// As whom can be mounted: nobody but a privileged root, which is why others get a descriptor.
    pub(super) async fn mounters(&mut self) {
        let phase = Phase::PermissionLevels;
        let Some(pid) = self.container.as_ref().map(|container| container.pid) else {
            return;
        };
        for level in [Level::User, Level::BareRoot, Level::Restricted] {
            self.mounter(&format!("mounting as {}", level.name()), pid, level)
                .await;
        }
        let bound = (self.volume(), true, Propagation::Bidirectional);
        let what = "mounting as root without the device";
        if let Ok(container) = self.contain(phase, what, bound, false).await {
            let pid = container.pid;
            self.bare_container = Some(container);
            self.mounter(what, pid, Level::Root).await;
        }
    }

    async fn mounter(&mut self, what: &str, pid: u32, level: Level) {
        let phase = Phase::PermissionLevels;
        let scratch = self.scratch();
        match self.helpers.try_mount(Some(pid), level, &scratch).await {
            Ok(Attempt::Refused(code, seen)) => {
                let seen = format!("refused, as expected: {} ({seen})", code.name());
                self.record.ok(phase, what, seen);
            }
            Ok(Attempt::Mounted) => self.record.note(phase, what, "allowed"),
            Err(error) => self.record.note(phase, what, error),
        }
    }

    pub(super) async fn killed(&mut self) {
        let phase = Phase::Stale;
        if let Some(mut producer) = self.producer.take() {
            producer.kill().await;
        }
        for (way, pid, mount) in self.ways().into_iter().filter(|(way, ..)| way.sees) {
            let what = format!("{}, producer killed", way.name);
            let sight = look_until(
                &self.helpers,
                Some(pid),
                &mount,
                self.settings.wait,
                |sight| *sight == Sight::Dead,
            )
            .await;
            let seen = sight.to_string();
            match sight {
                // At once, and until a new mount comes.
                Sight::Dead => self.record.ok(phase, &what, seen),
                Sight::Hung => self.record.failed(phase, &what, Code::MountHung, seen),
                _ => self.record.note(phase, &what, seen),
            }
        }
    }

    /// A new producer mounts over the dead layer, as the keeper does after it was lost.
    pub(super) async fn stacked(&mut self) -> Result<(), GivenUp> {
        let phase = Phase::Recovery;
        let Some(pid) = self.container.as_ref().map(|container| container.pid) else {
            return Ok(());
        };
        // The engine gets the descriptor: it is nobody in particular from here on.
        self.start_producer(phase, pid, Level::Restricted).await?;
        for (way, pid, mount) in self.ways().into_iter().filter(|(way, ..)| way.sees) {
            let what = format!("{}, after SIGKILL and a new mount over it", way.name);
            let missing = Code::StaleAfterRestart;
            self.must_see(phase, &what, pid, &mount, missing).await;
        }
        Ok(())
    }

    /// SIGTERM: every mount goes, everywhere; and nobody can write where it was.
    pub(super) async fn stopped(&mut self) {
        let phase = Phase::Stale;
        self.stop_producer(phase).await;
        let Some((_, pid, mount)) = self.ways().into_iter().next() else {
            return;
        };
        for level in [Level::User, Level::Root] {
            let what = format!("writing as {} while nothing is mounted", level.name());
            match self.helpers.write(Some(pid), level, &mount).await {
                Written::Refused(errno) => self.record.ok(phase, &what, errno),
                Written::Made => {
                    let seen = format!("reached {} on the host", self.host_mount().display());
                    let code = Code::WritesReachHostRoot;
                    self.record.warning(phase, &what, code, seen);
                }
            }
        }
    }

    async fn stop_producer(&mut self, phase: Phase) {
        let Some(mut producer) = self.producer.take() else {
            return;
        };
        if !producer.terminate().await {
            let seen = "did not end in time";
            let code = Code::ProducerFailed;
            self.record
                .failed(phase, "SIGTERM of the producer", code, seen);
        }
        let left = ours_below(&mountinfo::read().unwrap_or_default(), &self.base);
        self.gone(phase, "host, after SIGTERM", &left, true);
        for (way, pid, _) in self.ways() {
            let what = format!("{}, after SIGTERM", way.name);
            let mounts = mountinfo::read_of(pid).unwrap_or_default();
            let left = ours_below(&mounts, Path::new(VOLUME));
            self.gone(phase, &what, &left, way.heals || !way.sees);
        }
    }

    fn gone(&mut self, phase: Phase, what: &str, left: &[Mount], must: bool) {
        let count = left.len();
        if count == 0 {
            self.record.ok(phase, what, "no mount is left");
        } else if must {
            let seen = format!("{count} mounts are left");
            self.record.failed(phase, what, Code::LeakedMount, seen);
        } else {
            let seen = format!("{count} dead mounts stay: it bound the mount itself");
            self.record.limit(phase, what, seen);
        }
    }

    /// A new producer after an orderly end.
    pub(super) async fn mounted_again(&mut self) -> Result<(), GivenUp> {
        let phase = Phase::Recovery;
        let Some(pid) = self.container.as_ref().map(|container| container.pid) else {
            return Ok(());
        };
        self.start_producer(phase, pid, Level::Restricted).await?;
        let nonce = self.nonce();
        for (way, pid, mount) in self.ways().into_iter().filter(|(way, ..)| way.sees) {
            let what = format!("{}, after SIGTERM and a new mount", way.name);
            if way.heals {
                let missing = Code::StaleAfterRestart;
                self.must_see(phase, &what, pid, &mount, missing).await;
                continue;
            }
            let sight = self.helpers.look(Some(pid), Level::Own, &mount).await;
            if is_marker(&sight, &nonce) {
                self.record
                    .note(phase, &what, "healed, although it need not");
            } else {
                let seen =
                    format!("{sight}; it needs a restart: bind the parent directory instead");
                self.record.limit(phase, &what, seen);
            }
        }
        self.stop_producer(phase).await;
        Ok(())
    }
}
