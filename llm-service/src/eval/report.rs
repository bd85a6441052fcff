//! What a comparison found, as JSON and as text for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::measures::Confusion;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Short name of the model.
    pub model: String,
    /// State of the prompts and labels.
    pub prompt_version: String,
    /// What the program was compiled for.
    pub build: String,
    /// Whether the weights for reading are f32.
    pub dense: bool,
    /// Seconds that loading and preparing took.
    pub load_seconds: f64,
    /// Each set's figures.
    pub sets: Vec<SetReport>,
}

/// The figures of one set.
#[derive(Clone, Debug, Serialize)]
pub struct SetReport {
    /// Where the set is from.
    pub name: String,
    /// Posts in it.
    pub posts: usize,
    /// Posts judged per second, eight at a time.
    pub posts_per_second: f64,
    /// Tokens that went through the model per post.
    pub tokens_per_post: f64,
    /// What was compared.
    #[serde(flatten)]
    pub figures: Figures,
    /// What was judged otherwise, if it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<String>,
}

/// The comparison, by the kind of the set.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Figures {
    /// Scores against mean ratings.
    Sentiment {
        /// Pearson's correlation of score and mean rating.
        pearson_r: f64,
        /// Posts whose mean rating lies beyond ±0.5.
        clear_posts: usize,
        /// Share of them whose score has the rating's sign.
        clear_accuracy: f64,
        /// Mean of the three classes' F1.
        macro_f1: f64,
        /// Expected calibration error of the confidence.
        calibration_error: f64,
        /// The three classes.
        confusion: Confusion,
        /// Share of the posts that are called dangerous: false alarms, in a set of everyday posts.
        called_dangerous: f64,
    },
    /// Harmful and harmless posts.
    Safety {
        /// Share of the harmful posts called dangerous.
        recall: f64,
        /// Share of those called dangerous that are harmful.
        precision: f64,
        /// Share of the harmful posts of each kind that are called dangerous.
        recall_by_kind: Vec<(String, f64)>,
        /// The two classes.
        confusion: Confusion,
    },
    /// Topics.
    Topics {
        /// Share of the posts with a topic whose first topic is one of theirs.
        first_right: f64,
        /// F1 over all (post, topic) pairs.
        micro_f1: f64,
        /// Share of the posts without a topic that got none.
        none_right: f64,
    },
}

impl Report {
    /// The report for people.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let report = self;
        let mut out = String::new();
        let weights = if report.dense {
            "dense f32"
        } else {
            "quantized"
        };
        writeln!(
            out,
            "model {}, prompts {}, weights {weights}, build {}, ready after {:.1} s",
            report.model, report.prompt_version, report.build, report.load_seconds
        )?;
        for set in &report.sets {
            writeln!(
                out,
                "\n{}: {} posts, {:.1} posts/s, {:.0} tokens a post",
                set.name, set.posts, set.posts_per_second, set.tokens_per_post
            )?;
            match &set.figures {
                Figures::Sentiment {
                    pearson_r,
                    clear_posts,
                    clear_accuracy,
                    macro_f1,
                    calibration_error,
                    confusion,
                    called_dangerous,
                } => {
                    writeln!(out, "  Pearson r of score and mean rating   {pearson_r:.3}")?;
                    writeln!(
                        out,
                        "  sign right on {clear_posts} clear posts        {:.1} %",
                        clear_accuracy * 100.0
                    )?;
                    writeln!(out, "  macro-F1 of three classes            {macro_f1:.3}")?;
                    writeln!(
                        out,
                        "  calibration error of confidence      {calibration_error:.3}"
                    )?;
                    writeln!(
                        out,
                        "  called dangerous                     {:.1} %",
                        called_dangerous * 100.0
                    )?;
                    table(&mut out, confusion)?;
                }
                Figures::Safety {
                    recall,
                    precision,
                    recall_by_kind,
                    confusion,
                } => {
                    writeln!(out, "  recall {recall:.3} at precision {precision:.3}")?;
                    for (kind, recall) in recall_by_kind {
                        writeln!(out, "    {kind:12} {recall:.2}")?;
                    }
                    table(&mut out, confusion)?;
                }
                Figures::Topics {
                    first_right,
                    micro_f1,
                    none_right,
                } => {
                    writeln!(
                        out,
                        "  first topic right                    {first_right:.3}"
                    )?;
                    writeln!(out, "  micro-F1                             {micro_f1:.3}")?;
                    writeln!(
                        out,
                        "  left without topic where none fits   {none_right:.3}"
                    )?;
                }
            }
            for miss in &set.misses {
                writeln!(out, "  ✗ {miss}")?;
            }
        }
        Ok(out)
    }
}

fn table(out: &mut String, confusion: &Confusion) -> std::fmt::Result {
    write!(out, "  {:>12}", "truth\\answer")?;
    for class in &confusion.classes {
        write!(out, "{class:>11}")?;
    }
    writeln!(out)?;
    for (class, counts) in confusion.classes.iter().zip(&confusion.counts) {
        write!(out, "  {class:>12}")?;
        for count in counts {
            write!(out, "{count:>11}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
