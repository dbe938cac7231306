//! What a handful of noisy samples says: the middle, the spread, and when two of them differ.

/// Samples of one cell, summed up. All in nanoseconds per operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The middle one.
    pub(crate) median: f64,
    /// The fastest.
    pub(crate) min: f64,
    /// A tenth was faster.
    pub(crate) p10: f64,
    /// A tenth was slower.
    pub(crate) p90: f64,
    /// Median of the distances from the median.
    pub(crate) mad: f64,
    /// How many.
    pub(crate) rounds: usize,
}

impl Summary {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5)?;
        let mut distances: Vec<f64> = sorted.iter().map(|sample| (sample - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        Some(Summary {
            median,
            min: *sorted.first()?,
            p10: quantile(&sorted, 0.1)?,
            p90: quantile(&sorted, 0.9)?,
            mad: quantile(&distances, 0.5)?,
            rounds: sorted.len(),
        })
    }
}

/// Between two samples, in proportion.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few samples")]
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_of_five() {
        let summary = Summary::of(&[5.0, 1.0, 3.0, 2.0, 100.0]).expect("samples");
        assert_eq!((summary.median, summary.min, summary.mad, summary.rounds), (3.0, 1.0, 2.0, 5));
        assert!((summary.p10 - 1.4).abs() < 1e-9 && (summary.p90 - 62.0).abs() < 1e-9);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[4.0]).map(|summary| (summary.median, summary.mad)), Some((4.0, 0.0)));
    }
}
