//! What a text is about.

/// The default of LLM_TOPICS.
pub const TOPICS: &str = "animals,education,family,fashion,film,food,games,health,\
                          money,music,nature,politics,sports,technology,travel,work";

/// How many topics there may be to choose from.
pub const MAX_TOPICS: usize = 64;

/// How many a text is given at most.
const MOST: usize = 3;

/// From which answer on a topic counts, where 1 is learnt to mean "about it" and 0 "not about it": the best F1 over
/// examples that were held out.
const ENOUGH: f32 = 0.34;

/// At most three topics, the likeliest first.
pub(super) fn answer(answers: &[f32], names: &[String]) -> Vec<String> {
    let mut ranked: Vec<(&f32, &String)> = answers.iter().zip(names).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(a.0));
    let chosen = ranked
        .into_iter()
        .take(MOST)
        .filter(|(answer, _)| **answer >= ENOUGH);
    chosen.map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_out_is_named_and_never_more_than_three() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(answer(&[0.1, 0.9, 0.2, 0.5, 0.0], &names), ["b", "d"]);
        assert_eq!(answer(&[0.6, 0.9, 0.7, 0.8, 1.0], &names), ["e", "b", "d"]);
        assert!(answer(&[0.1; 5], &names).is_empty());
        assert!(answer(&[f32::NAN; 5], &names).is_empty());
    }
}
