//! Rotary positions: the angles by which a query or key is turned for its place in the text (Su et al. 2021), with
//! the stretching that Llama 3.1 and later were trained with.

/// Which numbers of a head are turned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// The first with the second and so on: how a GGUF file of a Llama is laid out.
    Neighbours,
    /// The first with the first of the second half: how Hugging Face lays a Llama out.
    Halves,
}

/// The stretching of Llama 3.1 and later: long waves are slowed down by a factor, short ones not, those between
/// partly. The names are those of `rope_scaling` in a model's config.json.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How much slower the long waves get.
    pub factor: f32,
    /// A wave counts as long when it fits less often than this into the original context.
    pub low_freq_factor: f32,
    /// A wave counts as short when it fits more often than this into it.
    pub high_freq_factor: f32,
    /// The context the model was trained with at first, in tokens.
    pub original_context: f32,
}

/// The angle per place, for each pair of a head's numbers.
#[derive(Clone, Debug)]
pub struct Rope {
    frequencies: Vec<f32>,
    pairs: Pairs,
}

impl Rope {
    /// The angles of a head of `width` numbers: base^(−2i/width) for the i-th pair.
    #[must_use]
    pub fn new(width: usize, base: f32, pairs: Pairs) -> Self {
        let frequencies = (0..width / 2)
            .map(|pair| base.powf(-2.0 * pair as f32 / width as f32))
            .collect();
        Self { frequencies, pairs }
    }

    /// With the long waves slowed down.
    #[must_use]
    pub fn stretched(mut self, stretch: Stretch) -> Self {
        let Stretch {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_context,
        } = stretch;
        for frequency in &mut self.frequencies {
            let fits = original_context * *frequency / std::f32::consts::TAU;
            let share = ((fits - low) / (high - low)).clamp(0.0, 1.0);
            *frequency *= share + (1.0 - share) / factor;
        }
        self
    }

    /// With each pair's angle divided by a number of its own: what a GGUF file holds instead of a [`Stretch`].
    #[must_use]
    pub fn divided(mut self, divisors: &[f32]) -> Self {
        for (frequency, divisor) in self.frequencies.iter_mut().zip(divisors) {
            *frequency /= divisor;
        }
        self
    }

    /// Turns a row of one or more heads for the place `position`.
    pub fn turn(&self, row: &mut [f32], position: usize) {
        let half = self.frequencies.len();
        let angles = self.frequencies.iter();
        let turns: Vec<(f32, f32)> = angles
            .map(|frequency| (position as f32 * frequency).sin_cos())
            .collect();
        for head in row.chunks_exact_mut(2 * half) {
            match self.pairs {
                Pairs::Neighbours => {
                    for (pair, &(sin, cos)) in head.chunks_exact_mut(2).zip(&turns) {
                        (pair[0], pair[1]) =
                            (pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin);
                    }
                }
                Pairs::Halves => {
                    let (first, second) = head.split_at_mut(half);
                    for ((a, b), &(sin, cos)) in first.iter_mut().zip(second).zip(&turns) {
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_keeps_lengths_and_depends_on_the_distance_alone() {
        for pairs in [Pairs::Neighbours, Pairs::Halves] {
            let rope = Rope::new(8, 10_000.0, pairs);
            let key: Vec<f32> = (0..8).map(|i| i as f32 - 3.0).collect();
            let product = |at: usize, other: usize| -> f32 {
                let (mut a, mut b) = (key.clone(), key.clone());
                rope.turn(&mut a, at);
                rope.turn(&mut b, other);
                a.iter().zip(&b).map(|(a, b)| a * b).sum()
            };
            assert!((product(0, 0) - product(90, 90)).abs() < 1e-3);
            assert!((product(3, 7) - product(100, 104)).abs() < 1e-3);
            assert!((product(3, 7) - product(3, 9)).abs() > 1e-3);
        }
    }

    #[test]
    fn only_long_waves_are_stretched() {
        let stretch = Stretch {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192.0,
        };
        let plain = Rope::new(64, 500_000.0, Pairs::Halves);
        let stretched = plain.clone().stretched(stretch);
        let ratio = |pair: usize| plain.frequencies[pair] / stretched.frequencies[pair];
        assert!((ratio(0) - 1.0).abs() < 1e-6);
        assert!((ratio(31) - 32.0).abs() < 1e-3);
        let between = (0..32)
            .map(ratio)
            .filter(|r| *r > 1.01 && *r < 31.9)
            .count();
        assert!(between > 0);
        let divisors: Vec<f32> = (0..32).map(ratio).collect();
        let divided = plain.clone().divided(&divisors);
        for (a, b) in divided.frequencies.iter().zip(&stretched.frequencies) {
            assert!((a / b - 1.0).abs() < 1e-5);
        }
    }
}
