//! One figure, measured several times.

use std::ops::Div;

/// The results of several runs, in the order of the runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The results as they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    pub(crate) fn min(&self) -> f64 {
        self.iter().fold(f64::INFINITY, f64::min)
    }

    /// The middle one, or the mean of the two in the middle; not a number
    /// without any run.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.len() % 2, sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
            (0, Some(low), Some(high)) => f64::midpoint(*low, *high),
            (1, _, Some(middle)) => *middle,
            _ => f64::NAN,
        }
    }
}

impl From<f64> for Series {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Run by run: what disturbed both sides of a ratio falls out.
impl Div for &Series {
    type Output = Series;

    fn div(self, floor: Self) -> Series {
        self.0.iter().zip(&floor.0).map(|(value, floor)| value / floor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_runs() {
        for (values, min, median) in [
            (&[3.0, 1.0, 2.0][..], 1.0, 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 1.0, 2.5),
            (&[7.0], 7.0, 7.0),
        ] {
            let series: Series = values.iter().copied().collect();
            assert_eq!((series.min(), series.median()), (min, median), "{values:?}");
        }
        assert!(Series::default().median().is_nan());
    }

    #[test]
    fn ratios_are_taken_run_by_run() {
        let agent: Series = [2.0, 9.0].into_iter().collect();
        let floor: Series = [1.0, 3.0].into_iter().collect();
        assert_eq!(&agent / &floor, [2.0, 3.0].into_iter().collect());
    }
}
