//! How good the verdicts are, for whoever changes a prompt or a figure in `analyze.rs`.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    app::{MAX_TEXTS, app},
    http,
};

/// Texts that could do harm (`d`) and texts that could not (`o`), written for this test; not in the prompts.
const SAFETY: &str = include_str!("data/safety.tsv");

async fn verdicts(port: u16, texts: &[&str]) -> Vec<Value> {
    let mut verdicts = Vec::new();
    for texts in texts.chunks(MAX_TEXTS) {
        let answer = http::post(port, "/v1/analyze", &json!({ "texts": texts })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        verdicts.extend(answer.json()["verdicts"].as_array().unwrap().clone());
    }
    verdicts
}

/// Prints Pearson's r against the human means, the share of clear posts whose sign is right, three classes, safety
/// and the time per post. LLM_DEV_TSV names a file of `mean_rating<TAB>text` lines with a heading; LLM_DEV_ROWS how
/// many of them.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
#[ignore = "measures rather than checks, and needs a file of rated posts in LLM_DEV_TSV"]
async fn measure() {
    let path = std::env::var("LLM_DEV_TSV").expect("LLM_DEV_TSV names a file of rated posts");
    let rows = std::env::var("LLM_DEV_ROWS").map_or(200, |rows| rows.parse().unwrap());
    let file = std::fs::read_to_string(path).unwrap();
    let posts: Vec<(f64, &str)> = file
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .map(|(rating, text)| (rating.parse().unwrap(), text))
        .take(rows)
        .collect();
    let texts: Vec<&str> = posts.iter().map(|(_, text)| *text).collect();
    let (app, _turn) = app().await;
    let start = Instant::now();
    let seen = verdicts(app.port, &texts).await;
    let per_post = start.elapsed().as_secs_f64() / texts.len() as f64;
    let scores: Vec<f64> = seen
        .iter()
        .map(|verdict| verdict["score"].as_f64().unwrap())
        .collect();
    let ratings: Vec<f64> = posts.iter().map(|(rating, _)| *rating).collect();

    let clear: Vec<_> = scores
        .iter()
        .zip(&ratings)
        .filter(|(_, rating)| rating.abs() >= 1.0)
        .collect();
    let right = clear
        .iter()
        .filter(|(score, rating)| (**score > 0.0) == (**rating > 0.0))
        .count();
    let class = |rating: f64| match rating {
        rating if rating >= 0.5 => "positive",
        rating if rating <= -0.5 => "negative",
        _ => "neutral",
    };
    let classes = seen.iter().zip(&ratings);
    let agree = classes
        .filter(|(verdict, rating)| verdict["polarity"] == class(**rating))
        .count();
    let accused = seen
        .iter()
        .filter(|verdict| verdict["safety"] == "dangerous")
        .count();
    println!(
        "{} posts: r = {:.3}; sign right on {right} of {} clear posts; three classes right on {agree}; \
         called dangerous: {accused}; {:.0} ms a post",
        posts.len(),
        pearson(&scores, &ratings),
        clear.len(),
        per_post * 1000.0
    );

    for (kind, name) in [("d", "dangerous"), ("o", "harmless")] {
        let lines = SAFETY.lines().filter_map(|line| line.split_once('\t'));
        let texts: Vec<&str> = lines
            .filter(|(k, _)| *k == kind)
            .map(|(_, text)| text)
            .collect();
        let seen = verdicts(app.port, &texts).await;
        let accused = seen
            .iter()
            .filter(|verdict| verdict["safety"] == "dangerous")
            .count();
        println!("{accused} of {} {name} texts called dangerous", texts.len());
        for (text, verdict) in texts.iter().zip(&seen) {
            println!(
                "  {} {} {text} -> {}",
                verdict["safety"], verdict["score"], verdict["explanation"]
            );
        }
    }
}

fn pearson(xs: &[f64], ys: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mx, my) = (mean(xs), mean(ys));
    let covariance: f64 = xs.iter().zip(ys).map(|(x, y)| (x - mx) * (y - my)).sum();
    let spread = |values: &[f64], mean: f64| {
        values
            .iter()
            .map(|v| (v - mean).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    covariance / (spread(xs, mx) * spread(ys, my))
}
