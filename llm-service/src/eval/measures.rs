//! How close answers come to what people said: the measures, over plain numbers.

use serde::Serialize;

/// Pearson's correlation of two rows of equal length; 0 when one of them does not vary.
#[must_use]
pub fn pearson(xs: &[f64], ys: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_x, mean_y) = (mean(xs), mean(ys));
    let (mut together, mut square_x, mut square_y) = (0.0, 0.0, 0.0);
    for (x, y) in xs.iter().zip(ys) {
        together += (x - mean_x) * (y - mean_y);
        square_x += (x - mean_x).powi(2);
        square_y += (y - mean_y).powi(2);
    }
    let spread = (square_x * square_y).sqrt();
    if spread > 0.0 { together / spread } else { 0.0 }
}

/// How often each true class was given each answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<&'static str>,
    /// A row per true class, a column per answer.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts (truth, answer) pairs of places in `classes`.
    #[must_use]
    pub fn of(classes: &[&'static str], pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for (truth, answer) in pairs {
            counts[truth][answer] += 1;
        }
        Self {
            classes: classes.to_vec(),
            counts,
        }
    }

    /// Share of those that got the answer `class` who deserve it; 0 when nobody got it.
    #[must_use]
    pub fn precision(&self, class: usize) -> f64 {
        let answered = self.counts.iter().map(|row| row[class]).sum();
        ratio(self.counts[class][class], answered)
    }

    /// Share of those of `class` who got that answer; 0 when there are none.
    #[must_use]
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.counts[class][class], self.counts[class].iter().sum())
    }

    /// The mean over the classes of the harmonic mean of precision and recall.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let classes = 0..self.classes.len();
        let count = classes.len().max(1) as f64;
        let each = classes.map(|class| harmonic(self.precision(class), self.recall(class)));
        each.sum::<f64>() / count
    }
}

/// By how much the confidence of answers differs from the share of them that is right: the mean over ten classes of
/// confidence, weighted by their size (expected calibration error; Guo et al. 2017).
#[must_use]
pub fn calibration_error(answers: &[(f64, bool)]) -> f64 {
    const BINS: usize = 10;
    let mut bins = [(0.0, 0.0, 0.0); BINS];
    for &(confidence, right) in answers {
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        let (count, sum, rights) = &mut bins[bin];
        *count += 1.0;
        *sum += confidence;
        *rights += f64::from(right);
    }
    let total = answers.len().max(1) as f64;
    bins.iter()
        .map(|(_, sum, rights): &(f64, f64, f64)| (sum - rights).abs() / total)
        .sum()
}

/// The harmonic mean of two shares; 0 when both are.
#[must_use]
pub fn harmonic(a: f64, b: f64) -> f64 {
    if a + b > 0.0 {
        2.0 * a * b / (a + b)
    } else {
        0.0
    }
}

/// `part` of `whole`; 0 of nothing.
#[must_use]
pub fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn correlation_is_one_on_a_line_and_nothing_without_variation() {
        assert!(close(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
        assert!(close(pearson(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0));
        assert!(close(
            pearson(&[1.0, 2.0, 4.0], &[1.0, 3.0, 2.0]),
            0.327_326_835_353_988_3
        ));
        assert!(close(pearson(&[1.0, 1.0], &[1.0, 2.0]), 0.0));
        assert!(close(pearson(&[], &[]), 0.0));
    }

    #[test]
    fn a_table_gives_the_shares_of_the_textbook() {
        // Truth a: 8 right, 2 called b. Truth b: 1 called a, 9 right.
        let pairs = [(0, 0, 8), (0, 1, 2), (1, 0, 1), (1, 1, 9)];
        let pairs = pairs
            .into_iter()
            .flat_map(|(truth, answer, count)| std::iter::repeat_n((truth, answer), count));
        let table = Confusion::of(&["a", "b"], pairs);
        assert!(close(table.precision(1), 9.0 / 11.0));
        assert!(close(table.recall(0), 0.8));
        let f1 = (harmonic(8.0 / 9.0, 0.8) + harmonic(9.0 / 11.0, 0.9)) / 2.0;
        assert!(close(table.macro_f1(), f1));
        assert!(close(Confusion::of(&["a"], []).macro_f1(), 0.0));
    }

    #[test]
    fn the_calibration_error_is_the_gap_between_claim_and_truth() {
        let sure_and_right_half_the_time = [(0.95, true), (0.95, false)];
        assert!(close(
            calibration_error(&sure_and_right_half_the_time),
            0.45
        ));
        let honest = [(0.75, true), (0.75, true), (0.75, true), (0.75, false)];
        assert!(close(calibration_error(&honest), 0.0));
        assert!(close(calibration_error(&[(1.0, true)]), 0.0));
    }
}
