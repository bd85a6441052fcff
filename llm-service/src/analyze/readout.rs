//! From likelihoods to answers that no single word gives: linear functions of the likelihoods of many words, learnt
//! from example posts (ridge regression; Hoerl and Kennard 1970).

use serde::{Deserialize, Serialize};

/// How strongly large weights are held back: with 200, examples that were held out are judged best by the small model.
const RIDGE: f64 = 200.0;

/// Linear functions of a row of logits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Readout {
    /// The examples' mean of each logit.
    mean: Vec<f32>,
    /// By what a logit's distance from that is divided.
    scale: f32,
    /// For each answer, the weight of each logit.
    weights: Vec<Vec<f32>>,
    /// For each answer, what it is when every logit is at its mean.
    bias: Vec<f32>,
}

/// What the examples say of the functions learnt from them.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// The functions.
    pub(super) readout: Readout,
    /// For each example, for each answer: what functions learnt from all other examples say.
    pub(super) held_out: Vec<Vec<f64>>,
}

impl Readout {
    /// Learns a function per column of `answers` from rows of logits; a missing answer is not learnt from.
    pub(super) fn learn(rows: &[Vec<f32>], answers: &[Vec<Option<f64>>]) -> Option<Fit> {
        let rows: Vec<Vec<f32>> = rows.iter().map(|row| centred(row)).collect();
        let (count, width) = (rows.len(), rows.first()?.len());
        let mut mean = vec![0.0; width];
        for row in &rows {
            for (mean, x) in mean.iter_mut().zip(row) {
                *mean += x / count as f32;
            }
        }
        let squares: f32 = rows
            .iter()
            .flat_map(|row| row.iter().zip(&mean).map(|(x, mean)| (x - mean).powi(2)))
            .sum();
        let scale = (squares / (count * width) as f32).sqrt();
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let mut readout = Self {
            mean,
            scale,
            weights: Vec::new(),
            bias: Vec::new(),
        };
        let inputs: Vec<Vec<f64>> = rows.iter().map(|row| readout.inputs(row)).collect();
        let mut held_out = vec![Vec::new(); count];
        let mut last: Option<(Vec<bool>, Solver)> = None;
        for answer in 0..answers.first()?.len() {
            let known: Vec<(&[f64], f64)> = inputs
                .iter()
                .zip(answers)
                .filter_map(|(row, answers)| Some((row.as_slice(), answers[answer]?)))
                .collect();
            // Most answers are known of the same posts, and the posts alone make the solver.
            let mask: Vec<bool> = answers.iter().map(|row| row[answer].is_some()).collect();
            let solver = match last.take() {
                Some((of, solver)) if of == mask => solver,
                _ => Solver::new(&known, width + 1)?,
            };
            let mut sums = vec![0.0; width + 1];
            for (row, wanted) in &known {
                for (sum, x) in sums.iter_mut().zip(*row) {
                    *sum += x * wanted;
                }
            }
            let solution = solver.solve(&sums);
            for ((row, answers), held_out) in inputs.iter().zip(answers).zip(&mut held_out) {
                let said: f64 = row
                    .iter()
                    .zip(&solution)
                    .map(|(x, weight)| x * weight)
                    .sum();
                held_out.push(match answers[answer] {
                    None => said,
                    // How the answer changes without the example (Allen 1974), without learning anew for each.
                    Some(wanted) => wanted - (wanted - said) / (1.0 - solver.leverage(row)),
                });
            }
            last = Some((mask, solver));
            let (bias, weights) = solution.split_last()?;
            readout.bias.push(*bias as f32);
            readout
                .weights
                .push(weights.iter().map(|weight| *weight as f32).collect());
        }
        Some(Fit { readout, held_out })
    }

    /// With as many digits as count.
    pub(super) fn shortened(mut self) -> Self {
        let weights = self.weights.iter_mut().flatten();
        for number in self.mean.iter_mut().chain(weights).chain(&mut self.bias) {
            *number = (*number * 1e4).round() / 1e4;
        }
        self
    }

    /// How many logits it wants.
    pub(super) fn width(&self) -> usize {
        self.mean.len()
    }

    /// Its answers.
    pub(super) fn answers(&self, logits: &[f32]) -> Vec<f32> {
        let inputs = self.inputs(&centred(logits));
        let each = self.weights.iter().zip(&self.bias).map(|(weights, bias)| {
            let sum: f64 = weights
                .iter()
                .zip(&inputs)
                .map(|(weight, x)| f64::from(*weight) * x)
                .sum();
            sum as f32 + bias
        });
        each.collect()
    }

    /// The inputs of the regression; the last is always 1.
    fn inputs(&self, row: &[f32]) -> Vec<f64> {
        let scaled = row
            .iter()
            .zip(&self.mean)
            .map(|(x, mean)| f64::from((x - mean) / self.scale));
        scaled.chain([1.0]).collect()
    }
}

