//! Runs as a page, alone or side by side, and as a line for CI.

use super::{Block, Chart, Page, Run, Scale, Section, milliseconds, number, to_f64};

/// One line: what it was, whether it passed, and the figures that matter.
#[must_use]
pub fn ci_line(run: &Run) -> String {
    let missed: Vec<&str> = run
        .thresholds
        .iter()
        .filter(|row| !row.met)
        .map(|row| row.text.as_str())
        .collect();
    let verdict = if missed.is_empty() {
        "ok".to_owned()
    } else {
        format!("MISSED {}", missed.join(" "))
    };
    let dropped = if run.dropped > 0 {
        format!(" dropped={}", run.dropped)
    } else {
        String::new()
    };
    let stopped = if run.stopped { " stopped" } else { "" };
    format!(
        "loadtest {} {verdict}: requests={} rate={:.1}/s failures={}{dropped} p50={}ms p99={}ms in {:.1}s{stopped}",
        run.name,
        run.requests,
        run.rate,
        run.failures,
        percentile(run, "p50"),
        percentile(run, "p99"),
        run.elapsed_s
    )
}

fn percentile(run: &Run, name: &str) -> f64 {
    run.latency_ms.get(name).copied().unwrap_or(0.0)
}

/// The page of these runs; of several, one beside the other first.
#[must_use]
pub fn page_of(runs: &[(String, Run)]) -> Page {
    let mut page = match runs {
        [(_, run)] => Page::new(format!("Load test: {}", run.name), subtitle(run)),
        _ => Page::new("Load tests side by side", format!("{} runs", runs.len())),
    };
    if runs.len() > 1 {
        page.push(side_by_side(runs));
    }
    for (label, run) in runs {
        let before = page.sections.len();
        sections(&mut page, run);
        if runs.len() > 1 {
            for section in &mut page.sections[before..] {
                section.heading = format!("{label}: {}", section.heading);
            }
        }
    }
    page
}

fn subtitle(run: &Run) -> String {
    format!(
        "{} · {} · {} model, {} · {}",
        run.base_url,
        run.started,
        run.model,
        run.stages,
        run.machine.line()
    )
}

