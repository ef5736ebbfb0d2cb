//! Builds every kustomization as people do, and checks each object against the types of Kubernetes 1.34, without a cluster.

mod kustomize;
mod operator;
mod volumes;

use std::path::Path;

use serde_json::Value;

use kustomize::{build, build_overlay, list, object, pod, root, streaming, variable, wrong};

/// The component for monitoring, as [`streaming`] takes it: it lies beside `deploy/kustomize`.
const MONITORING: &str = "../../../monitoring";

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
    let objects = streaming(&[]);
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
    let ready = &pod(keeper)["containers"][0]["readinessProbe"]["exec"]["command"];
    assert_eq!(ready[2], "--probe", "ready with the mount alone");
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

/// Whatever an instance is deleted with: its account's token, catalogue and cache are the user's.
#[test]
fn what_an_instance_leaves_is_applied_by_itself() {
    let dir = |name: &str| root().join("deploy/kustomize/streaming").join(name);
    let data = build(&dir("data"));
    let kinds = |objects: &[Value]| -> Vec<String> {
        let kinds = objects.iter().map(|one| one["kind"].as_str());
        kinds.map(|kind| kind.expect("a kind").to_owned()).collect()
    };
    assert_eq!(kinds(&data), ["Namespace", "PersistentVolumeClaim"]);
    for object in &data {
        let prune = &object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"];
        assert_eq!(prune, "disabled");
    }
    let base = kinds(&build(&dir("base")));
    assert!(!base.iter().any(|kind| kinds(&data).contains(kind)));
    let longhorn = build(&dir("data-longhorn"));
    let claim = object(&longhorn, "PersistentVolumeClaim", "debridfs-state");
    assert_eq!(claim["spec"]["storageClassName"], "longhorn");
    assert_eq!(kinds(&longhorn), kinds(&data));
}

#[test]
fn everything_says_what_it_is_part_of() {
    let mut objects = streaming(&["ingress", "arrs", "nfs", MONITORING]);
    objects.extend(build(&root().join("deploy/kustomize/streaming/cleanup")));
    for object in &objects {
        let label = |labels: &Value, name: &str| {
            let label = labels[format!("app.kubernetes.io/{name}")].as_str();
            label.map(str::to_owned)
        };
        let labels = &object["metadata"]["labels"];
        let kind = object["kind"].as_str().expect("a kind");
        assert_eq!(label(labels, "part-of").as_deref(), Some("debridfs"));
        if !["Namespace", "ConfigMap"].contains(&kind) {
            assert!(label(labels, "name").is_some(), "{kind}");
            assert!(label(labels, "component").is_some(), "{kind}");
        }
        if ["Deployment", "DaemonSet"].contains(&kind) {
            let version = label(labels, "version");
            assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
            // What a pod is selected by never changes, so it is the name alone.
            let selected = &object["spec"]["selector"]["matchLabels"];
            assert_eq!(selected.as_object().map(serde_json::Map::len), Some(1));
            let of_pod = &object["spec"]["template"]["metadata"]["labels"];
            assert_eq!(label(of_pod, "component"), label(labels, "component"));
        }
    }
}

/// A new engine for the cluster is no new keeper, unless somebody wants that.
#[test]
fn an_overlay_sets_the_image_of_one_or_of_both() {
    let images = |more: &str| {
        let text = format!("resources: [../streaming/base]\n{more}");
        let objects = build_overlay(&text);
        [("Deployment", "debridfs"), ("DaemonSet", "debridfs-keeper")].map(|(kind, name)| {
            let image = &pod(object(&objects, kind, name))["containers"][0]["image"];
            image.as_str().expect("an image").to_owned()
        })
    };
    let repository = "ghcr.io/debridfs/debridfs";
    let old = format!("{repository}:{}", env!("CARGO_PKG_VERSION"));
    let new = format!("{repository}:9.9.9");
    assert_eq!(images(""), [old.clone(), old.clone()]);
    let patch = |kind: &str, name: &str, container: &str| {
        format!(
            "patches:\n  - patch: |-\n      apiVersion: apps/v1\n      kind: {kind}\n      metadata: {{ name: {name}, namespace: debridfs }}\n      \
             spec: {{ template: {{ spec: {{ containers: [{{ name: {container}, image: \"{new}\" }}] }} }} }}\n"
        )
    };
    let engine = images(&patch("Deployment", "debridfs", "engine"));
    assert_eq!(engine, [new.clone(), old.clone()]);
    let keeper = images(&patch("DaemonSet", "debridfs-keeper", "keeper"));
    assert_eq!(keeper, [old, new.clone()]);
    let both = images(&format!(
        "images:\n  - name: {repository}\n    newTag: 9.9.9\n"
    ));
    assert_eq!(both, [new.clone(), new]);
}

