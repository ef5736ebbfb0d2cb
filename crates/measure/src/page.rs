//! A page of figures with plots, complete in one file: no scripts, nothing from elsewhere.

use std::fmt::Write as _;

use crate::short;

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
/// Height of the plot of curves.
const CURVES: f64 = 180.0;
/// Of curves, in the order in which they are given.
const COLOURS: [&str; 6] = [
    "#2f6fd0", "#d9a441", "#2c9a5b", "#b0478e", "#9aa5b1", "#c8553d",
];

/// A page in the making.
pub struct Page {
    out: String,
}

/// One bar of a plot.
pub struct Bar<'a> {
    /// Left of it.
    pub name: &'a str,
    /// Its length.
    pub value: f64,
    /// As CSS has it.
    pub colour: &'a str,
}

impl Page {
    /// Begins a page; `about` goes below its title.
    pub fn new(title: &str, about: &str) -> Self {
        let (title, about) = (escaped(title), escaped(about));
        Self {
            out: format!(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
                 <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{about}</p>"
            ),
        }
    }

    /// The page.
    pub fn finish(mut self) -> String {
        self.out += "</html>\n";
        self.out
    }

    /// A heading of this level, 2 or 3.
    pub fn heading(&mut self, level: u8, text: &str) {
        self.put(format_args!("<h{level}>{}</h{level}>", escaped(text)));
    }

    /// Points, one below the other; nothing where there are none.
    pub fn list<'a>(&mut self, points: impl IntoIterator<Item = &'a str>) {
        let points: Vec<&str> = points.into_iter().collect();
        if points.is_empty() {
            return;
        }
        self.out += "<ul>";
        for point in points {
            self.put(format_args!("<li>{}</li>", escaped(point)));
        }
        self.out += "</ul>";
    }

    /// A table of cells, each with its class, which may be empty.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<(&str, String)>]) {
        self.out += "<table>";
        if !head.is_empty() {
            self.out += "<tr>";
            head.iter()
                .for_each(|cell| self.put(format_args!("<th>{}", escaped(cell))));
        }
        for row in rows {
            self.out += "<tr>";
            for (class, text) in row {
                let text = escaped(text);
                match *class {
                    "" => self.put(format_args!("<td>{text}")),
                    class => self.put(format_args!("<td class=\"{class}\">{text}")),
                }
            }
        }
        self.out += "</table>";
    }

    /// Bars below each other, and a dashed line at the `threshold`.
    pub fn bars(&mut self, bars: &[Bar<'_>], threshold: Option<f64>, unit: &str) {
        let values = bars.iter().map(|bar| bar.value).chain(threshold);
        let largest = values.fold(0.0, f64::max);
        if largest <= 0.0 {
            return;
        }
        let height = LINE * bars.len() as f64 + 4.0;
        self.begin_plot(height);
        for (n, bar) in bars.iter().enumerate() {
            let (top, length) = (LINE * n as f64, (BARS * bar.value / largest).max(1.0));
            self.put(format_args!(
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{NAMES}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{}\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\">{} {unit}</text>",
                NAMES - 8.0,
                top + 15.0,
                escaped(bar.name),
                top + 3.0,
                LINE - 6.0,
                bar.colour,
                NAMES + length + 6.0,
                top + 15.0,
                short(bar.value),
            ));
        }
        if let Some(threshold) = threshold {
            let x = NAMES + BARS * threshold / largest;
            self.put(format_args!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height}\" stroke=\"currentColor\" stroke-dasharray=\"4 3\"/>"
            ));
        }
        self.out += "</svg>";
    }

    /// The share of all samples (upwards) that took at most so long (to the right, logarithmic), a curve for each name.
    pub fn distributions(&mut self, curves: &[(&str, &[f64])], unit: &str) {
        let all = || curves.iter().flat_map(|(_, samples)| *samples).copied();
        let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
        if !(least > 0.0 && most > least) {
            return;
        }
        let at = |value: f64| NAMES + BARS * (value / least).ln() / (most / least).ln();
        self.begin_plot(CURVES + LINE);
        for (n, (name, samples)) in curves.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let mut sorted = samples.to_vec();
            sorted.sort_by(f64::total_cmp);
            // As many points as can be told apart.
            let step = (sorted.len() / BARS as usize).max(1);
            self.out += "<polyline fill=\"none\" stroke-width=\"1.5\" points=\"";
            for (k, value) in sorted.iter().enumerate().step_by(step) {
                let share = (k + 1) as f64 / sorted.len() as f64;
                let y = CURVES * (1.0 - share);
                self.put(format_args!("{:.1},{y:.1} ", at(*value)));
            }
            self.put(format_args!(
                "\" stroke=\"{colour}\"/><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" style=\"fill:{colour}\">{}</text>",
                NAMES - 8.0,
                LINE * n as f64 + 15.0,
                escaped(name),
            ));
        }
        for (x, anchor, value) in [(NAMES, "start", least), (NAMES + BARS, "end", most)] {
            self.put(format_args!(
                "<text x=\"{x}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{} {unit}</text>",
                CURVES + 15.0,
                short(value),
            ));
        }
        self.out += "</svg>";
    }

    fn begin_plot(&mut self, height: f64) {
        let width = NAMES + BARS + FIGURES;
        self.put(format_args!(
            "<svg role=\"img\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" style=\"max-width:100%\">"
        ));
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.out.write_fmt(what);
    }
}

/// `text` as HTML has it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_lie_inside_their_plot_and_names_are_no_markup() {
        let mut page = Page::new("a <title>", "\"about\"");
        page.heading(2, "x & y");
        page.distributions(&[("<one>", &[1.0, 10.0]), ("two", &[100.0])], "us");
        page.distributions(&[("alike", &[5.0, 5.0])], "us");
        page.bars(&[], None, "us");
        let page = page.finish();
        for text in [
            "a &lt;title&gt;",
            "&quot;about&quot;",
            "x &amp; y",
            "&lt;one&gt;",
        ] {
            assert!(page.contains(text), "{text} in {page}");
        }
        // Samples that are all alike have no curve, and no bars no plot.
        assert_eq!(page.matches("<svg").count(), 1);
        // The least lies at the left edge, ten times it in the middle, a hundred times it at the right.
        for point in ["200.0,90.0", "430.0,0.0", "660.0,0.0"] {
            assert!(page.contains(point), "{point} in {page}");
        }
    }
}
