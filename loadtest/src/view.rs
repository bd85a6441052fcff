//! What one sees while a run goes on: a few lines of a terminal that are drawn anew each second, or, where nobody looks
//! (a pipe, a log of CI), a plain line every few seconds.

use std::{
    io::{IsTerminal as _, Stderr, stderr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    layout::{Constraint, Layout},
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Borders, Gauge, Paragraph, Sparkline},
};

use crate::{
    engine::{Flow, Measured, Watch},
    prometheus::{Sample, Samples},
    report::{milliseconds, number, to_f64},
    thresholds::Threshold,
};

const HEIGHT: u16 = 11;
/// Between two plain lines.
const SECONDS: usize = 5;
/// Before this much was asked a threshold says nothing.
const ENOUGH: u64 = 100;

enum Display {
    Nothing,
    Lines,
    Terminal(Box<Terminal<CrosstermBackend<Stderr>>>),
}

/// Shows a run, and ends it when a threshold is missed and that was asked for.
pub struct View {
    title: String,
    whole: Duration,
    display: Mutex<Display>,
    samples: Samples,
    /// Those that end the run.
    aborting: Vec<Threshold>,
    aborted: Mutex<Option<String>>,
}

impl View {
    /// For a run of `whole` length. Nothing is shown when `quiet`; `aborting` end it when they are missed.
    #[must_use]
    pub fn new(
        title: String,
        whole: Duration,
        quiet: bool,
        samples: Samples,
        aborting: Vec<Threshold>,
    ) -> Self {
        let display = if quiet {
            Display::Nothing
        } else if stderr().is_terminal() && std::io::stdin().is_terminal() {
            let viewport = TerminalOptions {
                viewport: Viewport::Inline(HEIGHT),
            };
            // A terminal that does not say where its cursor is gets lines.
            Terminal::with_options(CrosstermBackend::new(stderr()), viewport)
                .map_or(Display::Lines, |terminal| {
                    Display::Terminal(Box::new(terminal))
                })
        } else {
            Display::Lines
        };
        if matches!(display, Display::Lines) {
            eprintln!("{title}");
        }
        Self {
            title,
            whole,
            display: Mutex::new(display),
            samples,
            aborting,
            aborted: Mutex::default(),
        }
    }

