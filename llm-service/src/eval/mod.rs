//! How good the verdicts are: reads sets of judged posts, has them judged by the very code that serves `/v1/analyze`,
//! and compares. For whoever chooses a model, a prompt or a threshold.

mod measures;
mod report;
mod sets;

use std::{path::PathBuf, time::Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    analyze::{Draft, Judge, JudgeSettings, Polarity, Safety},
    model::Model,
};
use measures::{Confusion, calibration_error, harmonic, pearson, ratio};
use report::{Figures, Report, SetReport};
use sets::{Rows, Set};

/// From this rating on, in the unit of its set, a post is clearly positive, and from minus this clearly negative.
const CLEAR: f64 = 0.5;

/// Texts read together.
const BATCH: usize = 8;

/// What is to be compared.
#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    /// Sets of judged posts: TSV files whose first line is `mean_rating<TAB>text`, `label<TAB>kind<TAB>text` (label:
    /// harmful or harmless) or `topics<TAB>text`. None: the two that come with the program, for safety and topics.
    pub files: Vec<PathBuf>,

    /// Only the first so many posts of each set.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: Option<u32>,

    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,

    /// Show the posts that were judged otherwise than by people.
    #[arg(long)]
    pub misses: bool,
}

/// Judges the sets and prints what was found.
///
/// # Errors
/// When a set cannot be read or the model fails.
#[expect(
    clippy::print_stdout,
    reason = "the report is what the subcommand is for"
)]
pub async fn run(args: &EvalArgs, model: &Model, settings: JudgeSettings) -> anyhow::Result<()> {
    let mut sets = match args.files.as_slice() {
        [] => Set::built_in()?,
        files => files
            .iter()
            .map(|file| Set::read(file))
            .collect::<anyhow::Result<_>>()?,
    };
    if let Some(rows) = args.rows {
        sets.iter_mut().for_each(|set| set.truncate(rows as usize));
    }
    let start = Instant::now();
    let judge = Judge::new(model, settings).await?;
    let about = model.about();
    let mut report = Report {
        model: about.name.clone(),
        prompt_version: judge.prompt_version().to_owned(),
        build: build_flags(),
        dense: about.dense,
        load_seconds: (about.load + start.elapsed()).as_secs_f64(),
        sets: Vec::new(),
    };
    let total: usize = sets.iter().map(|set| set.texts().len()).sum();
    let progress = ProgressBar::new(total as u64).with_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} posts, {per_sec}, {eta} left",
    )?);
    for set in &sets {
        let judged = judge_set(set, model, &judge, &progress).await;
        let mut judged = judged.with_context(|| format!("the set {} was not judged", set.name))?;
        if !args.misses {
            judged.misses.clear();
        }
        report.sets.push(judged);
    }
    progress.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.text()?);
    }
    Ok(())
}

/// What the program was compiled for, as far as it matters to its speed.
fn build_flags() -> String {
    let mut flags = vec![std::env::consts::ARCH];
    for (name, on) in [
        ("avx2", cfg!(target_feature = "avx2")),
        ("fma", cfg!(target_feature = "fma")),
        ("avx512f", cfg!(target_feature = "avx512f")),
        ("cuda", cfg!(feature = "cuda")),
        ("debug", cfg!(debug_assertions)),
    ] {
        flags.extend(on.then_some(name));
    }
    flags.join("+")
}

async fn judge_set(
    set: &Set,
    model: &Model,
    judge: &Judge,
    progress: &ProgressBar,
) -> anyhow::Result<SetReport> {
    let texts = set.texts();
    let start = Instant::now();
    let mut drafts = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        drafts.extend(judge.read(model, batch).await?);
        progress.inc(batch.len() as u64);
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut misses = Vec::new();
    let figures = match &set.rows {
        Rows::Sentiment(rows) => sentiment(rows, &drafts, &mut misses),
        Rows::Safety(rows) => safety(rows, &drafts, &mut misses),
        Rows::Topics(rows) => topics(rows, &drafts, &mut misses),
    };
    Ok(SetReport {
        name: set.name.clone(),
        posts: texts.len(),
        posts_per_second: texts.len() as f64 / seconds,
        tokens_per_post: ratio(drafts.iter().map(|draft| draft.tokens).sum(), texts.len()),
        figures,
        misses,
    })
}

