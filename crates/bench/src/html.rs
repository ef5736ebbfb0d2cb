//! The report as one page: a table and a plot for each measurement, without anything from elsewhere.

use std::fmt::Write;

use crate::report::{Report, Row, Section, short};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222;background:#fff}\
h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2.2em;border-bottom:1px solid #ccc}h3{font-size:1em;margin:1.4em 0 .2em}\
table{border-collapse:collapse;font-size:.9em}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}\
.met{color:#176b2c}.not{color:#a8201a;font-weight:600}svg text{font:12px system-ui,sans-serif;fill:currentColor}\
@media(prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}.met{color:#6fcf8a}.not{color:#ff8a80}}";

/// Pixels of a plot: names on the left, bars in the middle, figures on the right.
const NAMES: f64 = 200.0;
const BARS: f64 = 460.0;
const FIGURES: f64 = 140.0;
const LINE: f64 = 20.0;

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>debridfs benchmark</title><style>{STYLE}</style><h1>debridfs {} benchmark</h1><p>{}, Linux {}. \
         Every figure stands beside a baseline of the same run; absolute ones say little of another machine. \
         The dashed line is the goal.</p>",
        report.version,
        report.when,
        escaped(&report.kernel)
    );
    // Writing to a String cannot fail.
    let _ = report
        .sections
        .iter()
        .try_for_each(|part| section(&mut out, part));
    if !report.notes.is_empty() {
        out += "<h2>Notes</h2><ul>";
        for note in &report.notes {
            let _ = write!(out, "<li>{}</li>", escaped(note));
        }
        out += "</ul>";
    }
    out += "</html>\n";
    out
}

fn section(out: &mut String, section: &Section) -> std::fmt::Result {
    write!(out, "<h2>{}</h2>", escaped(&section.title))?;
    let mut names: Vec<&str> = Vec::new();
    for row in &section.rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    for name in names {
        let rows: Vec<&Row> = section.rows.iter().filter(|row| row.name == name).collect();
        write!(out, "<h3>{}</h3>", escaped(name))?;
        plot(out, &rows)?;
        table(out, &rows)?;
    }
    Ok(())
}

fn plot(out: &mut String, rows: &[&Row]) -> std::fmt::Result {
    let mut bars: Vec<(&str, f64, &str)> = Vec::new();
    for row in rows {
        let mut add = |name, value: Option<f64>, colour| {
            if let Some(value) = value.filter(|value| value.is_finite())
                && !bars.iter().any(|(other, _, _)| *other == name)
            {
                bars.push((name, value, colour));
            }
        };
        let own = if row.subject == "debridfs" {
            "#2f6fd0"
        } else {
            "#9aa5b1"
        };
        add(&row.subject, row.value, own);
        add(
            row.baseline.as_deref().unwrap_or_default(),
            row.baseline_value,
            "#d9a441",
        );
    }
    let threshold = rows.iter().find_map(|row| row.threshold);
    let largest = bars
        .iter()
        .map(|(_, value, _)| *value)
        .chain(threshold)
        .fold(0.0, f64::max);
    if bars.len() < 2 && threshold.is_none() || largest <= 0.0 {
        return Ok(());
    }
    let (width, height) = (NAMES + BARS + FIGURES, LINE * bars.len() as f64 + 4.0);
    write!(
        out,
        "<svg role=\"img\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" style=\"max-width:100%\">"
    )?;
    let unit = rows.first().map_or("", |row| row.unit);
    for (n, (name, value, colour)) in bars.iter().enumerate() {
        let (top, length) = (LINE * n as f64, (BARS * value / largest).max(1.0));
        write!(
            out,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{} {unit}</text>",
            NAMES - 8.0,
            top + 15.0,
            escaped(name),
            top + 3.0,
            LINE - 6.0,
            NAMES + length + 6.0,
            top + 15.0,
            short(*value),
        )?;
    }
    if let Some(threshold) = threshold {
        let x = NAMES + BARS * threshold / largest;
        write!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height}\" stroke=\"currentColor\" stroke-dasharray=\"4 3\"/>"
        )?;
    }
    out.write_str("</svg>")
}

fn table(out: &mut String, rows: &[&Row]) -> std::fmt::Result {
    out.write_str("<table>")?;
    for row in rows {
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
        write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td class=\"{class}\">{}",
            escaped(&row.subject),
            escaped(&figure),
            escaped(&beside),
            escaped(&goal)
        )?;
    }
    out.write_str("</table>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
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
