//! Figures of many samples.

/// The middle one of several figures; NaN of none.
pub fn median(figures: Vec<f64>) -> f64 {
    percentile(figures, 0.5)
}

/// The figure below which a `share` (0 to 1) of all lies; NaN of none.
pub fn percentile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * share) as usize;
    figures
        .get(at.min(figures.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// A figure with three or four digits that count.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What a rank test says of two sets of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranks {
    /// How likely ranks as different as these are where both sets come from the same distribution (two-sided).
    pub p: f64,
    /// How likely one of the second set is larger than one of the first; half of the equal ones count.
    pub larger: f64,
}

/// Mann and Whitney's U test by the normal approximation, with corrections for ties and continuity. `None` below 9 samples, where the
/// approximation does not hold.
pub fn rank_test(first: &[u64], second: &[u64]) -> Option<Ranks> {
    /// As SciPy's `mannwhitneyu` chooses between the exact distribution and this one.
    const LEAST: usize = 9;
    if first.len() < LEAST || second.len() < LEAST {
        return None;
    }
    Some(ranks(first, second))
}

fn ranks(first: &[u64], second: &[u64]) -> Ranks {
    let of = |set: &[u64], is_first| -> Vec<(u64, bool)> {
        set.iter().map(|sample| (*sample, is_first)).collect()
    };
    let mut all = [of(first, true), of(second, false)].concat();
    all.sort_unstable();
    let (mut before, mut sum, mut ties) = (0.0, 0.0, 0.0);
    for alike in all.chunk_by(|one, other| one.0 == other.0) {
        let count = alike.len() as f64;
        // All of them have the mean of the ranks that they take up.
        let rank = before + (count + 1.0) / 2.0;
        sum += rank * alike.iter().filter(|(_, is_first)| *is_first).count() as f64;
        ties += count.powi(3) - count;
        before += count;
    }
    let (n, m) = (first.len() as f64, second.len() as f64);
    let u = sum - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * (n + m + 1.0 - ties / ((n + m) * (n + m - 1.0)));
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Ranks {
        // Where all are equal there is no spread, and no difference.
        p: if variance > 0.0 {
            libm::erfc(z / std::f64::consts::SQRT_2)
        } else {
            1.0
        },
        larger: 1.0 - u / (n * m),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_of_many() {
        assert!(percentile(Vec::new(), 0.5).is_nan());
        assert_eq!(percentile(vec![3.0], 0.99), 3.0);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(hundred.clone(), 0.5), 51.0);
        assert_eq!(percentile(hundred.clone(), 0.99), 100.0);
        assert_eq!(percentile(hundred, 1.0), 100.0);
    }

    /// The example of SciPy's documentation of `mannwhitneyu`, which gives U = 17 and p = 0.11134688653314041 for `method="asymptotic"`.
    #[test]
    fn the_rank_test_gives_scipys_figures() {
        let found = ranks(&[19, 22, 16, 29, 24], &[20, 11, 17, 12]);
        assert!((found.p - 0.111_346_886_533).abs() < 1e-9, "{found:?}");
        assert!((found.larger - 3.0 / 20.0).abs() < 1e-12, "{found:?}");
    }

    /// By hand, with ties: ten 1 and ten 2 beside five 1 and fifteen 2. U = 10·5/2 + 10·5 + 10·15/2 = 150 of the second set's losses,
    /// mean 200, tie term (15³ − 15) + (25³ − 25) = 18960, s² = 400/12 · (41 − 18960/1560) = 961.54, z = 49.5/31.009, p = 2·(1 − Φ(1.5963)).
    #[test]
    fn ties_are_corrected_for() {
        let set = |ones: usize, twos: usize| [vec![1; ones], vec![2; twos]].concat();
        let found = rank_test(&set(10, 10), &set(5, 15)).unwrap();
        assert!((found.p - 0.1104).abs() < 5e-4, "{found:?}");
        assert!((found.larger - 0.625).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn equal_few_and_far_apart() {
        let (low, high): (Vec<u64>, Vec<u64>) = ((0..50).collect(), (100..150).collect());
        assert!(rank_test(&low, &high).unwrap().p < 1e-12);
        assert_eq!(rank_test(&low, &high).unwrap().larger, 1.0);
        assert_eq!(rank_test(&[7; 20], &[7; 20]).unwrap().p, 1.0);
        assert_eq!(rank_test(&[1; 8], &low), None);
    }
}
