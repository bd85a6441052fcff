//! The options of `loadtest run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::{
    engine::{Stage, duration, parse_stages},
    thresholds::Threshold,
};

/// What follows the options in the long help.
pub(crate) const EXAMPLES: &str = "\
Scenarios:
  read-feed       GET /api/posts
  read-one        GET /api/posts/:id, of the newest thousand
  post            POST /api/posts
  home            GET /api/home, by people who follow others
  mixed           90 % reads of home, feed and single posts, 8 % posts, 2 % likes and follows
  mixed-contract  the same with only the calls that the Node service has too
  signup-storm    signing up and logging in
  live            streams of events: --users listen, one writes; when does each hear of it?
  soak            mixed for an hour; memory and errors over time (give --prometheus)
  spike           mixed by 20 users, by 1,000 within 3 s, and by 20 again
  stress          read-feed by 10 users rising to 2,000 in four minutes, and 30 s of those

Two models. With --users or --stages each user asks again as soon as the answer is there (closed): that finds how much
the server can do, and flatters its latency, because a slow server is asked less often. With --rate or --rate-stages
people arrive whatever the server does (open), and latency counts from the moment each was due: judge p99 there.

Examples:
  How much can it do?
    loadtest run read-feed --users 64 --duration 30s
  How fast is it at half of that? Fail when it is not fast enough.
    loadtest run read-feed --rate 4000 --duration 1m --threshold 'p99<50ms' --threshold 'dropped<1'
  The stress test that users of the Node service know, ended when it breaks:
    loadtest run stress --abort-on-fail
  Rise, hold, fall; a report to look at; the server's own figures beside ours:
    loadtest run mixed --stages 50:10s,50:1m,0:10s --prometheus http://127.0.0.1:8082 --out report
  In CI: one line, and the exit status.
    loadtest run post --rate 100 --duration 20s --thresholds bars.toml --quiet --ci-line

A file of thresholds (TOML, or JSON of the same shape):
    thresholds = [\"p99<1s\", \"failures<1%\", \"dropped<1\", \"rate>500\"]
    [steps]
    post = [\"p99<200ms\"]

The exit status is 0 when all thresholds were met, 1 when one was missed, 2 when the run could not be made.
Start the stack without rate limits, or it refuses what a load test does: RATE_LIMITER=false make up";

/// What users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(
    missing_docs,
    reason = "each is explained in the help, where it is chosen"
)]
pub enum Kind {
    ReadFeed,
    ReadOne,
    Post,
    Home,
    Mixed,
    MixedContract,
    SignupStorm,
    Live,
    Soak,
    Spike,
    Stress,
}

impl Kind {
    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadFeed => "read-feed",
            Self::ReadOne => "read-one",
            Self::Post => "post",
            Self::Home => "home",
            Self::Mixed => "mixed",
            Self::MixedContract => "mixed-contract",
            Self::SignupStorm => "signup-storm",
            Self::Live => "live",
            Self::Soak => "soak",
            Self::Spike => "spike",
            Self::Stress => "stress",
        }
    }
}

/// Stages, as one value of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages(pub Vec<Stage>);

fn stages(text: &str) -> Result<Stages, String> {
    parse_stages(text)
        .map(Stages)
        .map_err(|error| format!("{error:#}"))
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn threshold(text: &str) -> Result<Threshold, String> {
    text.parse()
        .map_err(|error: anyhow::Error| format!("{error:#}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && *rate <= 1e7);
    rate.ok_or_else(|| "write a number of arrivals per second above 0".to_owned())
}

/// The options of `loadtest run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What the users do; see below
    #[arg(value_enum, hide_possible_values = true)]
    pub scenario: Kind,
    /// Where the requests go
    #[arg(
        long,
        env = "BASE_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub base_url: String,
    /// Allow a host that is not this machine. A load test of somebody else's host is an attack on it
    #[arg(long)]
    pub i_own_this_host: bool,

    /// Closed model: so many users, for --duration
    #[arg(long, value_name = "N", help_heading = "Pace", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: Option<u32>,
    /// How long: 30s, 5m, 1h30m. Each scenario has a default
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = time)]
    pub duration: Option<Duration>,
    /// Closed model: users rise or fall to each level in its time, such as 10:10s,20:20s
    #[arg(long, value_name = "STAGES", help_heading = "Pace", value_parser = stages, conflicts_with_all = ["users", "duration"])]
    pub stages: Option<Stages>,
    /// Open model: so many arrivals per second, for --duration
    #[arg(long, value_name = "N", help_heading = "Pace", value_parser = rate, conflicts_with_all = ["users", "stages"])]
    pub rate: Option<f64>,
    /// Open model: arrivals per second in stages, such as 100:10s,500:1m
    #[arg(long, value_name = "STAGES", help_heading = "Pace", value_parser = stages, conflicts_with_all = ["users", "stages", "rate", "duration"])]
    pub rate_stages: Option<Stages>,
    /// Open model: the most users at once; who arrives and finds all of them busy is dropped, and counted. By default as
    /// many as arrive in a second
    #[arg(long, value_name = "N", help_heading = "Pace", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_users: Option<u32>,
    /// Closed model: how long a user pauses after an answer; each pause is between a half and one and a half of it
    #[arg(long, value_name = "TIME", help_heading = "Pace", value_parser = time)]
    pub think: Option<Duration>,
    /// How long users are there before anything is counted
    #[arg(long, value_name = "TIME", default_value = "0s", help_heading = "Pace", value_parser = time)]
    pub warmup: Duration,
    /// How long an answer may take before it counts as failed
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Pace", value_parser = time)]
    pub timeout: Duration,
    /// Threads of the generator; 0 takes half the cores
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Pace")]
    pub threads: usize,

    /// How many accounts the users have between them; they are signed up before the run
    #[arg(long, value_name = "N", help_heading = "People", value_parser = clap::value_parser!(u32).range(1..))]
    pub accounts: Option<u32>,
    /// Where the accounts are kept for the next run. By default in the user's cache folder
    #[arg(long, value_name = "FILE", help_heading = "People")]
    pub state: Option<PathBuf>,

    /// What has to be reached, such as p99<1s, failures<1%, rate>500 or post:p99<200ms; repeated, all of them
    #[arg(long, value_name = "THRESHOLD", help_heading = "Judgement", value_parser = threshold)]
    pub threshold: Vec<Threshold>,
    /// A file of them
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub thresholds: Option<PathBuf>,
    /// End the run as soon as a threshold is missed
    #[arg(long, help_heading = "Judgement")]
    pub abort_on_fail: bool,

    /// Prometheus' address: the server's own figures are shown and reported beside ours
    #[arg(
        long,
        env = "PROMETHEUS_URL",
        value_name = "URL",
        help_heading = "Report"
    )]
    pub prometheus: Option<String>,
    /// Grafana's address: beginning, end and verdict are marked in its charts
    #[arg(long, env = "GRAFANA_URL", value_name = "URL", help_heading = "Report")]
    pub grafana: Option<String>,
    /// A file that holds Grafana's token; without it the variable GRAFANA_TOKEN does
    #[arg(
        long,
        env = "GRAFANA_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Report"
    )]
    pub grafana_token_file: Option<PathBuf>,
    /// Write report.html and report.json into this folder
    #[arg(long, value_name = "FOLDER", help_heading = "Report")]
    pub out: Option<PathBuf>,
    /// Show no progress
    #[arg(long, help_heading = "Report")]
    pub quiet: bool,
    /// Print the result as one line
    #[arg(long, help_heading = "Report")]
    pub ci_line: bool,
}
