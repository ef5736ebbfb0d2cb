//! Rows: what was measured, for whom, beside what, and whether the goal is met.

use std::path::Path;

use serde::Serialize;

pub(crate) use debridfs_measure::{median, percentile, short};

use crate::{Result, html};

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The figure itself.
    AtLeast(f64),
    /// The figure itself.
    AtMost(f64),
    /// The figure by its baseline.
    RatioAtLeast(f64),
    /// The figure by its baseline.
    RatioAtMost(f64),
    /// So many times the baseline and so much more.
    RatioPlus(f64, f64),
}

impl Goal {
    /// The figure that just meets it.
    pub(crate) fn threshold(self, baseline: f64) -> f64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
            Self::RatioAtLeast(ratio) | Self::RatioAtMost(ratio) => ratio * baseline,
            Self::RatioPlus(ratio, more) => ratio * baseline + more,
        }
    }

    fn is_met(self, value: f64, baseline: f64) -> bool {
        let threshold = self.threshold(baseline);
        match self {
            Self::AtLeast(_) | Self::RatioAtLeast(_) => value >= threshold,
            Self::AtMost(_) | Self::RatioAtMost(_) | Self::RatioPlus(..) => value <= threshold,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(value) => format!(">= {value} {unit}"),
            Self::AtMost(value) => format!("<= {value} {unit}"),
            Self::RatioAtLeast(ratio) => format!(">= {ratio} x"),
            Self::RatioAtMost(ratio) => format!("<= {ratio} x"),
            Self::RatioPlus(ratio, more) => format!("<= {ratio} x + {more} {unit}"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// Whose figure it is.
    pub(crate) subject: String,
    /// The figure; absent when the measurement failed.
    pub(crate) value: Option<f64>,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// With what it is compared.
    pub(crate) baseline: Option<String>,
    /// The baseline's figure, in the same unit.
    pub(crate) baseline_value: Option<f64>,
    /// `value / baseline_value`.
    pub(crate) ratio: Option<f64>,
    /// The goal in words, for our own figures that have one.
    pub(crate) goal: Option<String>,
    /// The figure that just meets the goal.
    pub(crate) threshold: Option<f64>,
    /// Whether the goal is met.
    pub(crate) met: Option<bool>,
    /// Why there is no figure.
    pub(crate) failed: Option<String>,
}

impl Row {
    /// A figure of `subject`.
    pub(crate) fn new(
        name: impl Into<String>,
        subject: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            subject: subject.into(),
            value: Some(value),
            unit,
            baseline: None,
            baseline_value: None,
            ratio: None,
            goal: None,
            threshold: None,
            met: None,
            failed: None,
        }
    }

    /// A measurement that could not be made.
    pub(crate) fn failed(
        name: impl Into<String>,
        subject: impl Into<String>,
        why: &dyn std::fmt::Display,
    ) -> Self {
        let mut row = Self::new(name, subject, 0.0, "");
        row.value = None;
        row.failed = Some(why.to_string());
        row
    }

    /// Compares it with a baseline.
    pub(crate) fn beside(mut self, baseline: impl Into<String>, value: f64) -> Self {
        self.baseline = Some(baseline.into());
        self.baseline_value = Some(value);
        self.ratio = self.value.map(|own| own / value);
        self
    }

    /// Gives it a goal. To be called after [`Row::beside`].
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        let baseline = self.baseline_value.unwrap_or(f64::NAN);
        self.goal = Some(goal.text(self.unit));
        self.threshold = Some(goal.threshold(baseline));
        self.met = self.value.map(|value| goal.is_met(value, baseline));
        self
    }

    /// As [`Row::goal`], if `ours`.
    pub(crate) fn goal_if(self, ours: bool, goal: Goal) -> Self {
        if ours { self.goal(goal) } else { self }
    }

    fn text(&self) -> String {
        let head = format!("{:<46} {:<24}", self.name, self.subject);
        let Some(value) = self.value else {
            return format!("{head} FAILED: {}", self.failed.as_deref().unwrap_or(""));
        };
        let figure = format!("{} {}", short(value), self.unit);
        let beside = match (&self.baseline, self.baseline_value, self.ratio) {
            (Some(baseline), Some(value), Some(ratio)) => {
                let (ratio, value) = (short(ratio), short(value));
                format!("= {ratio} x {baseline} ({value} {})", self.unit)
            }
            _ => String::new(),
        };
        let goal = match (&self.goal, self.met) {
            (Some(goal), Some(true)) => format!("goal {goal}: met"),
            (Some(goal), _) => format!("goal {goal}: NOT MET"),
            _ => String::new(),
        };
        let line = format!("{head} {figure:<16} {beside:<56} {goal}");
        line.trim_end().to_owned()
    }
}

/// The rows of one section.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// All rows of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) when: jiff::Timestamp,
    pub(crate) kernel: String,
    pub(crate) version: &'static str,
    pub(crate) sections: Vec<Section>,
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        let system = rustix::system::uname();
        Self {
            when: jiff::Timestamp::now(),
            kernel: system.release().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION"),
            sections: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// From now on rows belong to this section.
    pub(crate) fn section(&mut self, title: impl Into<String>) {
        let title = title.into();
        println!("== {title}");
        self.sections.push(Section {
            title,
            rows: Vec::new(),
        });
    }

    /// Adds a row and prints it at once: a benchmark is long.
    pub(crate) fn add(&mut self, row: Row) {
        println!("{}", row.text());
        match self.sections.last_mut() {
            Some(section) => section.rows.push(row),
            None => self.sections.push(Section {
                title: String::new(),
                rows: vec![row],
            }),
        }
    }

    /// Adds the rows of a measurement, or one that says that it failed. Fails only when the program is to end.
    pub(crate) fn measured(
        &mut self,
        name: &str,
        subject: &str,
        rows: Result<Vec<Row>>,
    ) -> Result<()> {
        debridfs_measure::stop::check()?;
        match rows {
            Ok(rows) => rows.into_iter().for_each(|row| self.add(row)),
            Err(error) => self.add(Row::failed(name, subject, &error)),
        }
        Ok(())
    }

    /// Adds something that a reader of the figures has to know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("note: {text}");
        self.notes.push(text);
    }

    /// Prints all rows, and how many of the goals are met.
    pub(crate) fn print(&self) {
        println!("\ndebridfs {} on Linux {}", self.version, self.kernel);
        for section in &self.sections {
            println!("\n== {}", section.title);
            section
                .rows
                .iter()
                .for_each(|row| println!("{}", row.text()));
        }
        self.notes.iter().for_each(|note| println!("note: {note}"));
        let rows = || self.sections.iter().flat_map(|section| &section.rows);
        let goals = rows().filter(|row| row.goal.is_some()).count();
        let met = rows().filter(|row| row.met == Some(true)).count();
        let failed = rows().filter(|row| row.failed.is_some()).count();
        println!("\n{met} of {goals} goals met, {failed} measurements failed");
    }

    /// Writes the report as JSON to `path`, and as a page with plots beside it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)?;
        let page = path.with_extension("html");
        std::fs::write(&page, html::page(self))?;
        println!("written: {} and {}", path.display(), page.display());
        Ok(())
    }
}