/// The directory in which the engine sees the Secret.
const SECRET: &str = "/etc/debridfs/secret";

#[test]
fn the_overlay_of_the_documents_is_one() {
    let page = std::fs::read_to_string(root().join("docs/deployment.md")).expect("a page");
    let (_, section) = page
        .split_once("### Your own overlay\n")
        .expect("a section");
    let (_, text) = section.split_once("```yaml\n").expect("an overlay");
    let (text, _) = text.split_once("```").expect("its end");
    let image = |version: &str| format!("ghcr.io/debridfs/debridfs:{version}");
    let ours = image(env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&ours), "{text}");
    let objects = build_overlay(&text.replace(&ours, &image("9.9.9")));
    let of = |kind: &str, name: &str| pod(object(&objects, kind, name))["containers"][0].clone();
    let engine = of("Deployment", "debridfs");
    assert_eq!(engine["image"], image("9.9.9"));
    assert_eq!(list(&engine["ports"]).len(), 3);
    assert_eq!(of("DaemonSet", "debridfs-keeper")["image"], ours);
    let ingress = object(&objects, "Ingress", "debridfs");
    assert_eq!(ingress["spec"]["rules"][0]["host"], "debridfs.example.org");
}

#[test]
fn monitoring_finds_the_engine_and_has_every_dashboard() {
    let objects = streaming(&[MONITORING]);
    let monitor = &object(&objects, "PodMonitor", "debridfs")["spec"];
    let engine = object(&objects, "Deployment", "debridfs");
    let labels = &engine["spec"]["template"]["metadata"]["labels"];
    let wanted = monitor["selector"]["matchLabels"].as_object();
    for (label, value) in wanted.expect("labels") {
        assert_eq!(&labels[label], value, "{label}");
    }
    // The alerts are about the job `debridfs`.
    let job = monitor["jobLabel"].as_str().expect("a label");
    assert_eq!(labels[job], "debridfs");
    let port = &monitor["podMetricsEndpoints"][0]["port"];
    let ports = list(&pod(engine)["containers"][0]["ports"]).iter();
    assert!(ports.map(|one| &one["name"]).any(|name| name == port));
    object(&objects, "PrometheusRule", "debridfs");
    let boards = object(&objects, "ConfigMap", "debridfs-dashboards");
    let dir = std::fs::read_dir(root().join("deploy/monitoring/dashboards"));
    let files = dir.expect("dashboards").count();
    assert_eq!(
        boards["data"].as_object().map(|data| data.len()),
        Some(files)
    );
}

#[test]
fn an_ingress_comes_with_a_login() {
    assert!(streaming(&[]).iter().all(|one| one["kind"] != "Ingress"));
    let objects = streaming(&["ingress"]);
    let ingress = object(&objects, "Ingress", "debridfs");
    let entrypoints =
        &ingress["metadata"]["annotations"]["traefik.ingress.kubernetes.io/router.entrypoints"];
    assert_eq!(entrypoints, "web,websecure");
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    let service = object(&objects, "Service", "debridfs");
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["port"]["name"], service["spec"]["ports"][0]["name"]);
    let engine = object(&objects, "Deployment", "debridfs");
    let hash = variable(engine, "DEBRIDFS__WEB__PASSWORD_HASH_FILE").expect("a login");
    assert!(hash.starts_with(SECRET), "{hash}");
}

