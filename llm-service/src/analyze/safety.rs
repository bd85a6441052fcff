//! Whether a text could do harm.

use super::{Safety, calibration::Calibration};

/// The default of LLM_SAFETY_THRESHOLD: even odds, where as many harmful and harmless posts are to be expected. Of
/// everyday posts hardly any is harmful, and at even odds many are accused that are only angry.
pub const SAFETY_THRESHOLD: f32 = 0.5;

/// The probability of harm, and what follows from it.
pub(super) fn answer(harm: f32, calibration: &Calibration, threshold: f32) -> (f32, Safety) {
    let danger = 1.0 / (1.0 + (-harm * calibration.harm_slope).exp());
    let safety = if danger >= threshold {
        Safety::Dangerous
    } else {
        Safety::Ok
    };
    (danger, safety)
}
