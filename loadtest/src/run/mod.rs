//! `loadtest run`: one scenario, watched, judged and reported.

mod advice;
mod options;
mod plan;

use std::{io::Write as _, path::Path, process::ExitCode, sync::PoisonError, time::Duration};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) use self::options::EXAMPLES;
pub use self::options::{Kind, RunArgs, Stages};
use crate::{
    accounts,
    engine::{Measured, Options, Pace, Target, drive, duration, format_stages},
    grafana::Grafana,
    prometheus::{Prometheus, Samples},
    report::{About, Run, ci_line, milliseconds, number, page_of, to_f64},
    thresholds::Verdict,
    view::View,
};

/// Does what `loadtest run` was asked for.
///
/// # Errors
/// When the run could not be made.
pub async fn execute(args: RunArgs) -> Result<ExitCode> {
    let target = Target::parse(&args.base_url, args.i_own_this_host)?;
    let pace = plan::pace(&args)?;
    let judged_by = plan::judged_by(&args)?;
    let prometheus = args
        .prometheus
        .as_deref()
        .map(Prometheus::new)
        .transpose()
        .context("--prometheus")?;
    let grafana = grafana(&args)?;
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let stop = CancellationToken::new();
    end_on_signals(&stop)?;

    let say = |text: &str| {
        if !args.quiet {
            eprintln!("{text}");
        }
    };
    let preparing = async {
        accounts::reach(&target, Duration::from_secs(10)).await?;
        say("preparing people and posts …");
        plan::prepare(&args, &target, &pace).await
    };
    let scenario = tokio::select! {
        scenario = preparing => scenario?,
        () = stop.cancelled() => anyhow::bail!("stopped before anything was measured"),
    };

    let about = about(&args, &target, &pace);
    let title = format!(
        "{} · {} · {} model {}",
        about.name, about.base_url, about.model, about.stages
    );
    if args.scenario == Kind::Soak && prometheus.is_none() {
        say("note: without --prometheus a soak tells nothing of the server's memory");
    }
    mark(
        grafana.as_ref(),
        &format!("load test begins: {title}"),
        &[&about.name, "begin"],
    )
    .await;
    let samples = Samples::default();
    let asking =
        prometheus.map(|prometheus| tokio::spawn(prometheus.watch(samples.clone(), stop.clone())));
    let aborting = if args.abort_on_fail {
        judged_by.clone()
    } else {
        Vec::new()
    };
    let view = View::new(
        title,
        pace.duration(),
        args.quiet,
        samples.clone(),
        aborting,
    );
    let options = Options {
        threads: args.threads,
        timeout: args.timeout,
        warmup: args.warmup,
        think: plan::think(&args),
        stop: stop.clone(),
    };
    let driven = drive(&target, &scenario, &pace, &options, &view).await;
    view.end();
    stop.cancel();
    if let Some(asking) = asking {
        let _ended = asking.await;
    }
    let measured = driven?;

    let verdicts: Vec<Verdict> = judged_by
        .iter()
        .map(|threshold| threshold.judge(&measured))
        .collect();
    let met = verdicts.iter().all(|verdict| verdict.met);
    let server = std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner));
    let run = Run::new(about, &measured, &verdicts, server);
    let line = ci_line(&run);
    mark(
        grafana.as_ref(),
        &line,
        &[&run.name, if met { "ok" } else { "missed" }],
    )
    .await;
    let mut text = if args.ci_line {
        line + "\n"
    } else {
        summary(&run, &measured)
    };
    if let Some(threshold) = view.aborted() {
        say(&format!("ended early: {threshold} was missed"));
    }
    if !args.ci_line {
        for advice in advice::of(&measured.reasons, &target.address().to_string()) {
            text += &format!("note: {advice}\n");
        }
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("the result cannot be printed")?;
    if let Some(folder) = &args.out {
        write(folder, &run)?;
        say(&format!(
            "written: {0}/report.html and {0}/report.json",
            folder.display()
        ));
    }
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a harness has no clock to set; it notes when it ran"
)]
fn about(args: &RunArgs, target: &Target, pace: &Pace) -> About {
    let stages = format_stages(pace.stages());
    let (model, stages) = match pace {
        Pace::Closed(_) => ("closed", stages),
        Pace::Open { .. } => ("open", stages),
    };
    About {
        name: args.scenario.name().to_owned(),
        base_url: target.url().to_owned(),
        started: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        model: model.to_owned(),
        stages,
    }
}

