//! The one place that asks the model. It loads it, has it judge a first text, and then takes work from the queue,
//! one text at a time, until the queue is closed.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    analyze::{self, Judge, Verdict},
    generate::Author,
    metrics::Metrics,
    model::{About, Model},
    queue::{Analysis, Failure, Queue, Work, Writing},
    source::ModelSource,
};

/// What the service can do at the moment.
#[derive(Clone, Debug)]
pub enum Phase {
    /// The model is being loaded.
    Loading,
    /// The model answers.
    Ready(About),
    /// The service is about to end.
    Stopping,
}

/// What the runner is told.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The models to try, in order.
    pub models: Vec<ModelSource>,
    /// Whether the weights are to be f32.
    pub dense: bool,
    /// From which probability a text is dangerous.
    pub safety_threshold: f32,
}

/// Loads the model, then works until the queue is closed.
///
/// # Errors
/// When no model can be loaded, or the one that was cannot judge a first text.
pub async fn run(
    orders: Orders,
    queue: Arc<Queue>,
    phase: watch::Sender<Phase>,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let model = load(&orders).await?;
    let about = model.about().clone();
    let mut runner = Runner {
        judge: Judge::new(&model, orders.safety_threshold)
            .await
            .with_context(|| format!("the model {} does not suit the prompts", about.name))?,
        author: Author::new(&model)
            .with_context(|| format!("the model {} does not suit the prompts", about.name))?,
        model,
        queue,
        metrics,
    };
    let first = Instant::now();
    let verdict = runner
        .judge("Good morning everyone!")
        .await
        .with_context(|| format!("the model {} was loaded but does not answer", about.name))?;
    tracing::info!(
        llm.model = about.name,
        llm.bytes = about.bytes,
        llm.weights = if about.dense {
            "dense f32"
        } else {
            "quantized"
        },
        llm.load_seconds = about.load.as_secs_f64(),
        llm.first_answer_seconds = first.elapsed().as_secs_f64(),
        llm.first_answer_tokens = verdict.tokens,
        llm.prompt_version = analyze::PROMPT_VERSION,
        "the model {} runs",
        about.name
    );
    runner
        .metrics
        .name_model(&about.name, analyze::PROMPT_VERSION);
    phase.send_replace(Phase::Ready(about));
    while let Some(work) = runner.queue.next().await {
        match work {
            Work::Analysis(job) => runner.analyze(job).await,
            Work::Writing(job) => runner.write(job).await,
        }
    }
    Ok(())
}

/// The first model that can be loaded; why an earlier one could not is logged.
async fn load(orders: &Orders) -> anyhow::Result<Model> {
    let mut faults = Vec::new();
    for (place, source) in orders.models.iter().enumerate() {
        tracing::info!(
            llm.model = source.name(),
            "loading the model {}",
            source.name()
        );
        match Model::load(source, orders.dense).await {
            Ok(model) => {
                if place > 0 {
                    tracing::warn!(
                        llm.model = source.name(),
                        "LLM_MODEL cannot be loaded; LLM_FALLBACK_MODEL {} answers instead",
                        source.name()
                    );
                }
                return Ok(model);
            }
            Err(fault) => {
                tracing::warn!("{fault}");
                faults.push(fault.to_string());
            }
        }
    }
    anyhow::bail!("no model can be loaded: {}", faults.join("; "))
}

struct Runner {
    model: Model,
    judge: Judge,
    author: Author,
    queue: Arc<Queue>,
    metrics: Metrics,
}

impl Runner {
    /// One verdict, measured.
    async fn judge(&mut self, text: &str) -> Result<Verdict, Failure> {
        let start = Instant::now();
        let judged = self.judge.verdict(&self.model, text).await?;
        self.metrics
            .verdict_seconds
            .observe(start.elapsed().as_secs_f64());
        self.metrics
            .count_tokens(judged.cost.prompt_tokens, judged.cost.completion_tokens);
        Ok(judged.verdict)
    }

    /// Judges the texts of a job in order. A caller that goes away ends it; posts to write go between two texts.
    async fn analyze(&mut self, mut job: Analysis) {
        job.begin();
        let in_flight = InFlight::of(&self.metrics);
        self.metrics.batch_size.observe(job.ask.len() as f64);
        let mut verdicts = Vec::with_capacity(job.ask.len());
        for (place, text) in std::mem::take(&mut job.ask).iter().enumerate() {
            if place > 0
                && let Some(writing) = self.queue.next_writing()
            {
                self.write(writing).await;
            }
            if !job.is_wanted() {
                tracing::debug!(
                    llm.texts_left_out = verdicts.len(),
                    "a caller has gone away"
                );
                return;
            }
            match self.judge(text).await {
                Ok(verdict) => verdicts.push(verdict),
                Err(fault) => return job.finish(Err(fault)),
            }
        }
        // Before the answer: who has it must not find its request still counted.
        drop(in_flight);
        job.finish(Ok(verdicts));
    }

    async fn write(&mut self, mut job: Writing) {
        job.begin();
        let in_flight = InFlight::of(&self.metrics);
        let written = self.author.write(&self.model, &job.ask).await;
        if let Ok(written) = &written {
            self.metrics
                .count_tokens(written.prompt_tokens, written.completion_tokens);
        }
        drop(in_flight);
        job.finish(written);
    }
}

/// Counts a request as being worked on for as long as it lives.
struct InFlight(prometheus::IntGauge);

impl InFlight {
    fn of(metrics: &Metrics) -> Self {
        let gauge = metrics.in_flight.clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
