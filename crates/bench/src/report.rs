//! Rows of ratios.

use std::path::Path;

use serde::Serialize;

use crate::Result;

/// One comparison.
#[derive(Debug, Serialize)]
struct Row {
    /// What was measured.
    name: String,
    /// Our figure.
    ours: f64,
    /// With what.
    baseline: String,
    /// Its figure.
    theirs: f64,
    /// Unit of both.
    unit: &'static str,
    /// `ours / theirs`.
    ratio: f64,
    /// The goal, in words, if there is one.
    goal: Option<&'static str>,
}

/// All rows of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    when: jiff::Timestamp,
    kernel: String,
    version: &'static str,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        let system = rustix::system::uname();
        Self {
            when: jiff::Timestamp::now(),
            kernel: system.release().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION"),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row and prints it at once: a benchmark is long.
    pub(crate) fn row(
        &mut self,
        name: impl Into<String>,
        ours: f64,
        baseline: impl Into<String>,
        theirs: f64,
        unit: &'static str,
        goal: Option<&'static str>,
    ) {
        let (name, baseline) = (name.into(), baseline.into());
        let row = Row {
            name,
            ours,
            baseline,
            theirs,
            unit,
            ratio: ours / theirs,
            goal,
        };
        println!("{}", row.text());
        self.rows.push(row);
    }

    /// Adds something that a reader of the figures has to know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("note: {text}");
        self.notes.push(text);
    }

    /// Prints all rows.
    pub(crate) fn print(&self) {
        println!("\ndebridfs {} on Linux {}", self.version, self.kernel);
        self.rows.iter().for_each(|row| println!("{}", row.text()));
        self.notes.iter().for_each(|note| println!("note: {note}"));
    }

    /// Writes the report as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)?;
        println!("written: {}", path.display());
        Ok(())
    }
}

impl Row {
    fn text(&self) -> String {
        let goal = self
            .goal
            .map(|goal| format!("   goal {goal}"))
            .unwrap_or_default();
        format!(
            "{:<44} {:>10.3} {:<5} = {:>6.2} x {} ({:.3} {}){goal}",
            self.name, self.ours, self.unit, self.ratio, self.baseline, self.theirs, self.unit
        )
    }
}

/// The middle one of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
