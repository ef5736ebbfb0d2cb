//! A run as a page.

use super::record::{Outcome, Record};
use super::words::{COLUMNS, about, cells, operations};
use crate::{Bar, Page};

/// The whole page: for each operation its percentiles, the distribution of its times, and a table.
pub(super) fn page(record: &Record) -> String {
    let mut page = Page::new(
        &format!("debridfs bench {}", record.version),
        &about(record).join(". "),
    );
    for operation in operations(record) {
        page.heading(2, operation.name());
        page.list([operation.about(record.cache, record.fsync)]);
        let mut names = Vec::new();
        let mut curves = Vec::new();
        let mut rows = Vec::new();
        for target in &record.targets {
            let found = target
                .operations
                .iter()
                .find(|one| one.operation == operation);
            let mut row = vec![("", target.name.clone())];
            match found.map(|found| &found.outcome) {
                None => continue,
                Some(Outcome::Measured(measured)) => {
                    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                        names.push((format!("{} {name}", target.name), measured.micros(share)));
                    }
                    curves.push((target.name.as_str(), measured.all_micros()));
                    row.extend(cells(measured).map(|cell| ("", cell)));
                }
                Some(Outcome::NotApplicable(why)) => {
                    row.push(("", format!("not applicable: {why}")));
                }
                Some(Outcome::Failed(why)) => row.push(("not", format!("failed: {why}"))),
            }
            rows.push(row);
        }
        let bars = names.iter().map(|(name, value)| Bar {
            name,
            value: *value,
            colour: "#2f6fd0",
        });
        page.bars(&bars.collect::<Vec<_>>(), None, "us");
        let curves: Vec<(&str, &[f64])> = curves
            .iter()
            .map(|(name, all)| (*name, all.as_slice()))
            .collect();
        page.distributions(&curves, "us");
        let head: Vec<&str> = [""].into_iter().chain(COLUMNS).collect();
        page.table(&head, &rows);
    }
    page.finish()
}
