//! The one place that asks the model. It loads it, has it judge a first text, and then works until the queue is
//! closed: one task reads the texts that wait, several at a time, another writes, one thing at a time. They share the
//! machine's cores, so a person who has a post written slows the verdicts down but does not stop them.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    analyze::{Draft, Judge, JudgeSettings},
    generate::Author,
    metrics::Metrics,
    model::{About, Model, ModelError, Stop},
    queue::{Analysis, Failure, Queue, Reason, ToWrite, Writing},
    source::ModelSource,
};

/// What the service can do at the moment.
#[derive(Clone, Debug)]
pub enum Phase {
    /// The model is being loaded.
    Loading,
    /// The model answers.
    Ready(Answering),
    /// The service is about to end.
    Stopping,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct Answering {
    /// The model.
    pub about: About,
    /// The state of the prompts and labels, as in verdicts.
    pub prompt_version: String,
}

/// What the runner is told.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The models to try, in order.
    pub models: Vec<ModelSource>,
    /// Whether the weights for reading are to be f32.
    pub dense: bool,
    /// How to judge.
    pub judge: JudgeSettings,
    /// How many texts are read together at most.
    pub batch: usize,
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
    let runner = Arc::new(Runner::load(&orders, queue, metrics).await?);
    let answering = runner.answering();
    runner
        .metrics
        .name_model(&answering.about.name, &answering.prompt_version);
    let source = answering.about.source.clone();
    phase.send_replace(Phase::Ready(answering));
    source.log_checksums();
    let reading = tokio::spawn(Arc::clone(&runner).read(orders.batch));
    let writing = tokio::spawn(runner.write());
    // Whichever panics ends the service at once, rather than leaving half of it.
    tokio::try_join!(
        async { reading.await.context("the task that reads panicked") },
        async { writing.await.context("the task that writes panicked") },
    )?;
    Ok(())
}

