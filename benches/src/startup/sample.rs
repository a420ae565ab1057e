//! Medians with what is known of them.

/// Times of one kind.
#[derive(Debug)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn new(times: &[f64]) -> Self {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        self.0.get(self.0.len() / 2).copied()
    }

    pub(crate) fn p95(&self) -> Option<f64> {
        self.0.get((self.0.len() * 95 / 100).min(self.0.len().saturating_sub(1))).copied()
    }

    /// Bounds between which the median of all times that could be measured is, with 95 % confidence: by ranks, whatever the
    /// times' distribution is.
    pub(crate) fn bounds(&self) -> Option<(f64, f64)> {
        let count = self.0.len();
        let away = ((count as f64).sqrt() * 0.98).ceil() as usize;
        let at = |rank: usize| self.0.get(rank.min(count.saturating_sub(1))).copied();
        Some((at((count / 2).saturating_sub(away))?, at(count / 2 + away)?))
    }

    /// This one's times over another's, turn by turn: what slows a whole turn down is in neither.
    pub(crate) fn ratio(own: &[f64], other: &[f64]) -> Self {
        let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
        Self::new(&ratios)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_has_bounds_that_many_turns_bring_closer() {
        let few = Sample::new(&[3.0, 1.0, 2.0]);
        assert_eq!((few.median(), few.p95(), few.bounds()), (Some(2.0), Some(3.0), Some((1.0, 3.0))));
        let many = Sample::new(&(0..10_000).map(f64::from).collect::<Vec<_>>());
        let (low, high) = many.bounds().unwrap();
        assert!(low > 4900.0 && high < 5100.0, "{low} {high}");
        assert_eq!(Sample::new(&[]).median(), None);
        assert_eq!(Sample::ratio(&[2.0, 9.0], &[1.0, 3.0]).0, [2.0, 3.0]);
    }
}