#[test]
fn probes_ask_by_the_scheme_that_is_served() {
    const PROBES: [&str; 3] = ["readinessProbe", "startupProbe", "livenessProbe"];
    for (components, scheme) in [(&[][..], None), (&["tls"], Some("HTTPS"))] {
        let objects = streaming(components);
        let engine = object(&objects, "Deployment", "debridfs");
        let container = &pod(engine)["containers"][0];
        for probe in PROBES {
            let asked = &container[probe]["httpGet"];
            assert_eq!(asked["scheme"].as_str(), scheme, "{probe}");
            assert_eq!(asked["port"], "http", "{probe}");
        }
        let files = ["DEBRIDFS__WEB__TLS_CERT", "DEBRIDFS__WEB__TLS_KEY"];
        let files = files.map(|name| variable(engine, name));
        assert!(files.iter().all(|file| file.is_some() == scheme.is_some()));
        for file in files.into_iter().flatten() {
            // Below a volume of the Secret, as a directory: a file by `subPath` is never replaced.
            let mut mounts = list(&container["volumeMounts"]).iter();
            let dir = Path::new(file).parent().and_then(Path::to_str);
            let mount = mounts.find(|mount| mount["mountPath"].as_str() == dir);
            let mount = mount.unwrap_or_else(|| panic!("{file}"));
            assert!(mount["subPath"].is_null());
            let mut volumes = list(&pod(engine)["volumes"]).iter();
            let volume = volumes.find(|volume| volume["name"] == mount["name"]);
            assert_eq!(
                volume.expect("a volume")["secret"]["secretName"],
                "debridfs-tls"
            );
        }
    }
}

#[test]
fn arrs_reach_their_client_and_its_folder() {
    let objects = streaming(&["arrs"]);
    let engine = object(&objects, "Deployment", "debridfs");
    let keeper = object(&objects, "DaemonSet", "debridfs-keeper");
    let listen = variable(engine, "DEBRIDFS__QBITTORRENT__LISTEN").expect("an address");
    let port: u64 = listen
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number");
    let opened = list(&pod(engine)["containers"][0]["ports"]).iter();
    let mut opened = opened.filter(|one| one["containerPort"] == port);
    let name = &opened.next().expect("it is opened")["name"];
    let service = list(&object(&objects, "Service", "debridfs")["spec"]["ports"]).iter();
    let mut served = service.filter(|one| one["targetPort"] == *name);
    assert_eq!(served.next().expect("it is served")["port"], port);
    let password = variable(engine, "DEBRIDFS__QBITTORRENT__PASSWORD_FILE");
    assert!(password.is_some_and(|file| file.starts_with(SECRET)));
    // The keeper makes it, in what all have from the node.
    let folder = ["DEBRIDFS__ACQUIRE__DOWNLOADS"; 2];
    let [of_engine, of_keeper] = [variable(engine, folder[0]), variable(keeper, folder[1])];
    assert_eq!(of_engine, of_keeper);
    assert_eq!(of_engine, Some("/mnt/downloads"));
}

#[test]
fn nodes_reach_nfs_at_an_address_of_its_own() {
    let objects = streaming(&["nfs"]);
    let engine = object(&objects, "Deployment", "debridfs");
    let listen = variable(engine, "DEBRIDFS__NFS__LISTEN").expect("an address");
    let port: u64 = listen
        .rsplit_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number");
    let opened = list(&pod(engine)["containers"][0]["ports"]).iter();
    let mut opened = opened.filter(|one| one["containerPort"] == port);
    let name = &opened.next().expect("it is opened")["name"];
    let service = &object(&objects, "Service", "debridfs-nfs")["spec"];
    // The printed mount lines name one port, for NFS and MOUNT.
    assert_eq!(
        service["ports"],
        serde_json::json!([{"name": name, "port": port, "targetPort": name}])
    );
    let labels = &engine["spec"]["template"]["metadata"]["labels"];
    for (label, value) in service["selector"].as_object().expect("labels") {
        assert_eq!(labels[label], *value);
    }
    let policy = &object(&objects, "NetworkPolicy", "debridfs-nfs")["spec"];
    assert_eq!(policy["podSelector"]["matchLabels"], service["selector"]);
    assert_eq!(
        policy["ingress"],
        serde_json::json!([{"ports": [{"port": name}]}])
    );
    // Every replica has the same key, and who may read is named.
    let key = variable(engine, "DEBRIDFS__NFS__KEY_FILE").expect("a key");
    assert!(key.starts_with(SECRET), "{key}");
    let networks = variable(engine, "DEBRIDFS__NFS__EXPORT__MEDIA__NETWORKS").expect("networks");
    assert!(!networks.contains("/0"), "{networks}");
}

