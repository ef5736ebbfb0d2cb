//! One import: whose configuration it is, what comes of it, and what is said about it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use debridfs_base::terminal::escaped;
use serde_json::{Map, Value};

use crate::error::{Doing, Error};
use crate::links::Farm;
use crate::plan::{Ours, Outcome, Plan, Refused};
use crate::{decypharr, rdt_client, write, zurg};

/// Where a service's secrets lie when nothing else is said.
const SECRETS: &str = "/etc/debridfs/secrets";

/// Whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// decypharr's `config.json`.
    Decypharr,
    /// zurg's `config.yml`.
    Zurg,
    /// rdt-client's database, `rdtclient.db`.
    RdtClient,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Decypharr => "decypharr",
            Self::Zurg => "zurg",
            Self::RdtClient => "rdt-client",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Decypharr => "config.json",
            Self::Zurg => "config.yml",
            Self::RdtClient => "rdtclient.db",
        }
    }

    /// Their settings, or a text for people.
    fn read(self, path: &Path) -> Result<Map<String, Value>, String> {
        let shown = path.display();
        match self {
            Self::Decypharr => serde_json::from_str(&text_of(path)?).map_err(|error| {
                // Its own words may quote a value.
                let (line, column) = (error.line(), error.column());
                format!("{shown}, line {line}: not valid JSON (column {column})")
            }),
            Self::Zurg => zurg::read(&text_of(path)?).map_err(|error| format!("{shown}, {error}")),
            Self::RdtClient if !path.is_file() => Err(format!("{shown}: no such file")),
            Self::RdtClient => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?
                .block_on(rdt_client::read(path)),
        }
    }

    fn carry(self, plan: &mut Plan, given: Map<String, Value>) {
        match self {
            Self::Decypharr => decypharr::carry(plan, given),
            Self::Zurg => zurg::carry(plan, given),
            Self::RdtClient => rdt_client::carry(plan, given),
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose configuration it is.
    pub program: Program,
    /// Their file, or the directory that holds it.
    pub path: &'a Path,
    /// The file to write; without it nothing is written.
    pub write: Option<&'a Path>,
    /// Where secrets go; `secrets` beside the written file when absent.
    pub secrets: Option<&'a Path>,
    /// Where the library was mounted; what theirs says when absent.
    pub mount: Option<&'a Path>,
    /// A directory with the symlinks that have to go on: without `mount` most of them say where the library was mounted.
    pub links: Option<&'a Path>,
}

/// A configuration of ours made from theirs.
pub struct Import {
    program: Program,
    ours: Ours,
    given: Map<String, Value>,
    /// Their file.
    file: PathBuf,
    /// Where the library was mounted, and who says so.
    mount: Option<(String, String)>,
    farm: Option<Farm>,
    refused: Vec<Refused>,
    name: &'static str,
    header: String,
    plan: Plan,
    /// Absolute.
    write: Option<PathBuf>,
    secrets: PathBuf,
}

impl Import {
    /// Reads theirs and carries over what is understood. Writes nothing.
    ///
    /// # Errors
    /// Their configuration cannot be read, or there is no current directory.
    pub fn new(request: &Request<'_>, ours: Ours) -> Result<Self, Error> {
        let program = request.program;
        let path = match request.path.is_dir() {
            true => request.path.join(program.file()),
            false => request.path.to_owned(),
        };
        let given = program.read(&path).map_err(Error::Theirs)?;
        let absolute = |path| std::path::absolute(path).doing(|| "current directory".into());
        let write = request.write.map(absolute).transpose()?;
        let secrets = match (request.secrets, &write) {
            (Some(dir), _) => absolute(dir)?,
            (None, Some(file)) => file.with_file_name("secrets"),
            (None, None) => PathBuf::from(SECRETS),
        };
        let file = absolute(&path)?;
        let mount = request.mount.map(absolute).transpose()?;
        let name = program.name();
        let shown = path.display();
        let told = |path: &Path| path.to_string_lossy().into_owned();
        let mut import = Self {
            program,
            ours,
            given,
            mount: mount.map(|path| (told(&path), "--mount".into())),
            farm: request.links.map(Farm::read).transpose()?,
            refused: Vec::new(),
            name,
            header: format!("Made by `debridfs import {name}` from {shown}."),
            plan: Plan::new(&secrets, &file, &[], ours),
            file,
            write,
            secrets,
        };
        import.carry();
        // Names of their folders are known by now.
        let names = import.plan.names("folders");
        let farm = import.farm.as_ref().filter(|_| import.mount.is_none());
        if let Some(root) = farm.and_then(|farm| farm.root(&names)) {
            import.mount = Some((told(&root), "--links".into()));
            import.carry();
        }
        Ok(import)
    }

    fn carry(&mut self) {
        let their_dir = self.file.parent().unwrap_or(Path::new("/"));
        let mut plan = Plan::new(&self.secrets, their_dir, &self.refused, self.ours);
        if let Some((path, theirs)) = &self.mount {
            plan.set(&["mount", "path"], path.as_str(), theirs);
        }
        self.program.carry(&mut plan, self.given.clone());
        plan.forget_unused_secrets();
        self.plan = plan;
    }

    /// Leaves out what stands in this line of [`Self::text`], from 1, as it turned out not to be usable, and carries the rest anew:
    /// other settings may depend on it. Whether there is such a line.
    pub fn refuse(&mut self, line: usize, why: &str) -> bool {
        let Some(key) = self.plan.key_at(&self.header, line) else {
            return false;
        };
        if self.refused.iter().any(|one| one.key == key) {
            return false;
        }
        let why = why.to_owned();
        self.refused.push(Refused { key, why });
        self.carry();
        true
    }

    /// Their file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The configuration as it is written: with what it holds of secrets.
    pub fn text(&self) -> String {
        self.plan.render(&self.header, false)
    }

    /// Writes it if that was asked for, secrets as `owner`'s (user and group).
    ///
    /// # Errors
    /// A file is there already, or the system refuses.
    pub fn write(&self, owner: Option<(u32, u32)>) -> Result<(), Error> {
        match &self.write {
            Some(file) => write::write_all(file, &self.text(), &self.plan, owner),
            None => Ok(()),
        }
    }

    /// What was written, or would be, and what became of each of their settings.
    pub fn report(&self) -> String {
        let mut out = match &self.write {
            None => self.preview(),
            Some(file) => format!(
                "written: {} and {} file(s) of secrets in {}\n",
                file.display(),
                self.plan.secrets.len(),
                self.secrets.display()
            ),
        };
        self.table(&mut out);
        self.hints(&mut out);
        out
    }

    fn preview(&self) -> String {
        let mut out = self.plan.render(&self.header, true);
        out.push('\n');
        for secret in &self.plan.secrets {
            let path = secret.path.display();
            let _ = writeln!(out, "# would be written, for its owner alone: {path}");
        }
        out
    }

    fn table(&self, out: &mut String) {
        let rows = &self.plan.rows;
        let widths = rows.iter().map(|row| row.theirs.chars().count());
        let width = widths.max().unwrap_or(0).min(50);
        out.push('\n');
        for row in rows {
            let (word, words) = match &row.outcome {
                Outcome::Carried(ours) => ("carried ", ours.as_str()),
                Outcome::LeftOut(why) => ("left out", why.as_str()),
                Outcome::Unknown => ("UNKNOWN ", "not understood, and not carried"),
            };
            // Names of their configuration, whatever is in them.
            let (theirs, words) = (escaped(&row.theirs), escaped(words));
            let _ = writeln!(out, "{word}  {theirs:<width$}  {words}");
        }
        let count = |of: fn(&Outcome) -> bool| rows.iter().filter(|row| of(&row.outcome)).count();
        let _ = writeln!(
            out,
            "\n{} carried, {} left out, {} unknown",
            count(|outcome| matches!(outcome, Outcome::Carried(_))),
            count(|outcome| matches!(outcome, Outcome::LeftOut(_))),
            count(|outcome| matches!(outcome, Outcome::Unknown)),
        );
    }

    /// What becomes of the links that were asked about.
    fn links(&self, out: &mut String, farm: &Farm) {
        let mount = self.plan.get(&["mount", "path"]);
        let Some(mount) = mount.and_then(toml::Value::as_str) else {
            return;
        };
        let shown = ["folders", "provider"].map(|table| self.plan.names(table));
        let (inside, other) = farm.inside(Path::new(mount), &shown.concat());
        let (mount, dir) = (escaped(mount), farm.dir.display().to_string());
        let _ = writeln!(
            out,
            "links: {inside} of {} in {} lead into the library at {mount}",
            farm.len(),
            escaped(&dir),
        );
        if let Some((link, target)) = other {
            let (link, target) = (link.display().to_string(), target.display().to_string());
            let (link, target) = (escaped(&link), escaped(&target));
            let _ = writeln!(out, "links: one that does not: {link} -> {target}");
        }
    }

    fn hints(&self, out: &mut String) {
        let name = self.name;
        if let Some(farm) = &self.farm {
            self.links(out, farm);
        }
        if !self.plan.has(&["provider"]) {
            let text = "note: no account was carried over: `debridfs serve` needs one";
            let _ = writeln!(out, "{text}");
        }
        if !self.plan.has(&["mount", "path"]) {
            let _ = writeln!(
                out,
                "note: {name} does not tell where its library is mounted: give it as --mount, so that symlinks go on"
            );
        }
        let _ = writeln!(
            out,
            "next: stop {name}, start debridfs, then `debridfs import check-links DIR` for the directories of your symlinks"
        );
    }
}
