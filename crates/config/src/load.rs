//! From file and environment to a [`Config`]: the file first, variables over it, then what values mean together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use debridfs_base::Secret;
use debridfs_services::check_address;
use figment::value::{Dict, Value};

use super::merge::Merge;
use super::problem::Origin;
use super::{Config, ConfigError, Environment, Problem, Umask};

/// A configuration, and what is worth telling about how it came to be.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration. Files of secrets are read by those who need them.
    pub config: Config,
    /// `[folders]` as written, to be shown.
    pub folders: Option<Value>,
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// Lines for the log: variables that were ignored.
    pub notes: Vec<String>,
    /// All but the settings that a running engine can change, as JSON.
    fixed: Secret,
}

impl Loaded {
    /// Whether what differs from `other` needs a new engine: anything but `[fuse]`.
    pub fn needs_new_engine(&self, other: &Self) -> bool {
        self.fixed.expose() != other.fixed.expose()
    }
}

/// The values that an engine keeps for its life.
fn fixed(values: &Dict) -> Secret {
    let mut fixed = values.clone();
    fixed.remove("fuse");
    if let Some(Value::Dict(_, mount)) = fixed.get_mut("mount") {
        mount.remove("backend");
    }
    // Values of TOML and of variables are all values of JSON too.
    Secret::new(serde_json::to_string(&fixed).unwrap_or_default())
}

/// Reads `file` (or the default one, if it exists) and puts `environment` over it.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let file = file.map(Path::to_path_buf).or_else(super::default_file);
    let text = match &file {
        None => String::new(),
        Some(path) => read(path)?,
    };
    let mut merge = Merge::default();
    merge.file(&text);
    merge.variables(environment);
    let invalid = |problems| ConfigError::Invalid {
        file: file.clone(),
        problems,
    };
    let fixed = fixed(&merge.values);
    let providers = merge.providers();
    let folders = merge.values.get("folders").cloned();
    let mut config = match merge.typed::<Config>(&[]) {
        Some(config) if merge.problems.is_empty() => config,
        _ => return Err(invalid(merge.problems)),
    };
    config.provider = providers;
    if environment.started_by_root {
        let key = |name: &str| [name.to_owned()];
        config.use_places_of_root(|name| merge.origins.contains_key(&key(name)[..]));
    }
    let is_set = |path: [&str; 2]| merge.origins.contains_key(&path.map(str::to_owned)[..]);
    if let Some(backend) = config.mount.backend
        && !is_set(["fuse", "backend"])
    {
        config.fuse.backend = backend;
    }
    let mut problems = Vec::new();
    apply_owner(&mut config, environment, &merge.origins, &mut problems);
    check(&config, &merge.origins, &mut problems);
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    let mut notes = notes(environment);
    notes.extend(super::web::note(&config));
    notes.extend(super::nfs::notes(&config));
    let is_written = |section: &str| {
        let mut paths = merge.origins.keys();
        paths.any(|path| path.first().is_some_and(|first| first == section))
    };
    notes.extend(super::acquire::note(&config, is_written));
    Ok(Loaded {
        config,
        folders,
        file,
        notes,
        fixed,
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_path_buf(),
        error,
    })
}

fn notes(environment: &Environment) -> Vec<String> {
    let mut notes = Vec::new();
    if !environment.service_links.is_empty() {
        notes.push(format!(
            "ignored Kubernetes service-link variables: {}",
            environment.service_links.join(", ")
        ));
    }
    for name in &environment.strangers {
        let mut note = format!("ignored unknown variable {name}");
        if let Some(rest) = name.strip_prefix("DEBRIDFS_") {
            let meant = rest.replacen('_', "__", 1);
            note +=
                &format!(": keys are written DEBRIDFS__SECTION__KEY, such as DEBRIDFS__{meant}");
        }
        notes.push(note);
    }
    notes
}

/// `PUID`, `PGID` and `UMASK`, where the file or a variable of ours says nothing.
fn apply_owner(
    config: &mut Config,
    environment: &Environment,
    origins: &BTreeMap<Vec<String>, Origin>,
    problems: &mut Vec<Problem>,
) {
    let mut id = |name: &str, value: &Option<String>| -> Option<u32> {
        let text = value.as_deref()?.trim();
        let parsed = text.parse().ok();
        if parsed.is_none() {
            problems.push(Problem {
                message: format!("not a number: {text:?}"),
                help: Some("write a numeric id, as `id -u` and `id -g` print it".into()),
                origin: Origin::Variable(name.into()),
            });
        }
        parsed
    };
    let user = id("PUID", &environment.puid);
    let group = id("PGID", &environment.pgid);
    let keeper = &mut config.keeper;
    keeper.engine_uid = keeper.engine_uid.or(user);
    keeper.engine_gid = keeper.engine_gid.or(group);
    config.mount.uid = config.mount.uid.or(keeper.engine_uid);
    config.mount.gid = config.mount.gid.or(keeper.engine_gid);
    if let Some(text) = &environment.umask
        && !origins.contains_key(&["mount".to_owned(), "umask".to_owned()][..])
    {
        match text.parse::<Umask>() {
            Ok(umask) => config.mount.umask = umask,
            Err(message) => problems.push(Problem {
                message,
                help: None,
                origin: Origin::Variable("UMASK".into()),
            }),
        }
    }
}

