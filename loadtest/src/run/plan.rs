//! What a scenario of the command line means: its pace, its people and posts, and what it has to reach when nothing else
//! is said.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::options::{Kind, RunArgs};
use crate::{
    accounts::{self, Account},
    engine::{Options, Pace, Stage, Target, drive},
    scenarios::{Scenario, follow_first, recent_posts},
    thresholds::{self, Threshold},
};

/// Posts that single reads are spread over.
const POSTS: usize = 1000;
/// Fewer than this are no spread; some are written first.
const FEW: usize = 50;
/// Whom each account follows before home timelines are read.
const FOLLOWS: usize = 10;

/// The pace that was asked for, or the scenario's own.
///
/// # Errors
/// When options do not go together.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are at least 0 and at most 10,000,000"
)]
pub fn pace(args: &RunArgs) -> Result<Pace> {
    let open = |stages: Vec<Stage>| {
        let highest = stages
            .iter()
            .map(|stage| stage.to.ceil() as usize)
            .max()
            .unwrap_or(0);
        let max_users = args
            .max_users
            .map_or_else(|| highest.clamp(10, 10_000), |users| users as usize);
        Pace::Open { stages, max_users }
    };
    let second = Duration::from_secs(1);
    let length = args.duration.unwrap_or(match args.scenario {
        Kind::Soak => 3600 * second,
        Kind::Live => 60 * second,
        _ => 30 * second,
    });
    if length.is_zero() {
        bail!("--duration 0s measures nothing: give it some seconds");
    }
    if args.scenario == Kind::Live && (args.rate.is_some() || args.rate_stages.is_some()) {
        bail!("live has listeners who stay, and no arrivals: give --users or --stages");
    }
    if let Some(stages) = &args.rate_stages {
        return Ok(open(stages.0.clone()));
    }
    if let Some(rate) = args.rate {
        return Ok(open(vec![
            Stage::new(rate, Duration::ZERO),
            Stage::new(rate, length),
        ]));
    }
    if args.max_users.is_some() {
        bail!(
            "--max-users belongs to the open model: give --rate or --rate-stages too, or use --users"
        );
    }
    if let Some(stages) = &args.stages {
        return Ok(Pace::Closed(stages.0.clone()));
    }
    let users = args.users.map(|users| users as usize);
    Ok(match args.scenario {
        Kind::Stress | Kind::Spike if users.is_some() || args.duration.is_some() => {
            bail!(
                "{} has stages of its own: give others with --stages, or leave them",
                args.scenario.name()
            )
        }
        Kind::Stress => Pace::stress(),
        Kind::Spike => {
            let stages = [
                (20.0, 0),
                (20.0, 20),
                (1000.0, 3),
                (1000.0, 30),
                (20.0, 3),
                (20.0, 30),
            ];
            Pace::Closed(
                stages
                    .map(|(to, over)| Stage::new(to, over * second))
                    .to_vec(),
            )
        }
        // The listeners, who come within the first quarter, and user 0, who writes.
        Kind::Live => {
            let to = f64::from(args.users.unwrap_or(200)) + 1.0;
            let coming = (length / 4).min(20 * second);
            Pace::Closed(vec![
                Stage::new(to, coming),
                Stage::new(to, length - coming),
            ])
        }
        Kind::SignupStorm => Pace::hold(users.unwrap_or(10), length),
        _ => Pace::hold(users.unwrap_or(50), length),
    })
}

/// The pause of a user.
#[must_use]
pub fn think(args: &RunArgs) -> Duration {
    args.think.unwrap_or(match args.scenario {
        // An hour at the limit would only say what the limit is.
        Kind::Soak => Duration::from_millis(500),
        _ => Duration::ZERO,
    })
}

/// The thresholds that were given; the stress test has two of its own otherwise.
///
/// # Errors
/// When the file of thresholds is not understood.
pub fn judged_by(args: &RunArgs) -> Result<Vec<Threshold>> {
    let mut all = args.threshold.clone();
    if let Some(file) = &args.thresholds {
        all.extend(thresholds::read(file)?);
    }
    if all.is_empty() && args.scenario == Kind::Stress {
        all = vec!["failures<1%".parse()?, "p99<1s".parse()?];
    }
    if all.is_empty() && args.abort_on_fail {
        bail!(
            "--abort-on-fail needs something to fail: give --threshold, such as --threshold 'failures<1%'"
        );
    }
    Ok(all)
}

/// Signs up who is needed, has them follow one another where that matters, and finds posts to read.
///
/// # Errors
/// When the server refuses.
pub async fn prepare(args: &RunArgs, target: &Target, pace: &Pace) -> Result<Scenario> {
    let needed = match args.scenario {
        Kind::ReadFeed | Kind::Stress | Kind::SignupStorm => 0,
        Kind::ReadOne => 1,
        Kind::Live => Scenario::accounts_for_live(pace.most_users().saturating_sub(1)),
        _ => args.accounts.map_or(100, |accounts| accounts as usize),
    };
    if args.scenario == Kind::Live && pace.most_users() < 2 {
        bail!(
            "live needs somebody who listens beside the one who writes: give --stages a level of at least 2"
        );
    }
    let people = if needed == 0 {
        Vec::new()
    } else {
        let file = args.state.clone().map_or_else(default_state, Ok)?;
        accounts::join(target, needed, Some(&file)).await?
    };
    match args.scenario {
        Kind::Home | Kind::Mixed | Kind::Soak | Kind::Spike => {
            accounts::befriend(target, &people, FOLLOWS).await?
        }
        Kind::Live => follow_first(target, &people).await?,
        _ => {}
    }
    let scenario = match args.scenario {
        Kind::ReadFeed | Kind::Stress => Scenario::read_feed(),
        Kind::ReadOne => Scenario::read_one(posts(target, &people).await?),
        Kind::Post => Scenario::post(&people),
        Kind::Home => Scenario::home(&people),
        Kind::Mixed | Kind::Soak | Kind::Spike => {
            Scenario::mixed(&people, posts(target, &people).await?)
        }
        Kind::MixedContract => Scenario::mixed_contract(&people, posts(target, &people).await?),
        Kind::SignupStorm => Scenario::signup_storm(),
        Kind::Live => Scenario::live(&people),
    };
    scenario.check()?;
    Ok(scenario)
}

/// The newest posts; on an empty server some are written first.
async fn posts(target: &Target, people: &[Account]) -> Result<Vec<i64>> {
    let found = recent_posts(target, POSTS).await?;
    if found.len() >= FEW {
        return Ok(found);
    }
    let pace = Pace::steady(100.0, Duration::from_secs(1), 4);
    drive(
        target,
        &Scenario::post(people),
        &pace,
        &Options::default(),
        &(),
    )
    .await?;
    recent_posts(target, POSTS).await
}

/// Where accounts are kept when nothing else is said.
fn default_state() -> Result<PathBuf> {
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let folder = folder.context(
        "neither HOME nor XDG_CACHE_HOME is set: say with --state where accounts are kept",
    )?;
    Ok(folder.join("linnet").join("loadtest-accounts.json"))
}
