//! What is measured in which order. The sides take turns within every round, so that a machine which grows warm or busy
//! does so for all of them. What only reads comes first: posts change the feed and with it the size of its answer.

use std::time::Duration;

use sqlx::Connection as _;

use super::{
    CompareArgs, What,
    bars::median,
    cell::{self, Cell, Model, Side, milliseconds},
    lab::Lab,
    pgbench,
};
use crate::{engine::Pace, progress::Clock, scenarios::Scenario};

/// How long users are there before anything is counted.
const WARMUP: Duration = Duration::from_secs(2);
/// Telling NGINX, and what else lies between two measurements.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long the stages from 10 to 2,000 users and their hold take, with a second between.
const STRESS: Duration = Duration::from_secs(271);
/// Connections that PostgreSQL keeps for its superuser, and a few to look at things with.
const SPARE: i64 = 15;
/// The load of the open model, as a share of what the closed model reached.
const HALF: f64 = 0.5;

/// What there is so far.
#[derive(Default)]
pub(super) struct Results {
    pub cells: Vec<Cell>,
    pub idle_mb: std::collections::BTreeMap<Side, f64>,
    pub notes: Vec<String>,
}

fn one(args: &CompareArgs) -> Duration {
    WARMUP + BETWEEN + Duration::from_secs(args.seconds)
}

fn opens(args: &CompareArgs) -> Vec<What> {
    let is_open = |what: &What| matches!(what, What::ReadFeed | What::Post);
    let wants_linnet = args.sides().contains(&Side::Linnet);
    args.scenarios
        .iter()
        .copied()
        .filter(is_open)
        .filter(|_| wants_linnet)
        .collect()
}

/// How long all of it takes.
fn total(args: &CompareArgs) -> Duration {
    let rounds = u32::try_from(args.rounds).unwrap_or(1);
    let sides = args.sides();
    let cells: usize = args
        .scenarios
        .iter()
        .map(|what| {
            sides
                .iter()
                .filter(|side| takes_part(**side, *what))
                .count()
                * args.connections.len()
        })
        .sum();
    let cells = u32::try_from(cells + opens(args).len()).unwrap_or(1);
    let stress = if args.stress {
        STRESS * u32::try_from(sides.len()).unwrap_or(1)
    } else {
        Duration::ZERO
    };
    one(args) * cells * rounds + stress
}

/// The bare limit of a mixture is nobody's.
fn takes_part(side: Side, what: What) -> bool {
    side != Side::Bare || what != What::Mixed
}

/// Everything that is asked for, into `results`.
pub(super) async fn measure(
    args: &CompareArgs,
    lab: &mut Lab,
    results: &mut Results,
) -> anyhow::Result<()> {
    let sides = args.sides();
    lab.up(args.posts, &sides).await?;
    results.idle_mb.clone_from(&lab.idle_mb);
    let ids = some_posts(lab).await?;
    let mut clock = Clock::new(total(args));
    let mut ordered = args.scenarios.clone();
    ordered.sort_by_key(|what| matches!(what, What::Post | What::Mixed));
    for what in ordered {
        if sides.contains(&Side::Bare) && matches!(what, What::ReadFeed | What::ReadOne) {
            let path = match what {
                What::ReadFeed => "/api/posts".to_owned(),
                _ => format!("/api/posts/{}", ids.first().copied().unwrap_or(1)),
            };
            lab.fix(&path).await?;
        }
        for connections in &args.connections {
            for round in 1..=usize::try_from(args.rounds)? {
                for side in sides.iter().filter(|side| takes_part(**side, what)) {
                    let name = side.name(what.name());
                    clock.says(&format!(
                        "{}, {connections} connections, round {round}: {name}",
                        what.name()
                    ));
                    let cell = Cell {
                        side: *side,
                        scenario: what.name().to_owned(),
                        round,
                        wanted: *connections,
                        connections: *connections,
                        ..Cell::empty()
                    };
                    let pace = Pace::hold(*connections, Duration::from_secs(args.seconds));
                    let cell = match (*side, what) {
                        (Side::Bare, What::Post) => bare_insert(args, lab, cell, results).await?,
                        _ => driven(lab, cell, what, &ids, &pace).await?,
                    };
                    say(&cell);
                    results.cells.push(cell);
                    clock.done(one(args));
                }
            }
        }
        if opens(args).contains(&what) {
            open(args, lab, what, &ids, &mut clock, results).await?;
        }
    }
    if args.stress {
        stress(lab, &sides, &mut clock, results).await?;
    }
    Ok(())
}

/// Users through NGINX.
async fn driven(
    lab: &mut Lab,
    cell: Cell,
    what: What,
    ids: &[i64],
    pace: &Pace,
) -> anyhow::Result<Cell> {
    lab.hand_to(cell.side).await?;
    let people = lab.people(cell.side);
    let scenario = match what {
        What::ReadFeed => Scenario::read_feed(),
        What::ReadOne => Scenario::read_one(ids.to_vec()),
        What::Post => Scenario::post(people),
        What::Mixed => Scenario::mixed_contract(people, ids.to_vec()),
    };
    cell::take(
        cell.clone(),
        lab.target()?,
        &scenario,
        pace,
        WARMUP,
        &lab.parts(cell.side),
    )
    .await
}

