//! The report as one page: a table and a plot for each measurement.

use debridfs_measure::{Bar, Page};

use crate::report::{Report, Row, Section, short};

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut page = Page::new(
        &format!("debridfs {} benchmark", report.version),
        &format!(
            "{}, Linux {}. Every figure stands beside a baseline of the same run; absolute ones say little of another machine. \
             The dashed line is the goal.",
            report.when, report.kernel
        ),
    );
    for part in &report.sections {
        section(&mut page, part);
    }
    if !report.notes.is_empty() {
        page.heading(2, "Notes");
        page.list(report.notes.iter().map(String::as_str));
    }
    page.finish()
}

fn section(page: &mut Page, section: &Section) {
    page.heading(2, &section.title);
    let mut names: Vec<&str> = Vec::new();
    for row in &section.rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    for name in names {
        let rows: Vec<&Row> = section.rows.iter().filter(|row| row.name == name).collect();
        page.heading(3, name);
        plot(page, &rows);
        table(page, &rows);
    }
}

fn plot(page: &mut Page, rows: &[&Row]) {
    let mut bars: Vec<Bar<'_>> = Vec::new();
    for row in rows {
        let mut add = |name, value: Option<f64>, colour| {
            if let Some(value) = value.filter(|value| value.is_finite())
                && !bars.iter().any(|other: &Bar<'_>| other.name == name)
            {
                bars.push(Bar {
                    name,
                    value,
                    colour,
                });
            }
        };
        let own = if row.subject == "debridfs" {
            "#2f6fd0"
        } else {
            "#9aa5b1"
        };
        add(row.subject.as_str(), row.value, own);
        add(
            row.baseline.as_deref().unwrap_or_default(),
            row.baseline_value,
            "#d9a441",
        );
    }
    let threshold = rows.iter().find_map(|row| row.threshold);
    if bars.len() < 2 && threshold.is_none() {
        return;
    }
    let unit = rows.first().map_or("", |row| row.unit);
    page.bars(&bars, threshold, unit);
}

fn table(page: &mut Page, rows: &[&Row]) {
    let cells = rows.iter().map(|row| {
        let figure = match (row.value, &row.failed) {
            (Some(value), _) => format!("{} {}", short(value), row.unit),
            (None, why) => format!("failed: {}", why.as_deref().unwrap_or_default()),
        };
        let beside = match (&row.baseline, row.ratio) {
            (Some(baseline), Some(ratio)) => format!("{} × {baseline}", short(ratio)),
            _ => String::new(),
        };
        let (class, goal) = match (&row.goal, row.met) {
            (Some(goal), Some(true)) => ("met", format!("goal {goal}: met")),
            (Some(goal), _) => ("not", format!("goal {goal}: not met")),
            _ => ("", String::new()),
        };
        vec![
            ("", row.subject.clone()),
            ("", figure),
            ("", beside),
            (class, goal),
        ]
    });
    page.table(&[], &cells.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Goal;

    #[test]
    fn a_page_holds_every_row_and_no_markup_of_theirs() {
        let mut report = Report::new();
        report.section("a <section>");
        report.add(
            Row::new("rate", "debridfs", 30.0, "MB/s")
                .beside("four & more", 40.0)
                .goal(Goal::RatioAtLeast(0.9)),
        );
        report.add(Row::failed("rate", "<peer>", &"it \"hung\""));
        let page = page(&report);
        for text in [
            "a &lt;section&gt;",
            "30.00 MB/s",
            "four &amp; more",
            "goal &gt;= 0.9 x: not met",
            "failed: it &quot;hung&quot;",
            "&lt;peer&gt;",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        // Two bars and the line of the goal.
        assert_eq!(page.matches("<rect").count(), 2);
        assert_eq!(page.matches("<line").count(), 1);
        assert!(!page.contains("<script"));
    }
}