/// The first model that can be loaded; why an earlier one could not is logged.
///
/// # Errors
/// When none can; the sentence says why, for each.
pub async fn load(models: &[ModelSource], dense: bool) -> anyhow::Result<Model> {
    let mut faults = Vec::new();
    for (place, source) in models.iter().enumerate() {
        let name = source.name();
        tracing::info!(llm.model = name, "loading the model {name}");
        match Model::load(source, dense).await {
            Ok(model) => {
                if place > 0 {
                    tracing::warn!(
                        llm.model = name,
                        "LLM_MODEL cannot be loaded; LLM_FALLBACK_MODEL {name} answers instead",
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
    async fn load(orders: &Orders, queue: Arc<Queue>, metrics: Metrics) -> anyhow::Result<Self> {
        let model = load(&orders.models, orders.dense).await?;
        let about = model.about().clone();
        let unsuited = || format!("the model {} does not suit the prompts", about.name);
        let start = Instant::now();
        let judge = Judge::new(&model, orders.judge.clone()).await;
        let author = Author::new(&model);
        let runner = Self {
            judge: judge.with_context(unsuited)?,
            author: author.with_context(unsuited)?,
            model,
            queue,
            metrics,
        };
        let prepared = start.elapsed();
        let first = Instant::now();
        let drafts = runner
            .judge
            .read(&runner.model, &["Good morning everyone!"])
            .await;
        let drafts = drafts
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
            llm.prepare_seconds = prepared.as_secs_f64(),
            llm.first_answer_seconds = first.elapsed().as_secs_f64(),
            llm.first_answer_tokens = drafts.iter().map(|draft| draft.tokens).sum::<usize>(),
            llm.prompt_version = runner.judge.prompt_version(),
            "the model {} runs",
            about.name
        );
        Ok(runner)
    }

    fn answering(&self) -> Answering {
        Answering {
            about: self.model.about().clone(),
            prompt_version: self.judge.prompt_version().to_owned(),
        }
    }

    /// Reads texts until the queue is closed, at most `batch` at a time. It never waits for more to come: who is
    /// there is read at once, and those who come meanwhile are read together next.
    async fn read(self: Arc<Self>, batch: usize) {
        while let Some(jobs) = self.queue.next_texts(batch).await {
            self.metrics.batch_size.observe(jobs.len() as f64);
            self.judge(jobs).await;
        }
    }

    async fn judge(&self, mut jobs: Vec<Analysis>) {
        let start = Instant::now();
        let in_flight: Vec<_> = jobs.iter().map(|_| InFlight::of(&self.metrics)).collect();
        jobs.iter_mut().for_each(Analysis::begin);
        let texts: Vec<&str> = jobs.iter().map(|job| job.ask.text.as_str()).collect();
        let together = i64::try_from(texts.len()).unwrap_or(i64::MAX);
        let reading = || tracing::debug_span!("llm.read", texts = together);
        let spans: Vec<_> = jobs.iter().map(|job| job.span(reading)).collect();
        let outcome = self.judge.read(&self.model, &texts).await;
        drop(spans);
        let per_text = start.elapsed().as_secs_f64() / jobs.len() as f64;
        // Before the answers: who has one must not find its request still counted.
        drop(in_flight);
        let drafts = match outcome {
            Ok(drafts) => drafts,
            Err(fault) => return refuse(jobs, &fault),
        };
        for (job, draft) in jobs.into_iter().zip(drafts) {
            self.metrics.verdict_seconds.observe(per_text);
            self.metrics.count_tokens(draft.tokens, 0);
            if job.ask.explain || draft.is_dangerous() {
                self.queue.explain(job.with(|text| (text, draft)));
            } else {
                let verdict = self.judge.verdict(&self.model, draft, String::new());
                job.finish(Ok(verdict));
            }
        }
    }

    /// Writes until the queue is closed.
    async fn write(self: Arc<Self>) {
        while let Some(next) = self.queue.next_to_write().await {
            let in_flight = InFlight::of(&self.metrics);
            match next {
                ToWrite::Reason(job) => self.explain(job, in_flight).await,
                ToWrite::Writing(Writing::Post(mut job)) => {
                    job.begin();
                    let span = job.span(|| tracing::debug_span!("llm.write"));
                    let (wish, stop) = (job.ask.clone(), Stop::default());
                    let work = self.author.write(&self.model, &self.judge, &wish, &stop);
                    let written = unless_abandoned(work, job.abandoned(), &stop).await;
                    drop(span);
                    if let Ok(written) = &written {
                        self.metrics
                            .count_tokens(written.prompt_tokens, written.completion_tokens);
                    }
                    drop(in_flight);
                    job.finish(written);
                }
                ToWrite::Writing(Writing::Chat(mut job)) => {
                    job.begin();
                    let span = job.span(|| tracing::debug_span!("llm.chat"));
                    let stop = Stop::default();
                    let (chat, pieces) = (job.ask.chat.clone(), job.ask.pieces.clone());
                    let work = self.model.chat(chat, &stop, &pieces);
                    let outcome = unless_abandoned(work, job.abandoned(), &stop).await;
                    drop(span);
                    drop(in_flight);
                    job.finish(outcome.map_err(Failure::from));
                }
            }
        }
    }

    async fn explain(&self, mut job: Reason, in_flight: InFlight) {
        let span = job.span(|| tracing::debug_span!("llm.explain"));
        let ((text, draft), stop) = (job.ask.clone(), Stop::default());
        let work = self.judge.reason(&self.model, &text.text, &draft, &stop);
        let outcome = unless_abandoned(work, job.abandoned(), &stop).await;
        drop(span);
        drop(in_flight);
        job.finish(match outcome {
            Ok(reason) => {
                let (read, wrote) = (reason.prompt_tokens, reason.completion_tokens);
                self.metrics.count_tokens(read, wrote);
                let tokens = draft.tokens + read + wrote;
                let draft = Draft { tokens, ..draft };
                Ok(self.judge.verdict(&self.model, draft, reason.text))
            }
            Err(cause) => {
                // A verdict without its reason is worth more than none; it can be asked for again.
                tracing::error!(%cause, "a verdict gets no reason");
                Ok(self.judge.verdict(&self.model, draft, String::new()))
            }
        });
    }
}

/// Tells everyone of a batch that the model failed, in the same words.
fn refuse(jobs: Vec<Analysis>, fault: &ModelError) {
    for job in jobs {
        job.finish(Err(ModelError::Engine(fault.to_string()).into()));
    }
}

/// Does the work to its end, which is near once nobody waits for it any more.
async fn unless_abandoned<T>(
    work: impl Future<Output = T>,
    abandoned: impl Future<Output = ()>,
    stop: &Stop,
) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        () = abandoned => stop.now(),
    }
    work.await
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