/// pgbench, with as many connections as PostgreSQL has left.
async fn bare_insert(
    args: &CompareArgs,
    lab: &Lab,
    cell: Cell,
    results: &mut Results,
) -> anyhow::Result<Cell> {
    let mut db = lab.database().await?;
    let free: i64 = sqlx::query_scalar(
        "SELECT current_setting('max_connections')::bigint - (SELECT count(*) FROM pg_stat_activity)",
    )
    .fetch_one(&mut db)
    .await?;
    let users: (i64, i64) = sqlx::query_as(
        "SELECT min(id), max(id) FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS run FROM users
         WHERE deleted_at IS NULL) u GROUP BY run ORDER BY count(*) DESC LIMIT 1",
    )
    .fetch_one(&mut db)
    .await?;
    db.close().await?;
    let clients = cell
        .wanted
        .min(usize::try_from(free - SPARE).unwrap_or(1).max(1));
    if clients < cell.wanted {
        let note = format!(
            "pgbench had {clients} connections where {} were asked for: PostgreSQL has no more",
            cell.wanted
        );
        if !results.notes.contains(&note) {
            results.notes.push(note);
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let bench = pgbench::Bench {
        url: &lab.database_url()?,
        programs: &lab.postgres_programs()?,
        folder: lab.data(),
        users,
        clients,
        // As many as the generator of the other sides has.
        threads: (cores / 2).clamp(1, clients),
        seconds: args.seconds,
    };
    let outcome = pgbench::run(&bench, &lab.database_parts()).await?;
    let quantile =
        |q: f64| milliseconds(Duration::from_micros(outcome.latency.value_at_quantile(q)));
    Ok(Cell {
        connections: clients,
        seconds: outcome.seconds,
        requests: outcome.requests,
        failures: outcome.failures,
        rate: outcome.requests as f64 / outcome.seconds,
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        cpu: outcome.cpu,
        ..cell
    })
}

/// Linnet at half of what it reached with the fewest connections: arrivals come when they come.
async fn open(
    args: &CompareArgs,
    lab: &mut Lab,
    what: What,
    ids: &[i64],
    clock: &mut Clock,
    results: &mut Results,
) -> anyhow::Result<()> {
    let fewest = args.connections.iter().copied().min().unwrap_or(64);
    let is_it = |cell: &&Cell| {
        cell.side == Side::Linnet
            && cell.model == Model::Closed
            && cell.scenario == what.name()
            && cell.wanted == fewest
    };
    let ceiling = median(results.cells.iter().filter(is_it).map(|cell| cell.rate));
    let rate = (ceiling * HALF).max(1.0).round();
    for round in 1..=usize::try_from(args.rounds)? {
        clock.says(&format!(
            "{}, open model at {rate:.0}/s, round {round}: linnet",
            what.name()
        ));
        let cell = Cell {
            scenario: what.name().to_owned(),
            model: Model::Open,
            round,
            wanted: fewest,
            connections: fewest,
            ..Cell::empty()
        };
        let pace = Pace::steady(rate, Duration::from_secs(args.seconds), 1_000);
        let cell = driven(lab, cell, what, ids, &pace).await?;
        say(&cell);
        results.cells.push(cell);
        clock.done(one(args));
    }
    Ok(())
}

/// From 10 to 2,000 users who read the feed, as the Node service's own test has it.
async fn stress(
    lab: &mut Lab,
    sides: &[Side],
    clock: &mut Clock,
    results: &mut Results,
) -> anyhow::Result<()> {
    if sides.contains(&Side::Bare) {
        lab.fix("/api/posts").await?;
    }
    for side in sides {
        clock.says(&format!(
            "stress to 2,000 users: {}",
            side.name("read-feed")
        ));
        let cell = Cell {
            side: *side,
            scenario: "stress".to_owned(),
            model: Model::Stress,
            wanted: 2_000,
            connections: 2_000,
            ..Cell::empty()
        };
        lab.hand_to(*side).await?;
        let pace = Pace::stress();
        let scenario = Scenario::read_feed();
        let cell = cell::take(
            cell,
            lab.target()?,
            &scenario,
            &pace,
            Duration::ZERO,
            &lab.parts(*side),
        )
        .await?;
        say(&cell);
        results.cells.push(cell);
        clock.done(STRESS);
    }
    Ok(())
}

/// A thousand posts from all over the table.
async fn some_posts(lab: &Lab) -> anyhow::Result<Vec<i64>> {
    let mut db = lab.database().await?;
    let ids = crate::stack::some_posts(&mut db).await?;
    db.close().await?;
    Ok(ids)
}

fn say(cell: &Cell) {
    eprintln!(
        "loadtest:   {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} failed",
        cell.rate, cell.p50_ms, cell.p99_ms, cell.failures
    );
    for failure in &cell.first_failures {
        eprintln!("loadtest:   {failure}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: CompareArgs,
    }

    #[test]
    fn the_whole_takes_as_long_as_its_parts() {
        let total_of =
            |words: &[&str]| total(&Cli::parse_from([&["compare"], words].concat()).args).as_secs();
        // 3 sides × 3 scenarios and 2 × mixed, at two numbers of connections, and two open ones, each three times.
        assert_eq!(total_of(&[]), (11 * 2 + 2) * 3 * 11);
        assert_eq!(
            total_of(&[
                "--scenarios",
                "mixed",
                "--only",
                "linnet,bare",
                "--connections",
                "8",
                "--rounds",
                "1"
            ]),
            11
        );
        assert_eq!(
            total_of(&[
                "--scenarios",
                "post",
                "--only",
                "pgbench",
                "--connections",
                "8",
                "--rounds",
                "1",
                "--stress"
            ]),
            11 + 271
        );
    }
}
