//! The older text format of Prometheus, for whoever does not ask for OpenMetrics: `curl`, agents of
//! other vendors, `promtool check metrics`.

/// OpenMetrics text as text of format 0.0.4: there a counter's family is named as its samples are,
/// and nothing marks the end.
pub fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 4096);
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            continue;
        }
        let Some(help) = line.strip_prefix("# HELP ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (name, words) = help.split_once(' ').unwrap_or((help, ""));
        let kind = format!("# TYPE {name} ");
        let kind = lines.next_if(|line| line.starts_with(&kind));
        let kind = kind.and_then(|line| line.rsplit(' ').next());
        let suffix = match kind {
            Some("counter") => "_total",
            _ => "",
        };
        text.push_str(&format!("# HELP {name}{suffix} {words}\n"));
        if let Some(kind) = kind {
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_counters_are_named_as_their_samples() {
        let text = "# HELP a_b Words and \"words\".\n# TYPE a_b counter\na_b_total{x=\"# HELP\"} 1.0\n\
                    # HELP c Other.\n# TYPE c gauge\nc 2.0\n# EOF\n";
        let expected = "# HELP a_b_total Words and \"words\".\n# TYPE a_b_total counter\n\
                        a_b_total{x=\"# HELP\"} 1.0\n# HELP c Other.\n# TYPE c gauge\nc 2.0\n";
        assert_eq!(classic(text), expected);
    }
}