    /// The threshold that ended the run, if one did.
    #[must_use]
    pub fn aborted(&self) -> Option<String> {
        self.aborted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Leaves the terminal as it was, below the last picture.
    pub fn end(&self) {
        let mut display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        if let Display::Terminal(terminal) = &mut *display {
            // Whatever goes wrong with a terminal is no concern of the figures.
            let _shown = terminal.show_cursor();
            eprintln!();
        }
        *display = Display::Nothing;
    }

    fn line(&self, so_far: &Measured) -> String {
        let last = so_far.seconds.last().cloned().unwrap_or_default();
        let server = self
            .server()
            .map(|sample| format!(" | server {}", server(&sample)))
            .unwrap_or_default();
        let dropped = if so_far.dropped > 0 {
            format!(", {} dropped", number(to_f64(so_far.dropped)))
        } else {
            String::new()
        };
        format!(
            "{:>4} s of {} s: {} users, {}/s, p50 {}, p99 {}, {} failed{dropped}{server}",
            so_far.seconds.len(),
            self.whole.as_secs(),
            last.users,
            last.requests,
            milliseconds(to_f64(last.p50_us) / 1000.0),
            milliseconds(to_f64(last.p99_us) / 1000.0),
            number(to_f64(so_far.failures)),
        )
    }

    fn server(&self) -> Option<Sample> {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .cloned()
    }

    fn draw(&self, frame: &mut Frame<'_>, so_far: &Measured) {
        let last = so_far.seconds.last().cloned().unwrap_or_default();
        let [head, chart, now, all, faults, bar] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(4),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Line::from(self.title.clone()).bold(), head);
        let width = usize::from(chart.width.saturating_sub(1)).max(1);
        let shown = &so_far.seconds[so_far.seconds.len().saturating_sub(width)..];
        let rates: Vec<u64> = shown.iter().map(|second| second.requests).collect();
        let caption = format!(
            "requests/s, highest {}",
            number(to_f64(rates.iter().copied().max().unwrap_or(0)))
        );
        let sparkline = Sparkline::default()
            .block(Block::default().borders(Borders::TOP).title(caption))
            .data(rates)
            .style(Style::default().fg(Color::Cyan));
        frame.render_widget(sparkline, chart);
        let ms = |micros: u64| milliseconds(to_f64(micros) / 1000.0);
        frame.render_widget(
            Line::from(vec![
                "now    ".dim(),
                Span::raw(format!(
                    "{:>7}/s   p50 {:>8}   p99 {:>8}   {} users",
                    number(to_f64(last.requests)),
                    ms(last.p50_us),
                    ms(last.p99_us),
                    number(to_f64(last.users))
                )),
            ]),
            now,
        );
        let failed = format!(
            "   {} failed, {} dropped",
            number(to_f64(so_far.failures)),
            number(to_f64(so_far.dropped))
        );
        let failed = if so_far.failures + so_far.dropped > 0 {
            failed.red()
        } else {
            failed.green()
        };
        frame.render_widget(
            Line::from(vec![
                "so far ".dim(),
                Span::raw(format!(
                    "{:>7}/s   p50 {:>8}   p99 {:>8}",
                    number(so_far.rate()),
                    ms(so_far.latency.value_at_quantile(0.5)),
                    ms(so_far.latency.value_at_quantile(0.99))
                )),
                failed,
            ]),
            all,
        );
        let mut lines = Vec::new();
        if let Some(sample) = self.server() {
            lines.push(Line::from(vec![
                "server ".dim(),
                Span::raw(server(&sample)),
            ]));
        }
        if let Some(failure) = so_far.first_failures.first() {
            lines.push(Line::from(failure.clone()).red());
        }
        frame.render_widget(Paragraph::new(lines), faults);
        let share = to_f64(so_far.seconds.len() as u64) / self.whole.as_secs_f64().max(1.0);
        let label = format!("{} s of {} s", so_far.seconds.len(), self.whole.as_secs());
        let gauge = Gauge::default()
            .ratio(share.min(1.0))
            .label(label)
            .gauge_style(Style::default().fg(Color::Blue));
        frame.render_widget(gauge, bar);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watch for View {
    fn second(&self, so_far: &Measured) -> Flow {
        match &mut *self.display.lock().unwrap_or_else(PoisonError::into_inner) {
            Display::Nothing => {}
            Display::Lines if so_far.seconds.len().is_multiple_of(SECONDS) => {
                eprintln!("{}", self.line(so_far))
            }
            Display::Lines => {}
            Display::Terminal(terminal) => {
                // A terminal that was closed must not end the run.
                let _drawn = terminal.draw(|frame| self.draw(frame, so_far));
            }
        }
        if so_far.requests < ENOUGH {
            return Flow::GoOn;
        }
        let missed = self
            .aborting
            .iter()
            .filter(|threshold| threshold.can_be_judged_early())
            .find(|threshold| {
                let verdict = threshold.judge(so_far);
                !verdict.met && threshold.has_happened(so_far)
            });
        if let Some(threshold) = missed {
            *self.aborted.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(threshold.to_string());
            return Flow::Stop;
        }
        Flow::GoOn
    }
}

/// The server's figures in a line.
fn server(sample: &Sample) -> String {
    let figure =
        |value: Option<f64>, tell: &dyn Fn(f64) -> String| value.map_or("-".to_owned(), tell);
    let replicas: Vec<String> = sample
        .replicas
        .iter()
        .map(|replica| {
            let cores = figure(replica.cores, &|cores| format!("{cores:.2} cores"));
            let memory = figure(replica.memory_mb, &|memory| format!("{memory:.0} MB"));
            format!("{} {cores} {memory}", replica.name)
        })
        .collect();
    format!(
        "{}/s, p99 {}, {} posts wait, {}",
        figure(sample.rate, &number),
        figure(sample.p99_ms, &milliseconds),
        figure(sample.queue, &number),
        replicas.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::engine::Second;

    fn run() -> Measured {
        let second = Second {
            users: 10,
            requests: 1234,
            failures: 0,
            dropped: 0,
            p50_us: 1500,
            p99_us: 20_000,
        };
        let mut measured = Measured {
            requests: 2468,
            failures: 3,
            seconds: vec![second.clone(), second],
            ..Measured::default()
        };
        measured.elapsed = Duration::from_secs(2);
        measured
            .first_failures
            .push("GET /api/posts: status 503".into());
        measured
    }

    fn view(aborting: &[&str]) -> View {
        let aborting = aborting.iter().map(|text| text.parse().unwrap()).collect();
        let replica = crate::prometheus::Replica {
            name: "api-00".into(),
            cores: Some(0.5),
            memory_mb: Some(32.0),
        };
        let sample = Sample {
            rate: Some(1200.0),
            replicas: vec![replica],
            ..Sample::default()
        };
        let samples = Samples::default();
        samples.lock().unwrap().push(sample);
        View::new(
            "read-feed".into(),
            Duration::from_secs(10),
            true,
            samples,
            aborting,
        )
    }

    #[test]
    fn the_picture_has_the_figures_of_both_sides() {
        let mut terminal = Terminal::new(TestBackend::new(100, HEIGHT)).unwrap();
        terminal
            .draw(|frame| view(&[]).draw(frame, &run()))
            .unwrap();
        let shown: String = terminal
            .backend()
            .buffer()
            .content()
            .iter()
            .map(|cell| cell.symbol())
            .collect();
        for text in [
            "read-feed",
            "1,234/s",
            "20.0 ms",
            "10 users",
            "3 failed",
            "api-00 0.50 cores 32 MB",
            "status 503",
            "2 s of 10 s",
        ] {
            assert!(shown.contains(text), "{text} in {shown}");
        }
        let line = view(&[]).line(&run());
        assert!(
            line.contains("1234/s") && line.contains("server 1,200/s"),
            "{line}"
        );
    }

    #[test]
    fn only_a_missed_threshold_ends_the_run() {
        assert_eq!(
            view(&["failures<10", "rate>100000"]).second(&run()),
            Flow::GoOn
        );
        let strict = view(&["failures<1"]);
        assert_eq!(strict.second(&run()), Flow::Stop);
        assert_eq!(strict.aborted().unwrap(), "failures<1");
        // A step that has not happened yet may still come.
        assert_eq!(view(&["post:p99<1ms"]).second(&run()), Flow::GoOn);
    }
}
