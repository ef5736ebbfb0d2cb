//! Builds every kustomization as people do, and checks each object against the types of Kubernetes 1.34, without a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The objects of a kustomization, each of a kind that is known and without a field that is not.
fn build(dir: &Path) -> Vec<Value> {
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

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|text| !text.trim().is_empty());
    documents
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect()
}

/// What Kubernetes would not take of an object.
fn wrong(object: &Value) -> Vec<String> {
    match object["kind"].as_str().unwrap_or_default() {
        "ConfigMap" => lost::<ConfigMap>(object),
        "DaemonSet" => lost::<DaemonSet>(object),
        "Deployment" => lost::<Deployment>(object),
        "Ingress" => lost::<Ingress>(object),
        "Job" => lost::<Job>(object),
        "NetworkPolicy" => lost::<NetworkPolicy>(object),
        "Namespace" => lost::<Namespace>(object),
        "PersistentVolumeClaim" => lost::<PersistentVolumeClaim>(object),
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
fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The containers of a workload, with the volumes of its pods.
fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

#[test]
fn an_unknown_field_and_a_wrong_type_are_seen() {
    let service = |port: Value, key: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x" },
            "spec": { key: [{ "port": port }] },
        })
    };
    assert_eq!(wrong(&service(80.into(), "ports")), [""; 0]);
    assert_eq!(
        wrong(&service(80.into(), "prots")),
        ["unknown field .spec.prots"]
    );
    assert_eq!(wrong(&service("http".into(), "ports")).len(), 1);
    assert_eq!(wrong(&serde_json::json!({ "kind": "Servce" })).len(), 1);
}

#[test]
fn the_streaming_instance() {
    let objects = build(&root().join("deploy/kustomize/streaming/overlays/traefik"));
    let engine = object(&objects, "Deployment", "debridfs");
    let container = &pod(engine)["containers"][0];
    assert_eq!(
        container["securityContext"]["capabilities"]["drop"],
        serde_json::json!(["ALL"])
    );
    assert_eq!(pod(engine)["securityContext"]["runAsNonRoot"], true);
    let tolerations = pod(engine)["tolerations"].as_array().expect("tolerations");
    assert_eq!(tolerations.len(), 2);
    assert!(tolerations.iter().all(|one| one["tolerationSeconds"] == 30));
    let keeper = object(&objects, "DaemonSet", "debridfs-keeper");
    assert_eq!(keeper["spec"]["updateStrategy"]["type"], "OnDelete");
    let media = &pod(keeper)["containers"][0]["volumeMounts"][0];
    assert_eq!(
        (&media["mountPath"], &media["mountPropagation"]),
        (&"/mnt".into(), &"Bidirectional".into())
    );
    let affinity = |workload: &Value| {
        let nodes = &pod(workload)["affinity"]["nodeAffinity"];
        nodes["requiredDuringSchedulingIgnoredDuringExecution"].clone()
    };
    assert_eq!(
        affinity(engine),
        affinity(keeper),
        "an engine needs a keeper"
    );
    // No taint takes the mount from a node, and no slow start the engine.
    let tolerated = &pod(keeper)["tolerations"];
    assert_eq!(tolerated, &serde_json::json!([{ "operator": "Exists" }]));
    for workload in [engine, keeper] {
        let part = &workload["metadata"]["labels"]["app.kubernetes.io/part-of"];
        assert_eq!(part, "debridfs");
        let priority = pod(workload)["priorityClassName"].as_str().expect("one");
        assert!(priority.starts_with("system-"), "{priority}");
        let args = list(&pod(workload)["containers"][0]["args"]);
        assert!(args.contains(&"supervise".into()), "{args:?}");
    }
    let startup = &container["startupProbe"];
    let seconds = |key| startup[key].as_u64().expect("a number");
    assert!(seconds("periodSeconds") * seconds("failureThreshold") >= 300);
    let port = &object(&objects, "Service", "debridfs")["spec"]["ports"][0];
    let named = &container["ports"][0]["name"];
    assert_eq!((&port["port"], &port["targetPort"]), (&80.into(), named));
    let ingress = object(&objects, "Ingress", "debridfs");
    let entrypoints =
        &ingress["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.entrypoints"];
    assert_eq!(entrypoints, "http,https");
    assert!(
        objects.iter().all(|object| object["kind"] != "Secret"),
        "secrets are never in Git"
    );
}