/// Logits less their own mean: only their differences mean something.
pub(super) fn centred(row: &[f32]) -> Vec<f32> {
    let mean = row.iter().sum::<f32>() / row.len().max(1) as f32;
    row.iter().map(|x| x - mean).collect()
}

/// The Cholesky factor of the examples' product matrix with the ridge on its diagonal.
struct Solver {
    factor: Vec<Vec<f64>>,
}

impl Solver {
    fn new(rows: &[(&[f64], f64)], width: usize) -> Option<Self> {
        let mut factor = vec![vec![0.0; width]; width];
        for (row, _) in rows {
            for (i, line) in factor.iter_mut().enumerate() {
                let x = row[i];
                for (sum, y) in line.iter_mut().zip(*row).take(i + 1) {
                    *sum += x * y;
                }
            }
        }
        for (i, line) in factor.iter_mut().enumerate() {
            // The constant is free.
            line[i] += if i + 1 == width { 1e-9 } else { RIDGE };
        }
        for i in 0..width {
            let (before, rest) = factor.split_at_mut(i);
            let line = rest.first_mut()?;
            for (j, other) in before.iter().enumerate() {
                let sum: f64 = line[..j].iter().zip(&other[..j]).map(|(a, b)| a * b).sum();
                line[j] = (line[j] - sum) / other[j];
            }
            let sum: f64 = line[..i].iter().map(|a| a * a).sum();
            let square = line[i] - sum;
            if !(square.is_finite() && square > 0.0) {
                return None;
            }
            line[i] = square.sqrt();
        }
        Some(Self { factor })
    }

    /// The first half of a solution, on which the second builds.
    fn forward(&self, wanted: &[f64]) -> Vec<f64> {
        let mut half: Vec<f64> = Vec::with_capacity(wanted.len());
        for (line, wanted) in self.factor.iter().zip(wanted) {
            let sum: f64 = line.iter().zip(&half).map(|(a, b)| a * b).sum();
            half.push((wanted - sum) / line[half.len()]);
        }
        half
    }

    fn solve(&self, wanted: &[f64]) -> Vec<f64> {
        let mut solution = self.forward(wanted);
        for i in (0..solution.len()).rev() {
            solution[i] /= self.factor[i][i];
            let found = solution[i];
            for (rest, a) in solution.iter_mut().zip(&self.factor[i]).take(i) {
                *rest -= a * found;
            }
        }
        solution
    }

    /// The weight of an example in its own answer.
    fn leverage(&self, row: &[f64]) -> f64 {
        let share: f64 = self.forward(row).iter().map(|x| x * x).sum();
        share.min(0.999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, the same each time.
    fn noise(seed: u32) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        }
    }

    #[test]
    fn a_linear_truth_is_learnt_and_noise_is_not() {
        let mut next = noise(1);
        let rows: Vec<Vec<f32>> = (0..400).map(|_| (0..6).map(|_| next()).collect()).collect();
        let answers: Vec<Vec<Option<f64>>> = rows
            .iter()
            .map(|row| {
                let truth = f64::from(row[0] - row[3]);
                vec![Some(truth), Some(f64::from(next()))]
            })
            .collect();
        let fit = Readout::learn(&rows, &answers).unwrap();
        let error = |answer: usize| -> f64 {
            let pairs = fit.held_out.iter().zip(&answers);
            let squares =
                pairs.map(|(said, truth)| (said[answer] - truth[answer].unwrap()).powi(2));
            squares.sum::<f64>() / rows.len() as f64
        };
        assert!(error(0) < 0.2, "{}", error(0));
        assert!(error(1) > 0.3, "{}", error(1));
        let said = fit.readout.answers(&[0.9, 0.0, 0.0, -0.9, 0.0, 0.0]);
        assert!((said[0] - 1.8).abs() < 0.8, "{said:?}");
    }

    #[test]
    fn what_is_held_out_is_what_learning_without_it_says() {
        let mut next = noise(2);
        let rows: Vec<Vec<f32>> = (0..40).map(|_| (0..5).map(|_| next()).collect()).collect();
        let answers: Vec<Vec<Option<f64>>> = rows
            .iter()
            .map(|row| vec![Some(f64::from(row[1] * 2.0 + next() / 3.0))])
            .collect();
        let all = Readout::learn(&rows, &answers).unwrap();
        let mut without = answers.clone();
        without[7][0] = None;
        let without = Readout::learn(&rows, &without).unwrap();
        let (a, b) = (all.held_out[7][0], without.held_out[7][0]);
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }

    #[test]
    fn nothing_is_learnt_from_nothing() {
        assert!(Readout::learn(&[], &[]).is_none());
        assert!(Readout::learn(&[vec![1.0, 1.0]], &[vec![Some(1.0)]]).is_none());
    }
}