/// What a keeper leaves goes from every node that had one, and the pod that says so needs nothing for that.
#[test]
fn the_clean_up_is_everywhere_where_a_keeper_was() {
    let objects = build(&root().join("deploy/kustomize/streaming/cleanup"));
    let cleanup = object(&objects, "DaemonSet", "debridfs-cleanup");
    let base = build(&root().join("deploy/kustomize/streaming/base"));
    let keeper = object(&base, "DaemonSet", "debridfs-keeper");
    for key in ["affinity", "tolerations"] {
        assert_eq!(pod(cleanup)[key], pod(keeper)[key], "{key}");
    }
    let init = &pod(cleanup)["initContainers"][0];
    assert_eq!(init["args"], serde_json::json!(["uninstall"]));
    for one in list(&init["env"]) {
        let name = one["name"].as_str().expect("a name");
        assert_eq!(one["value"].as_str(), variable(keeper, name), "{name}");
    }
    let done = &pod(cleanup)["containers"][0];
    assert_eq!(done["args"], serde_json::json!(["uninstall", "--stay"]));
    assert_eq!(done["env"], init["env"]);
    assert_eq!(done["securityContext"]["runAsNonRoot"], true);
}

/// Nobody else of the cluster reaches the engine, and the keeper reaches nobody.
#[test]
fn the_engine_is_reached_at_its_services_ports_by_those_who_may() {
    let objects = streaming(&["ingress", "arrs"]);
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
            // The ingress controller gets the pages alone.
            let wanted = match policy["metadata"]["name"] == "debridfs-traefik" {
                true => &served[..1],
                false => &served[..],
            };
            assert_eq!(ports, wanted);
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
    for dir in ["streaming/base", "streaming/cleanup", "propagation-test"] {
        for object in build(&root().join("deploy/kustomize").join(dir)) {
            let containers = ["initContainers", "containers"].map(|key| list(&pod(&object)[key]));
            for container in containers.concat() {
                let image = container["image"].as_str().expect("an image");
                let ours = format!("ghcr.io/debridfs/debridfs:{}", env!("CARGO_PKG_VERSION"));
                assert_eq!(image, ours, "{dir}");
            }
        }
    }
}

/// A keeper's pod is replaced by hand only, so it has to start again when everything that belonged to an earlier state of the cluster
/// has been pruned: nothing of it may have a name with a hash. Found on a node that was restarted after the configuration had changed.
#[test]
fn the_keepers_pod_refers_to_nothing_that_is_pruned() {
    let objects = build(&root().join("deploy/kustomize/streaming/base"));
    let workload = object(&objects, "DaemonSet", "debridfs-keeper");
    let keeper = pod(workload);
    for volume in keeper["volumes"].as_array().expect("volumes") {
        let kinds = volume.as_object().expect("a volume").keys();
        let kinds: Vec<&String> = kinds.filter(|key| *key != "name").collect();
        assert!(kinds == ["hostPath"] || kinds == ["emptyDir"], "{volume}");
    }
    let container = &keeper["containers"][0];
    assert_eq!(container["envFrom"], Value::Null);
    let value = |name: &str| variable(workload, name).unwrap_or_else(|| panic!("no {name}"));
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
    let workload = object(&objects, "DaemonSet", "debridfs-keeper");
    let keeper = pod(workload);
    let engine = pod(object(&objects, "Deployment", "debridfs"));
    assert_eq!(keeper["hostPID"], true, "it cannot kill what it cannot see");
    let grace = |pod: &Value| {
        pod["terminationGracePeriodSeconds"]
            .as_u64()
            .expect("seconds")
    };
    let linger = variable(workload, "DEBRIDFS__KEEPER__LINGER");
    let linger = linger.and_then(|value| value.strip_suffix('s'));
    let linger: u64 = linger.expect("a time").parse().expect("seconds");
    assert!(grace(engine) + 5 <= linger && 2 * linger + 5 <= grace(keeper));
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
    let parent = root().join("deploy/kustomize/cluster");
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
    assert_eq!(of_test(&build_overlay(&on)), 1);
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
