//! Arithmetic over rows of f32 that the compiler can turn into vector instructions: sums are kept in sixteen lanes,
//! because it may not reorder an addition by itself. What the numbers mean is the parent module's.

/// Lanes of a sum: one AVX-512 register, two of AVX2.
const LANES: usize = 16;

/// e^x for x ≤ 0, to a relative error below 10⁻⁵; everything below −87 becomes e^−87, which is 10⁻³⁸.
///
/// 2^(x·log₂e) is split into a whole power, written straight into the exponent's bits, and a fraction in ±½, for which
/// the Taylor series of e^y to the sixth power is good enough. `f32::exp` is a call per number.
#[must_use]
pub fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let power = x.max(-87.0) * std::f32::consts::LOG2_E;
    let shifted = power + ROUND;
    let y = (power - (shifted - ROUND)) * std::f32::consts::LN_2;
    let series = 1.0
        + y * (1.0
            + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0 + y / 720.0)))));
    let scale = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    series * f32::from_bits(scale)
}

/// Turns scores into weights that sum to 1. A score of −∞ gets no weight worth the name.
pub fn softmax(scores: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = scores.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &score) in lanes.iter_mut().zip(chunk) {
            *lane = if score > *lane { score } else { *lane };
        }
    }
    let rest = chunks.remainder().iter();
    let highest = rest
        .chain(&lanes)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for chunk in scores.chunks_mut(LANES) {
        for score in chunk.iter_mut() {
            *score = exp(*score - highest);
        }
        total += chunk.iter().sum::<f32>();
    }
    for score in scores {
        *score /= total;
    }
}

/// The inner product of two rows of equal length.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = chunks_a
        .remainder()
        .iter()
        .zip(chunks_b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    rest + lanes.iter().sum::<f32>()
}

/// Adds `row` · `columns` to `out`: `columns` holds one run of `stride` numbers for each number of `row`, of which the
/// first `out.len()` count.
pub fn add_products(row: &[f32], columns: &[f32], stride: usize, out: &mut [f32]) {
    let length = out.len();
    let mut columns = columns.chunks(stride.max(1));
    let mut weights = row.chunks_exact(4);
    // Four at a time, so that `out` is loaded and stored a quarter as often.
    for weight in &mut weights {
        let mut next = || {
            columns
                .next()
                .map_or(&[] as &[f32], |column| &column[..length])
        };
        let (a, b, c, d) = (next(), next(), next(), next());
        for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out += weight[0] * a + weight[1] * b + weight[2] * c + weight[3] * d;
        }
    }
    for (weight, column) in weights.remainder().iter().zip(columns) {
        for (out, number) in out.iter_mut().zip(column) {
            *out += weight * number;
        }
    }
}

/// Adds the mean of `rows`, each as long as `out`, weighted by `weights`, to `out`.
pub fn add_weighted(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let width = out.len();
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let start = block * LANES;
        if let Ok(out) = <&mut [f32; LANES]>::try_from(&mut *out) {
            let mut lanes = *out;
            for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
                for (lane, number) in lanes.iter_mut().zip(&row[start..start + LANES]) {
                    *lane += weight * number;
                }
            }
            *out = lanes;
        } else {
            for (weight, row) in weights.iter().zip(rows.chunks_exact(width)) {
                for (out, number) in out.iter_mut().zip(&row[start..]) {
                    *out += weight * number;
                }
            }
        }
    }
}

/// Each row divided by the root of the mean of its squares, times `weight` (Zhang and Sennrich 2019).
#[must_use]
pub fn rms_norm(rows: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut normed = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(weight.len()) {
        let mean = dot(row, row) / weight.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        normed.extend(row.iter().zip(weight).map(|(x, weight)| x * scale * weight));
    }
    normed
}

/// silu(gate) · up, where silu(x) = x / (1 + e^−x). Each row of `rows` is `width` gates and as many ups.
pub fn gated(rows: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in rows
        .chunks_exact(2 * width)
        .zip(out.chunks_exact_mut(width))
    {
        let (gates, ups) = row.split_at(width);
        for ((out, &gate), up) in out.iter_mut().zip(gates).zip(ups) {
            // exp wants x ≤ 0: 1 / (1 + e^−|x|) is the sigmoid of |x|, and 1 minus it that of −|x|.
            let tail = exp(-gate.abs());
            let sigmoid = if gate >= 0.0 { 1.0 } else { tail } / (1.0 + tail);
            *out = gate * sigmoid * up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 1e-5 * (1.0 + a.abs().max(b.abs()))
    }

    proptest! {
        #[test]
        fn exp_is_the_exponential(x in -87.0_f32..=0.0) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 1e-5, "{} {}", exp(x), x.exp());
        }

        #[test]
        fn weights_are_shares_of_the_exponentials(scores in prop::collection::vec(-50_f32..50.0, 1..70)) {
            let mut weights = scores.clone();
            softmax(&mut weights);
            prop_assert!(close(weights.iter().sum(), 1.0));
            for (score, weight) in scores.iter().zip(&weights) {
                let wanted: f32 = 1.0 / scores.iter().map(|other| (other - score).exp()).sum::<f32>();
                prop_assert!((weight - wanted).abs() < 1e-5, "{} {}", weight, wanted);
            }
        }

        #[test]
        fn products_are_those_of_the_definition(
            rows in 1_usize..9, width in 1_usize..40, spare in 0_usize..3,
            numbers in prop::collection::vec(-2_f32..2.0, 9 * 42 + 42),
        ) {
            let stride = width + spare;
            let (row, rest) = numbers.split_at(rows);
            let columns = &rest[..rows * stride];
            let mut out = vec![0.5; width];
            add_products(row, columns, stride, &mut out);
            for (place, &out) in out.iter().enumerate() {
                let wanted: f32 = (0..rows).map(|r| row[r] * columns[r * stride + place]).sum();
                prop_assert!(close(out, 0.5 + wanted));
            }
            let table = &rest[..rows * width];
            let mut out = vec![0.25; width];
            add_weighted(row, table, &mut out);
            for (place, &out) in out.iter().enumerate() {
                let wanted: f32 = (0..rows).map(|r| row[r] * table[r * width + place]).sum();
                prop_assert!(close(out, 0.25 + wanted));
            }
            let (a, b) = (&rest[..width], &rest[width..2 * width]);
            prop_assert!(close(dot(a, b), a.iter().zip(b).map(|(a, b)| a * b).sum()));
        }

        #[test]
        fn gates_are_those_of_the_definition(numbers in prop::collection::vec(-90_f32..90.0, 10)) {
            let mut out = vec![0.0; 5];
            gated(&numbers, 5, &mut out);
            for place in 0..5 {
                let (gate, up) = (numbers[place], numbers[place + 5]);
                prop_assert!(close(out[place], gate / (1.0 + (-gate).exp()) * up));
            }
        }
    }

    #[test]
    fn what_must_not_be_seen_gets_no_weight() {
        let mut weights = [1.0, f32::NEG_INFINITY, 1.0];
        softmax(&mut weights);
        assert!(close(weights[0], 0.5) && weights[1] < 1e-30);
    }

    #[test]
    fn a_normed_row_has_a_mean_square_of_one() {
        let normed = rms_norm(&[3.0, 4.0, 0.3, 0.4], &[1.0, 2.0], 0.0);
        assert!(close(
            normed[0] * normed[0] + normed[1] * normed[1] / 4.0,
            2.0
        ));
        assert!(close(normed[0], normed[2]));
    }
}
