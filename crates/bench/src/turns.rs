//! Figures that take turns, so that whatever else the machine does meanwhile meets all of them.

use crate::Result;
use crate::report::median;

/// How often each is measured.
pub(crate) const ROUNDS: usize = 5;

/// The median of [`ROUNDS`] figures of each subject, measured in turn after one round that does not
/// count: it fills the caches.
pub(crate) fn in_turns<S>(subjects: &[S], figure: impl Fn(&S) -> Result<f64>) -> Result<Vec<f64>> {
    let mut figures = vec![Vec::new(); subjects.len()];
    for subject in subjects {
        figure(subject)?;
    }
    for _ in 0..ROUNDS {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            figures.push(figure(subject)?);
        }
    }
    Ok(figures.into_iter().map(median).collect())
}
