//! What `debridfs repair ls` prints.

use debridfs_repair::RepairStatus;

/// A few lines for each release that is treated, and what is in the way of that.
pub fn repair(status: &RepairStatus) -> String {
    let mut out = String::new();
    for (name, words) in &status.quiet {
        out += &format!("nothing is believed of {name}: {words}\n");
    }
    for name in &status.never_added {
        out += &format!(
            "nothing is added at {name} by itself, as its terms forbid it; \
             `debridfs provider move` does it when you ask\n"
        );
    }
    for patient in &status.patients {
        out += &format!(
            "{} {:<12} since {}  {}\n",
            patient.hash,
            patient.stage.label(),
            patient.since,
            patient.name
        );
        if !patient.broken.is_empty() {
            let broken: Vec<&str> = patient.broken.iter().map(String::as_str).collect();
            out += &format!("    bad at {}\n", broken.join(", "));
        }
        for file in &patient.files {
            out += &format!("    file: {file}\n");
        }
        for evidence in &patient.evidence {
            out += &format!("    {}  {}\n", evidence.at, evidence.words);
        }
    }
    if status.patients.is_empty() {
        out += "nothing is known to be bad\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_is_wrong_and_why_nothing_is_done() {
        let patient = serde_json::json!({
            "hash": "ab".repeat(20), "name": "Film", "stage": "suspect", "since": "2026-01-01T00:00:00Z", "files": ["film.mkv"],
            "providers": ["rd", "ad"], "broken": ["rd"], "next": "2026-01-01T00:00:00Z",
            "evidence": [{ "at": "2026-01-01T00:00:00Z", "words": "no link" }],
        });
        let shown = repair(&RepairStatus {
            quiet: vec![("rd".into(), "503".into())],
            never_added: vec!["tb".into()],
            patients: vec![serde_json::from_value(patient).unwrap()],
            ..RepairStatus::default()
        });
        for part in [
            "of rd: 503",
            "nothing is added at tb",
            "suspect",
            "Film",
            "bad at rd\n",
            "film.mkv",
            "no link",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let nothing = repair(&RepairStatus::default());
        assert_eq!(nothing, "nothing is known to be bad\n");
    }
}