fn grafana(args: &RunArgs) -> Result<Option<Grafana>> {
    let Some(url) = &args.grafana else {
        return Ok(None);
    };
    let token = match &args.grafana_token_file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None => std::env::var("GRAFANA_TOKEN").context(
            "--grafana needs a token to write annotations with: set GRAFANA_TOKEN, or give --grafana-token-file",
        )?,
    };
    Grafana::new(url, &token).map(Some).context("--grafana")
}

/// An annotation that cannot be written costs a line, not the run.
async fn mark(grafana: Option<&Grafana>, text: &str, tags: &[&str]) {
    if let Some(grafana) = grafana
        && let Err(error) = grafana.annotate(text, tags).await
    {
        eprintln!("warning: {error:#}");
    }
}

/// The first Ctrl-C (or SIGTERM) ends the run and reports it; the second ends the program.
fn end_on_signals(stop: &CancellationToken) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be listened to")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be listened to")?;
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        stop.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(())
}

fn write(folder: &Path, run: &Run) -> Result<()> {
    let runs = [(run.name.clone(), run.clone())];
    for (name, text) in [
        ("report.json", run.to_json()?),
        ("report.html", page_of(&runs).html()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// What is printed at the end.
fn summary(run: &Run, measured: &Measured) -> String {
    let ms = |name: &str| milliseconds(run.latency_ms.get(name).copied().unwrap_or(0.0));
    let mut text = format!(
        "\n{} requests in {} ({}/s), {} failed ({:.3} %){}\nlatency: p50 {}, p90 {}, p99 {}, p99.9 {}, max {}{}\n",
        number(to_f64(run.requests)),
        duration::format(Duration::from_millis(
            measured.elapsed.as_millis().try_into().unwrap_or(u64::MAX)
        )),
        number(run.rate),
        number(to_f64(run.failures)),
        measured.failure_share() * 100.0,
        if run.model == "open" {
            format!(", {} arrivals dropped", number(to_f64(run.dropped)))
        } else {
            String::new()
        },
        ms("p50"),
        ms("p90"),
        ms("p99"),
        ms("p99.9"),
        ms("max"),
        if run.stopped {
            "  (stopped before the end)"
        } else {
            ""
        },
    );
    if run.steps.len() > 1 || run.name == "live" {
        for step in &run.steps {
            let of = |name: &str| milliseconds(step.latency_ms.get(name).copied().unwrap_or(0.0));
            text += &format!(
                "  {:<10} {:>9}  failed {:>6}  p50 {:>9}  p99 {:>9}  max {:>9}\n",
                step.name,
                number(to_f64(step.requests)),
                number(to_f64(step.failures)),
                of("p50"),
                of("p99"),
                of("max")
            );
        }
    }
    if let (Some(first), Some(last)) = (run.server.first(), run.server.last()) {
        for replica in &last.replicas {
            let before = first
                .replicas
                .iter()
                .find(|earlier| earlier.name == replica.name);
            if let (Some(before), Some(after)) = (
                before.and_then(|replica| replica.memory_mb),
                replica.memory_mb,
            ) {
                text += &format!(
                    "memory of {}: {before:.1} MB at first, {after:.1} MB at last\n",
                    replica.name
                );
            }
        }
    }
    for (reason, times) in &run.reasons {
        text += &format!("failed {times} times: {reason}\n");
    }
    for failure in run.first_failures.iter().take(5) {
        text += &format!("  e.g. {failure}\n");
    }
    text += &format!(
        "generator: {} thread(s), {:.1} CPU seconds; its busiest computed {:.0} % and waited for a core {:.0} % of the time\n",
        run.generator.threads,
        run.generator.cpu_s,
        run.generator.busy * 100.0,
        run.generator.waiting * 100.0
    );
    if let Some(warning) = &run.generator.warning {
        text += &format!("warning: {warning}\n");
    }
    for row in &run.thresholds {
        let verdict = if row.met { "met   " } else { "MISSED" };
        text += &format!("{verdict} {}: {}\n", row.text, row.value);
    }
    text
}
