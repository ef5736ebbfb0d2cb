//! The one image of these tests: a shell, and what our program needs beside itself. No registry is asked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::node::run;

/// Its name.
pub const NAME: &str = "debridfs.test/base:1";

/// The programs of busybox that are used.
const APPLETS: [&str; 12] = [
    "sh", "cat", "env", "ls", "mkdir", "sleep", "stat", "touch", "true", "rm", "head", "wc",
];

/// Makes the image as a file in `dir`.
pub fn build(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    for name in ["bin", "etc", "lib64", "tmp", "run", "var"] {
        fs::create_dir_all(root.join(name)).expect("directory");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for name in APPLETS {
        symlink("busybox", root.join("bin").join(name)).expect("link");
    }
    let users = "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).expect("file");
    for library in libraries(Path::new(env!("CARGO_BIN_EXE_debridfs"))) {
        let at = root.join(library.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(at.parent().expect("a directory")).expect("directory");
        fs::copy(&library, at).expect("library");
    }
    let archive = dir.join("image");
    fs::create_dir(&archive).expect("directory");
    let layer = archive.join("layer.tar");
    run(Command::new("tar")
        .args(["--numeric-owner", "--owner=0", "--group=0", "-cf"])
        .arg(&layer)
        .arg("-C")
        .arg(&root)
        .arg("."));
    let sum = run(Command::new("sha256sum").arg(&layer));
    let sum = sum.split_whitespace().next().expect("a sum");
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        // As a pause container, it has to stay.
        "config": { "Cmd": ["/bin/sleep", "1000000"], "Env": ["PATH=/usr/local/bin:/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
    });
    fs::write(archive.join("config.json"), config.to_string()).expect("file");
    let manifest = serde_json::json!([
        { "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }
    ]);
    fs::write(archive.join("manifest.json"), manifest.to_string()).expect("file");
    let image = dir.join("image.tar");
    run(Command::new("tar")
        .arg("-cf")
        .arg(&image)
        .arg("-C")
        .arg(&archive)
        .args(["config.json", "layer.tar", "manifest.json"]));
    image
}

/// What the loader takes for a program, the loader included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let said = run(Command::new("ldd").arg(program));
    let words = said.split_whitespace();
    let paths = words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from);
    paths.collect()
}
