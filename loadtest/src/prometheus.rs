//! The server's own figures, asked of Prometheus while a run goes on. A Prometheus that does not answer costs figures and
//! never the run.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::engine::{Call, Connection, Keep, Target};

/// Prometheus itself scrapes every five seconds.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);

const RATE: &str = r#"sum(rate(http_requests_total{job="api"}[20s]))"#;
const P99: &str = r#"1000 * histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[20s])))"#;
const QUEUE: &str = r#"sum(max by (queue) (job_queue_depth{state="pending"}))"#;
const CORES: &str =
    r#"sum by (instance) (rate(process_cpu_seconds_total{job=~"api|worker"}[20s]))"#;
const MEMORY: &str =
    r#"max by (instance) (process_resident_memory_bytes{job=~"api|worker"}) / 1e6"#;

/// What the server said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_s: f64,
    /// Requests per second of all API replicas.
    pub rate: Option<f64>,
    /// 99th percentile inside the API.
    pub p99_ms: Option<f64>,
    /// Posts that wait for the model.
    pub queue: Option<f64>,
    /// API replicas and workers.
    pub replicas: Vec<Replica>,
}

/// One process of the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name, such as api-00.
    pub name: String,
    /// Cores it keeps busy.
    pub cores: Option<f64>,
    /// Resident memory.
    pub memory_mb: Option<f64>,
}

/// The samples of a run, growing.
pub type Samples = Arc<Mutex<Vec<Sample>>>;

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Metric,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default)]
    instance: String,
}

/// Asks Prometheus.
pub struct Prometheus {
    target: Target,
    connection: Connection,
}

impl Prometheus {
    /// At this address, which need not be this machine: it is only read.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(url: &str) -> Result<Self> {
        let target = Target::parse(url, true)?;
        Ok(Self {
            connection: Connection::new(target.clone(), PATIENCE),
            target,
        })
    }

    async fn query(&mut self, expression: &str) -> Result<Vec<(String, f64)>> {
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let uri = self.target.uri(&format!("/api/v1/query?query={query}"))?;
        let answer = self.connection.call(Call::get(uri), Keep::All).await?;
        if answer.status != StatusCode::OK {
            bail!("Prometheus answered with status {}", answer.status.as_u16());
        }
        let Answer { data } =
            serde_json::from_slice(&answer.body).context("this is no answer of Prometheus")?;
        let values = data.result.into_iter().filter_map(|series| {
            let value: f64 = series.value.1.parse().ok()?;
            value.is_finite().then_some((series.metric.instance, value))
        });
        Ok(values.collect())
    }

    /// What the server's figures are now; what there is no figure of is left out.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn sample(&mut self) -> Result<Sample> {
        let one = |values: Vec<(String, f64)>| values.first().map(|(_, value)| *value);
        let mut sample = Sample {
            rate: one(self.query(RATE).await?),
            p99_ms: one(self.query(P99).await?),
            queue: one(self.query(QUEUE).await?),
            ..Sample::default()
        };
        for (name, memory) in self.query(MEMORY).await? {
            sample.replicas.push(Replica {
                name,
                memory_mb: Some(memory),
                cores: None,
            });
        }
        for (name, cores) in self.query(CORES).await? {
            match sample
                .replicas
                .iter_mut()
                .find(|replica| replica.name == name)
            {
                Some(replica) => replica.cores = Some(cores),
                None => sample.replicas.push(Replica {
                    name,
                    cores: Some(cores),
                    memory_mb: None,
                }),
            }
        }
        sample.replicas.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(sample)
    }

    /// Adds a sample every few seconds until `stop`.
    pub async fn watch(mut self, samples: Samples, stop: CancellationToken) {
        let begin = Instant::now();
        let mut every = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            if let Ok(mut sample) = self.sample().await {
                sample.at_s = (begin.elapsed().as_secs_f64() * 10.0).round() / 10.0;
                samples
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sample);
            }
        }
    }
}