/// A new engine that never gets as far as to serve must not cost the old one, and one that does must not be taken back from by a container that
/// a probe restarts.
#[test]
fn a_rollout_changes_nothing_until_the_new_engine_serves() {
    let objects = build(&root().join("deploy/kustomize/streaming/base"));
    let engine = object(&objects, "Deployment", "debridfs");
    let rollout = serde_json::json!({ "maxSurge": 1, "maxUnavailable": 0 });
    assert_eq!(engine["spec"]["strategy"]["rollingUpdate"], rollout);
    let container = &pod(engine)["containers"][0];
    let args = list(&container["args"]);
    let last = ["supervise", "engine", "--replace"].map(Value::from);
    assert!(args.ends_with(&last), "{args:?}");
    // Seen to be dead before the old one is stopped.
    let ready = &container["readinessProbe"];
    let seconds = |probe: &Value, key: &str| probe[key].as_u64().expect("a number");
    let unseen = seconds(ready, "periodSeconds") * seconds(ready, "failureThreshold");
    assert!(unseen < seconds(&engine["spec"], "minReadySeconds"));
    // On the node of the old one, which has the volume; never only there.
    let near = &pod(engine)["affinity"]["podAffinity"];
    assert!(
        near.get("requiredDuringSchedulingIgnoredDuringExecution")
            .is_none()
    );
    let term = &near["preferredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(term["weight"], 100);
    let term = &term["podAffinityTerm"];
    assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(term["labelSelector"], engine["spec"]["selector"]);
    let nodes = &pod(engine)["affinity"]["nodeAffinity"];
    let preferred = &nodes["preferredDuringSchedulingIgnoredDuringExecution"][0]["preference"];
    assert_eq!(
        preferred["matchExpressions"][0]["key"],
        "debridfs.io/engine"
    );
}

/// Nobody else of the cluster reaches the engine, and the keeper reaches nobody.
#[test]
fn the_engine_is_reached_at_its_services_ports_by_those_who_may() {
    let objects = build(&root().join("deploy/kustomize/streaming/overlays/traefik"));
    let service = &object(&objects, "Service", "debridfs")["spec"];
    let served: Vec<&Value> = list(&service["ports"])
        .iter()
        .map(|port| &port["targetPort"])
        .collect();
    let policies: Vec<&Value> = objects
        .iter()
        .filter(|one| one["kind"] == "NetworkPolicy")
        .collect();
    let of_engine = policies
        .iter()
        .filter(|one| one["spec"]["podSelector"]["matchLabels"] == service["selector"]);
    let mut callers = Vec::new();
    for policy in of_engine {
        assert_eq!(
            policy["spec"]["policyTypes"],
            serde_json::json!(["Ingress"])
        );
        for rule in list(&policy["spec"]["ingress"]) {
            let ports: Vec<&Value> = list(&rule["ports"]).iter().map(|it| &it["port"]).collect();
            assert_eq!(ports, served);
            // Without a selector it would be everybody.
            callers.extend(list(&rule["from"]));
        }
    }
    let of_namespace = |name: &str| {
        callers.iter().any(|from| {
            from["namespaceSelector"]["matchLabels"]
                .to_string()
                .contains(name)
        })
    };
    assert!(of_namespace("debridfs.io/client") && of_namespace("kube-system"));
    assert!(callers.iter().all(|from| from.get("ipBlock").is_none()));
    let everybody = serde_json::json!({});
    assert!(
        callers
            .iter()
            .all(|from| from["namespaceSelector"] != everybody)
    );

    let keeper = &object(&objects, "DaemonSet", "debridfs-keeper")["spec"]["selector"];
    let silent = &object(&objects, "NetworkPolicy", "debridfs-keeper")["spec"];
    assert_eq!(&silent["podSelector"], keeper);
    assert_eq!(
        silent["policyTypes"],
        serde_json::json!(["Ingress", "Egress"])
    );
    for rules in ["ingress", "egress"] {
        assert_eq!(silent[rules], Value::Null, "nothing is allowed");
    }
}

/// A body or a job of any size ends the engine, which is replaced, and not whatever else is on the node.
#[test]
fn what_stays_has_a_limit_of_memory() {
    let objects = build(&root().join("deploy/kustomize/streaming/base"));
    for (kind, name) in [("Deployment", "debridfs"), ("DaemonSet", "debridfs-keeper")] {
        for container in list(&pod(object(&objects, kind, name))["containers"]) {
            let memory = |what: &str| {
                let text = container["resources"][what]["memory"].as_str();
                mebibytes(text.unwrap_or_else(|| panic!("{name}: no {what}")))
            };
            assert!(memory("requests") <= memory("limits"), "{name}");
        }
    }
    // What the defaults need has room twice (docs/configuration.md: 480 MiB).
    let engine = pod(object(&objects, "Deployment", "debridfs"));
    let limit = &engine["containers"][0]["resources"]["limits"]["memory"];
    assert!(mebibytes(limit.as_str().expect("text")) >= 2 * 480);
}

fn mebibytes(text: &str) -> u64 {
    let number = |unit: &str| text.strip_suffix(unit)?.parse::<u64>().ok();
    let mebi = number("Mi").or_else(|| Some(number("Gi")? * 1024));
    mebi.unwrap_or_else(|| panic!("{text}: neither Mi nor Gi"))
}

/// What is applied twice is the same twice: an image that changes under its tag would be another engine, or keeper, at a restart.
#[test]
fn every_image_has_the_tag_of_a_version() {
    for dir in ["streaming/overlays/traefik", "propagation-test"] {
        for object in build(&root().join("deploy/kustomize").join(dir)) {
            let containers = pod(&object)["containers"].as_array();
            for container in containers.into_iter().flatten() {
                let image = container["image"].as_str().expect("an image");
                let ours = format!("ghcr.io/debridfs/debridfs:{}", env!("CARGO_PKG_VERSION"));
                assert_eq!(image, ours, "{dir}");
            }
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A keeper's pod is replaced by hand only, so it has to start again when everything that belonged to an earlier state of the cluster
/// has been pruned: nothing of it may have a name with a hash. Found on a node that was restarted after the configuration had changed.
#[test]
fn the_keepers_pod_refers_to_nothing_that_is_pruned() {
    let objects = build(&root().join("deploy/kustomize/streaming/base"));
    let keeper = pod(object(&objects, "DaemonSet", "debridfs-keeper"));
    for volume in keeper["volumes"].as_array().expect("volumes") {
        let kinds = volume.as_object().expect("a volume").keys();
        let kinds: Vec<&String> = kinds.filter(|key| *key != "name").collect();
        assert!(kinds == ["hostPath"] || kinds == ["emptyDir"], "{volume}");
    }
    let container = &keeper["containers"][0];
    assert_eq!(container["envFrom"], Value::Null);
    let environment = container["env"].as_array().expect("variables");
    let value = |name: &str| {
        let found = environment.iter().find(|one| one["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name}"));
        found["value"].as_str().expect("a plain text").to_owned()
    };
    // What both have to know is the same for both.
    let config = objects.iter().find(|one| one["kind"] == "ConfigMap");
    let config = config.expect("a ConfigMap")["data"]["config.toml"].clone();
    let config = config.as_str().expect("text");
    for (variable, key) in [
        ("DEBRIDFS__STATE_DIR", "state_dir"),
        ("DEBRIDFS__CACHE_DIR", "cache_dir"),
        ("DEBRIDFS__RUNTIME_DIR", "runtime_dir"),
        ("DEBRIDFS__MOUNT__PATH", "[mount]\npath"),
    ] {
        let line = format!("{key} = \"{}\"\n", value(variable));
        assert!(config.contains(&line), "{line}: {config}");
    }
    let engine = pod(object(&objects, "Deployment", "debridfs"));
    for (variable, key) in [("PUID", "runAsUser"), ("PGID", "runAsGroup")] {
        assert_eq!(engine["securityContext"][key].to_string(), value(variable));
    }
}

/// When everything is deleted, the keeper has to see the engine's end, also of one that hangs and has to be killed: it would leave it the
/// mount otherwise, and the mount would die with it.
#[test]
fn a_keeper_outlives_an_engine_that_is_deleted_with_it() {
    let objects = build(&root().join("deploy/kustomize/streaming/base"));
    let keeper = pod(object(&objects, "DaemonSet", "debridfs-keeper"));
    let engine = pod(object(&objects, "Deployment", "debridfs"));
    assert_eq!(keeper["hostPID"], true, "it cannot kill what it cannot see");
    let grace = |pod: &Value| {
        pod["terminationGracePeriodSeconds"]
            .as_u64()
            .expect("seconds")
    };
    let environment = keeper["containers"][0]["env"]
        .as_array()
        .expect("variables");
    let linger = environment
        .iter()
        .find(|one| one["name"] == "DEBRIDFS__KEEPER__LINGER");
    let linger = linger.and_then(|one| one["value"].as_str()?.strip_suffix('s'));
    let linger: u64 = linger.expect("a time").parse().expect("seconds");
    assert!(grace(engine) + 5 <= linger && linger + 5 <= grace(keeper));
}

#[test]
fn the_propagation_test_stays_on_one_node_and_in_its_namespace() {
    let objects = build(&root().join("deploy/kustomize/propagation-test"));
    let (producer, consumer) = (
        object(&objects, "Deployment", "fuse-producer"),
        object(&objects, "Job", "fuse-consumer"),
    );
    for workload in [producer, consumer] {
        assert_eq!(workload["metadata"]["namespace"], "fuse-test");
    }
    // Which one is said by a label of the node, and the consumer goes where the producer is.
    let selector = &pod(producer)["nodeSelector"];
    assert_eq!(selector["debridfs.io/propagation-test"], "true");
    let affinity = &pod(consumer)["affinity"]["podAffinity"];
    let term = &affinity["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
    let labels = &producer["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&term["labelSelector"]["matchLabels"], labels);
    assert!(consumer["spec"]["ttlSecondsAfterFinished"].is_u64());
    // The directory that the instance binds, and has to be shared.
    let volumes = |workload: &Value| pod(workload)["volumes"][0]["hostPath"]["path"].clone();
    let instance = build(&root().join("deploy/kustomize/streaming/base"));
    let keeper = volumes(object(&instance, "DaemonSet", "debridfs-keeper"));
    assert_eq!(
        [volumes(producer), volumes(consumer)],
        [keeper.clone(), keeper.clone()]
    );
    let host = &pod(producer)["containers"][0];
    let arguments = host["args"].as_array().expect("arguments");
    let named = arguments
        .iter()
        .skip_while(|one| *one != "--share-of")
        .nth(1);
    assert_eq!(named, Some(&keeper));
    let consumers = pod(consumer)["containers"].as_array().expect("containers");
    for container in consumers {
        let mount = &container["volumeMounts"][0];
        assert_eq!(
            mount["mountPropagation"], "HostToContainer",
            "{}",
            container["name"]
        );
        assert!(mount.get("subPath").is_none());
        assert!(container["securityContext"].get("privileged").is_none());
    }
}

#[test]
fn a_cluster_leaves_the_propagation_test_out_until_a_line_says_otherwise() {
    let dir = root().join("deploy/kustomize");
    let parent = dir.join("cluster");
    let of_test = |objects: &[Value]| {
        objects
            .iter()
            .filter(|one| one["metadata"]["name"] == "fuse-test")
            .count()
    };
    assert_eq!(of_test(&build(&parent)), 0);
    let text = std::fs::read_to_string(parent.join("kustomization.yaml")).expect("file");
    let on = text.replace("  # - ../propagation-test", "  - ../propagation-test");
    assert_ne!(text, on);
    // Beside the original, as its paths are relative.
    let copy = dir.join(format!(".cluster-{}", std::process::id()));
    std::fs::create_dir(&copy).expect("directory");
    std::fs::write(copy.join("kustomization.yaml"), on).expect("file");
    let built = std::panic::catch_unwind(|| build(&copy));
    std::fs::remove_dir_all(&copy).expect("removed");
    assert_eq!(of_test(&built.expect("built")), 1);
}

#[test]
fn flux_has_it_suspended_and_waits_for_what_there_is() {
    let text = std::fs::read_to_string(root().join("deploy/flux/propagation-test.yaml"));
    let text = text.expect("file");
    let flux: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(
        (&flux["spec"]["suspend"], &flux["spec"]["prune"]),
        (&true.into(), &true.into())
    );
    let path = flux["spec"]["path"].as_str().expect("a path");
    let objects = build(&root().join(path));
    let checks = flux["spec"]["healthChecks"].as_array().expect("checks");
    assert_eq!(checks.len(), 2);
    for check in checks {
        let (kind, name) = (
            check["kind"].as_str().expect("kind"),
            check["name"].as_str().expect("name"),
        );
        let object = object(&objects, kind, name);
        assert_eq!(check["apiVersion"], object["apiVersion"]);
        assert_eq!(check["namespace"], object["metadata"]["namespace"]);
    }
}