fn sentiment(rows: &[(f64, String)], drafts: &[Draft], misses: &mut Vec<String>) -> Figures {
    let ratings: Vec<f64> = rows.iter().map(|(rating, _)| *rating).collect();
    let scores: Vec<f64> = drafts.iter().map(|draft| f64::from(draft.score)).collect();
    let class = |rating: f64| match rating {
        rating if rating > CLEAR => Polarity::Positive,
        rating if rating < -CLEAR => Polarity::Negative,
        _ => Polarity::Neutral,
    };
    let (mut clear, mut right) = (0, 0);
    let (mut pairs, mut sure) = (Vec::new(), Vec::new());
    for ((rating, text), draft) in rows.iter().zip(drafts) {
        let truth = class(*rating);
        pairs.push((truth as usize, draft.polarity as usize));
        sure.push((f64::from(draft.confidence), truth == draft.polarity));
        if truth != Polarity::Neutral {
            clear += 1;
            let agrees = (draft.score > 0.0) == (*rating > 0.0);
            right += usize::from(agrees);
            if !agrees {
                misses.push(format!(
                    "rated {rating:+.2}, score {:+.2}: {text}",
                    draft.score
                ));
            }
        }
    }
    let names = [Polarity::Positive, Polarity::Neutral, Polarity::Negative].map(Polarity::as_str);
    let confusion = Confusion::of(&names, pairs);
    Figures::Sentiment {
        pearson_r: pearson(&scores, &ratings),
        clear_posts: clear,
        clear_accuracy: ratio(right, clear),
        macro_f1: confusion.macro_f1(),
        calibration_error: calibration_error(&sure),
        confusion,
        called_dangerous: ratio(
            drafts.iter().filter(|draft| draft.is_dangerous()).count(),
            drafts.len(),
        ),
    }
}

fn safety(rows: &[(bool, String, String)], drafts: &[Draft], misses: &mut Vec<String>) -> Figures {
    let mut kinds: Vec<(String, usize, usize)> = Vec::new();
    let mut pairs = Vec::new();
    for ((harmful, kind, text), draft) in rows.iter().zip(drafts) {
        let (truth, answer) = (usize::from(*harmful), draft.safety as usize);
        pairs.push((truth, answer));
        if truth != answer {
            let word = draft.safety.as_str();
            misses.push(format!(
                "{kind}, called {word} ({:.2}): {text}",
                draft.danger
            ));
        }
        if *harmful {
            let place = kinds.iter().position(|(name, ..)| name == kind);
            let place = place.unwrap_or_else(|| {
                kinds.push((kind.clone(), 0, 0));
                kinds.len() - 1
            });
            kinds[place].1 += answer;
            kinds[place].2 += 1;
        }
    }
    let names = [Safety::Ok, Safety::Dangerous].map(Safety::as_str);
    let confusion = Confusion::of(&names, pairs);
    let kinds = kinds.into_iter();
    Figures::Safety {
        recall: confusion.recall(1),
        precision: confusion.precision(1),
        recall_by_kind: kinds
            .map(|(kind, found, all)| (kind, ratio(found, all)))
            .collect(),
        confusion,
    }
}

fn topics(rows: &[(Vec<String>, String)], drafts: &[Draft], misses: &mut Vec<String>) -> Figures {
    let (mut with, mut first, mut without, mut none) = (0, 0, 0, 0);
    let (mut both, mut wanted, mut given) = (0, 0, 0);
    for ((topics, text), draft) in rows.iter().zip(drafts) {
        let found = &draft.topics;
        both += found.iter().filter(|topic| topics.contains(topic)).count();
        wanted += topics.len();
        given += found.len();
        let right = match found.first() {
            Some(topic) => topics.contains(topic),
            None => topics.is_empty(),
        };
        let (all, hits) = match topics.is_empty() {
            true => (&mut without, &mut none),
            false => (&mut with, &mut first),
        };
        *all += 1;
        *hits += usize::from(right);
        if !right {
            misses.push(format!("{topics:?}, got {found:?}: {text}"));
        }
    }
    Figures::Topics {
        first_right: ratio(first, with),
        micro_f1: harmonic(ratio(both, given), ratio(both, wanted)),
        none_right: ratio(none, without),
    }
}