/// What no single type can tell.
fn check(config: &Config, origins: &BTreeMap<Vec<String>, Origin>, problems: &mut Vec<Problem>) {
    let mut wrong = |path: &[&str], message: String, help: &str| {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        problems.push(Problem {
            message,
            help: Some(help.into()),
            origin: origins.get(&path).cloned().unwrap_or(Origin::Unknown),
        });
    };
    let problems = super::acquire::problems(config)
        .into_iter()
        .chain(super::web::problems(config))
        .chain(super::hook::problems(config))
        .chain(super::nfs::problems(config))
        .chain(super::fuse::problems(config))
        .chain(super::strm::problems(config))
        .chain(super::user::problems(config))
        .chain(super::tls::problems(config));
    for (path, message, help) in problems {
        wrong(&path, message, help);
    }
    check_addresses(config, &mut wrong);
    for (name, provider) in &config.provider {
        let legal = !name.is_empty()
            && name != "."
            && name != ".."
            && !name.contains('/')
            && !name.starts_with("__");
        if !legal {
            wrong(
                &["provider", name],
                format!("`{name}` cannot be the name of a provider"),
                "the name becomes a directory name: it may not contain `/` or begin with `__`",
            );
        }
        if provider.token.is_none() && provider.token_file.is_none() {
            let variable = name.to_uppercase();
            wrong(
                &["provider", name],
                format!("`provider.{name}` has no token"),
                &format!("set `token_file`, `token`, or DEBRIDFS__PROVIDER__{variable}__TOKEN"),
            );
        }
    }
    check_orders(config, &mut wrong);
    if config.library.shrink_percent > 100 {
        wrong(
            &["library", "shrink_percent"],
            "`library.shrink_percent` is over 100".into(),
            "it is a share in percent",
        );
    }
    if !config.mount.path.is_absolute() || config.mount.path.parent().is_none() {
        wrong(
            &["mount", "path"],
            "`mount.path` has to be an absolute path below some directory".into(),
            "write it like /mnt/dfs",
        );
    }
    if config.keeper.threads == Some(0) {
        wrong(
            &["keeper", "threads"],
            "`keeper.threads` cannot be 0".into(),
            "remove it to choose it by the number of processors",
        );
    }
}

/// Orders of providers that name one that is not there.
fn check_orders(config: &Config, wrong: &mut impl FnMut(&[&str], String, &str)) {
    let mut check = |path: &[&str], order: &[String]| {
        for name in order {
            if !config.provider.contains_key(name) {
                let message = format!("`{}` names {name:?}, which is no provider", path.join("."));
                wrong(path, message, "write the NAME of a `[provider.NAME]`");
            }
        }
    };
    check(&["library", "order"], &config.library.order);
    for (name, folder) in &config.folders {
        check(&["folders", name, "order"], &folder.order);
    }
    check(&["acquire", "order"], &config.acquire.order);
    for (name, category) in &config.acquire.category {
        let order = category.order.as_deref().unwrap_or_default();
        check(&["acquire", "category", name, "order"], order);
    }
}

/// Addresses that nobody could call: `host:port` is read by programs, and is none of them.
fn check_addresses(config: &Config, wrong: &mut impl FnMut(&[&str], String, &str)) {
    let mut check = |path: &[&str], url: &str| {
        // Of hooks the address may be a secret, so it is not repeated.
        if let Err(why) = check_address(url) {
            let message = format!("`{}` is no address: {why}", path.join("."));
            wrong(path, message, "write it like http://HOST:PORT");
        }
    };
    for (name, arr) in config.arr.iter().filter(|(_, arr)| !arr.url.is_empty()) {
        check(&["arr", name, "url"], &arr.url);
    }
    for (name, hook) in &config.hook {
        if let Some(url) = &hook.url {
            check(&["hook", name, "url"], url.expose());
        }
    }
    if !config.http.url.is_empty() {
        check(&["http", "url"], &config.http.url);
    }
}

#[cfg(test)]
mod tests;