fn side_by_side(runs: &[(String, Run)]) -> Section {
    let columns = [
        "run",
        "scenario",
        "requests/s",
        "failures",
        "dropped",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ];
    let rows = runs.iter().map(|(label, run)| {
        let mut row = vec![
            label.clone(),
            run.name.clone(),
            number(run.rate),
            number(to_f64(run.failures)),
            number(to_f64(run.dropped)),
        ];
        row.extend(
            ["p50", "p90", "p99", "p99.9", "max"].map(|name| milliseconds(percentile(run, name))),
        );
        row
    });
    let table = Block::Table {
        caption: String::new(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let mut rate = Chart::new("Requests per second", "", Scale::Seconds);
    let mut p99 = Chart::new("p99 of each second", "ms", Scale::Seconds);
    let mut curve = Chart::new("Latency by percentile", "ms", Scale::Percentile);
    for (label, run) in runs {
        rate = rate.line(label, over_time(run, |second| to_f64(second.requests)));
        p99 = p99.line(label, over_time(run, |second| second.p99_ms));
        curve = curve.line(label, run.curve.clone());
    }
    Section::new("Side by side")
        .with(table)
        .with(Block::Charts(vec![rate, p99, curve]))
}

fn over_time(run: &Run, figure: impl Fn(&super::SecondRow) -> f64) -> Vec<(f64, f64)> {
    let numbered = run.seconds.iter().enumerate();
    numbered
        .map(|(second, row)| (to_f64(second as u64 + 1), figure(row)))
        .collect()
}

fn sections(page: &mut Page, run: &Run) {
    page.push(summary(run));
    let mut charts = vec![
        Chart::new("Requests per second", "", Scale::Seconds)
            .line("requests", over_time(run, |row| to_f64(row.requests))),
        Chart::new("Latency of each second", "ms", Scale::Seconds)
            .line("p50", over_time(run, |row| row.p50_ms))
            .line("p99", over_time(run, |row| row.p99_ms)),
        Chart::new("Users", "", Scale::Seconds)
            .line("users", over_time(run, |row| to_f64(row.users))),
        Chart::new("Failures per second", "", Scale::Seconds)
            .line("failures", over_time(run, |row| to_f64(row.failures)))
            .line("dropped", over_time(run, |row| to_f64(row.dropped))),
        Chart::new("Latency by percentile", "ms", Scale::Percentile)
            .line("latency", run.curve.clone()),
    ];
    charts.extend(server_charts(run));
    page.push(Section::new("Over time").with(Block::Charts(charts)));
    if !run.steps.is_empty() {
        page.push(Section::new("By kind of request").with(steps(run)));
    }
    if !run.reasons.is_empty() {
        let rows = run
            .reasons
            .iter()
            .map(|(reason, times)| vec![reason.clone(), number(to_f64(*times))]);
        let columns = vec!["reason".to_owned(), "times".to_owned()];
        let table = Block::Table {
            caption: String::new(),
            columns,
            rows: rows.collect(),
        };
        let first = Block::Verbatim(run.first_failures.join("\n"));
        page.push(
            Section::new("Failures")
                .with(table)
                .with(Block::Text("The first of each:".into()))
                .with(first),
        );
    }
    page.push(how(run));
}

fn summary(run: &Run) -> Section {
    let figure = |label: &str, value: String| (label.to_owned(), value);
    let mut figures = vec![
        figure("requests per second", number(run.rate)),
        figure("requests", number(to_f64(run.requests))),
        figure("failures", number(to_f64(run.failures))),
    ];
    if run.model == "open" {
        figures.push(figure("dropped arrivals", number(to_f64(run.dropped))));
    }
    for name in ["p50", "p99", "p99.9", "max"] {
        figures.push(figure(name, milliseconds(percentile(run, name))));
    }
    let mut section = Section::new("Summary").with(Block::Figures(figures));
    if run.stopped {
        section = section.with(Block::Warning("The run was stopped before its end.".into()));
    }
    if let Some(warning) = &run.generator.warning {
        section = section.with(Block::Warning(format!("Mind that {warning}.")));
    }
    if !run.thresholds.is_empty() {
        let row = |row: &super::ThresholdRow| {
            let verdict = if row.met { "met" } else { "missed" };
            vec![row.text.clone(), row.value.clone(), verdict.to_owned()]
        };
        section = section.with(Block::Table {
            caption: "Thresholds".into(),
            columns: ["threshold", "measured", "verdict"]
                .map(str::to_owned)
                .to_vec(),
            rows: run.thresholds.iter().map(row).collect(),
        });
    }
    section
}

fn steps(run: &Run) -> Block {
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let rows = run.steps.iter().map(|step| {
        let mut row = vec![
            step.name.clone(),
            number(to_f64(step.requests)),
            number(to_f64(step.failures)),
        ];
        row.extend(
            names.map(|name| milliseconds(step.latency_ms.get(name).copied().unwrap_or(0.0))),
        );
        row
    });
    let columns = ["step", "requests", "failures"].into_iter().chain(names);
    Block::Table {
        caption: String::new(),
        columns: columns.map(str::to_owned).collect(),
        rows: rows.collect(),
    }
}

/// What Prometheus said, where it was asked.
fn server_charts(run: &Run) -> Vec<Chart> {
    if run.server.is_empty() {
        return Vec::new();
    }
    let line = |figure: &dyn Fn(&crate::prometheus::Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        run.server
            .iter()
            .filter_map(|sample| Some((sample.at_s, figure(sample)?)))
            .collect()
    };
    let mut names: Vec<&str> = run
        .server
        .iter()
        .flat_map(|sample| sample.replicas.iter().map(|replica| replica.name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut cpu = Chart::new("Server: cores in use, by replica", "", Scale::Seconds);
    let mut memory = Chart::new("Server: resident memory, by replica", "MB", Scale::Seconds);
    for name in names {
        let of = |sample: &crate::prometheus::Sample| {
            sample
                .replicas
                .iter()
                .find(|replica| replica.name == name)
                .cloned()
        };
        cpu = cpu.line(name, line(&|sample| of(sample)?.cores));
        memory = memory.line(name, line(&|sample| of(sample)?.memory_mb));
    }
    vec![
        Chart::new("Server: requests per second", "", Scale::Seconds)
            .line("as Prometheus has it", line(&|sample| sample.rate)),
        Chart::new("Server: p99 inside the API", "ms", Scale::Seconds)
            .line("p99", line(&|sample| sample.p99_ms)),
        cpu,
        memory,
        Chart::new("Server: posts that wait for the model", "", Scale::Seconds)
            .line("pending", line(&|sample| sample.queue)),
    ]
}

fn how(run: &Run) -> Section {
    let generator = &run.generator;
    let model = if run.model == "open" {
        "Open model: users arrive at the rate above whatever the server does, and latency counts from the moment each \
         was due, so a pause of the server is felt by everybody who was due in it. Who found no free user is dropped."
    } else {
        "Closed model: each user asks again when the answer is there. A slow server is asked less often, so judge \
         latency by the open model and take this for throughput."
    };
    let own = format!(
        "The generator ran in {} thread(s) on {} and used {:.1} CPU seconds in {:.1} s; its \
         busiest thread computed {:.0} % of the time and was kept waiting for a core {:.0} %.",
        generator.threads,
        run.machine.line(),
        generator.cpu_s,
        run.elapsed_s,
        generator.busy * 100.0,
        generator.waiting * 100.0
    );
    Section::new("How it was measured")
        .with(Block::Text(model.into()))
        .with(Block::Text(own))
        .with(Block::Text(subtitle(run)))
}
