//! Builds kustomizations, and says what Kubernetes would not take of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Service,
};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::operator::{PodMonitor, PrometheusRule};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The objects of a kustomization, each of a kind that is known and without a field that is not.
pub fn build(dir: &Path) -> Vec<Value> {
    // The one that `make setup` built where there was no kubectl.
    let built = root().join("target/tools/bin/kustomize");
    let (program, verb) = match built.exists() {
        true => (built, "build"),
        false => (PathBuf::from("kubectl"), "kustomize"),
    };
    let output = Command::new(program).arg(verb).arg(dir).output();
    let output = output.expect("kubectl or kustomize is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}: {}",
        dir.display(),
        text(&output.stderr)
    );
    let objects = documents(&text(&output.stdout));
    for object in &objects {
        let wrong = wrong(object);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", dir.display());
    }
    objects
}

/// As `build`, of a kustomization that somebody has beside ours: its paths begin in `deploy/kustomize`.
pub fn build_overlay(text: &str) -> Vec<Value> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("deploy/kustomize/.overlay-{}-{count}", std::process::id());
    let dir = root().join(name);
    std::fs::create_dir(&dir).expect("directory");
    std::fs::write(dir.join("kustomization.yaml"), text).expect("file");
    let built = std::panic::catch_unwind(|| build(&dir));
    std::fs::remove_dir_all(&dir).expect("removed");
    built.expect("built")
}

/// The instance with these components.
pub fn streaming(components: &[&str]) -> Vec<Value> {
    let parts = ["data", "base"].map(|part| format!("  - ../streaming/{part}\n"));
    let components = components.iter();
    let components = components.map(|name| format!("  - ../streaming/components/{name}\n"));
    let mut text = format!("resources:\n{}", parts.concat());
    for (at, line) in components.enumerate() {
        text += if at == 0 { "components:\n" } else { "" };
        text += &line;
    }
    build_overlay(&text)
}

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|text| !text.trim().is_empty());
    documents
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect()
}

/// What Kubernetes would not take of an object.
pub fn wrong(object: &Value) -> Vec<String> {
    match object["kind"].as_str().unwrap_or_default() {
        "ConfigMap" => lost::<ConfigMap>(object),
        "DaemonSet" => lost::<DaemonSet>(object),
        "Deployment" => lost::<Deployment>(object),
        "Ingress" => lost::<Ingress>(object),
        "Job" => lost::<Job>(object),
        "NetworkPolicy" => lost::<NetworkPolicy>(object),
        "Namespace" => lost::<Namespace>(object),
        "PersistentVolume" => lost::<PersistentVolume>(object),
        "PersistentVolumeClaim" => lost::<PersistentVolumeClaim>(object),
        "PodMonitor" => lost::<PodMonitor>(object),
        "PrometheusRule" => lost::<PrometheusRule>(object),
        "Service" => lost::<Service>(object),
        kind => vec![format!("unknown kind {kind:?}")],
    }
}

/// Fields that do not survive a passage through the type: those that it does not know. A value of the wrong type fails at once.
fn lost<T: Serialize + DeserializeOwned>(object: &Value) -> Vec<String> {
    match serde_json::from_value::<T>(object.clone()) {
        Ok(typed) => {
            let after = serde_json::to_value(typed).expect("JSON");
            let mut lost = Vec::new();
            compare("", object, &after, &mut lost);
            lost
        }
        Err(error) => vec![error.to_string()],
    }
}

fn compare(path: &str, before: &Value, after: &Value, lost: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let path = format!("{path}.{key}");
                match after.get(key) {
                    Some(after) => compare(&path, value, after, lost),
                    None => lost.push(format!("unknown field {path}")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (at, (before, after)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}[{at}]"), before, after, lost);
            }
        }
        // An empty list may be left out, a time be written in another way.
        _ => {}
    }
}

/// The object of this kind and name.
pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The containers of a workload, with the volumes of its pods.
pub fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

/// The text of an environment variable of a workload's first container.
pub fn variable<'a>(workload: &'a Value, name: &str) -> Option<&'a str> {
    let environment = list(&pod(workload)["containers"][0]["env"]).iter();
    let mut named = environment.filter(|one| one["name"] == name);
    named.next()?["value"].as_str()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
