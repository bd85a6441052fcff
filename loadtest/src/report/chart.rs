//! Charts as SVG: lines over time, or a percentile curve. They take their colours from the page's style, so they are at
//! home in light and dark.

use std::fmt::Write as _;

use super::{milliseconds, number};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// More points than this would be closer than the pixels.
const MOST_POINTS: usize = 600;

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds since the beginning.
    Seconds,
    /// A share from 0 to 1, stretched towards 1: 50 %, 90 %, 99 %, 99.9 % are equally far apart.
    Percentile,
    /// A number, each power of ten equally far apart.
    Powers,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Where it runs.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A line.
    #[must_use]
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
        }
    }
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it is about.
    pub title: String,
    /// What the vertical axis counts; `ms` is told in fitting units.
    pub unit: String,
    /// The horizontal axis.
    pub scale: Scale,
    /// The lines, at most eight that can be told apart.
    pub lines: Vec<Line>,
}

impl Chart {
    /// A chart without lines yet.
    #[must_use]
    pub fn new(title: impl Into<String>, unit: impl Into<String>, scale: Scale) -> Self {
        Self {
            title: title.into(),
            unit: unit.into(),
            scale,
            lines: Vec::new(),
        }
    }

    /// With one more line.
    #[must_use]
    pub fn line(mut self, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        self.lines.push(Line::new(name, points));
        self
    }

    fn across(&self, x: f64) -> f64 {
        match self.scale {
            Scale::Seconds => x,
            Scale::Percentile => -(1.0 - x.min(0.999_999)).log10(),
            Scale::Powers => x.max(1e-9).log10(),
        }
    }

    /// As a figure for the page.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let finite = |value: &f64| value.is_finite();
        let first = points()
            .map(|(x, _)| self.across(*x))
            .filter(finite)
            .fold(f64::INFINITY, f64::min);
        let last = points()
            .map(|(x, _)| self.across(*x))
            .filter(finite)
            .fold(f64::NEG_INFINITY, f64::max);
        let top = nice(points().map(|(_, y)| *y).filter(finite).fold(0.0, f64::max));
        let mut svg = String::new();
        let title = super::page::escape(&self.title);
        let _ = write!(svg, "<figure><figcaption>{title}</figcaption>");
        if first > last {
            svg.push_str("<p class=\"quiet\">Nothing to show.</p></figure>");
            return svg;
        }
        let span = if last > first { last - first } else { 1.0 };
        let x = |value: f64| LEFT + (self.across(value) - first) / span * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        );
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let at = y(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                self.amount(value)
            );
        }
        for (value, label) in self.ticks(first, last) {
            let _ = write!(
                svg,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{}\">{label}</text>",
                x(value),
                HEIGHT - 14.0
            );
        }
        for (place, line) in self.lines.iter().enumerate() {
            let kept = thinned(&line.points);
            let mut path = String::new();
            for (px, py) in kept
                .iter()
                .filter(|(px, py)| px.is_finite() && py.is_finite())
            {
                let _ = write!(path, "{:.1},{:.1} ", x(*px), y(*py));
            }
            let name = super::page::escape(&line.name);
            let _ = write!(
                svg,
                "<polyline class=\"line c{}\" points=\"{}\"><title>{name}</title></polyline>",
                place % 8,
                path.trim()
            );
        }
        svg.push_str("</svg><p class=\"legend\">");
        for (place, line) in self.lines.iter().enumerate() {
            let _ = write!(
                svg,
                "<span><i class=\"c{}\"></i>{}</span>",
                place % 8,
                super::page::escape(&line.name)
            );
        }
        svg.push_str("</p></figure>");
        svg
    }

    fn amount(&self, value: f64) -> String {
        if self.unit == "ms" {
            milliseconds(value)
        } else {
            let unit = super::page::escape(&self.unit);
            format!("{} {unit}", number(value)).trim_end().to_owned()
        }
    }

    fn ticks(&self, first: f64, last: f64) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Seconds => {
                let step = nice((last - first) / 6.0).max(1.0);
                let seconds = |value: f64| {
                    if last >= 600.0 {
                        format!("{} min", number(value / 60.0))
                    } else {
                        format!("{} s", number(value))
                    }
                };
                let mut ticks = Vec::new();
                let mut at = (first / step).ceil() * step;
                while at <= last && ticks.len() < 12 {
                    ticks.push((at, seconds(at)));
                    at += step;
                }
                ticks
            }
            Scale::Percentile => [
                (0.0, "0"),
                (0.5, "50 %"),
                (0.9, "90 %"),
                (0.99, "99 %"),
                (0.999, "99.9 %"),
                (0.9999, "99.99 %"),
            ]
            .into_iter()
            .filter(|(share, _)| {
                self.across(*share) >= first - 1e-9 && self.across(*share) <= last + 1e-9
            })
            .map(|(share, label)| (share, label.to_owned()))
            .collect(),
            Scale::Powers => {
                let mut ticks = Vec::new();
                let mut power = first.ceil();
                while power <= last + 1e-9 && ticks.len() < 12 {
                    ticks.push((10_f64.powf(power), number(10_f64.powf(power))));
                    power += 1.0;
                }
                ticks
            }
        }
    }
}

/// The next of 1, 2, 5, 10, 20, … that is not smaller.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value * 0.999_999)
        .unwrap_or(value)
}

/// At most so many points, of each group that falls together the highest: peaks are what one looks for.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let highest = |group: &[(f64, f64)]| group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(group).filter_map(highest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_seconds_keeps_its_peaks_and_few_points() {
        let mut points: Vec<(f64, f64)> =
            (0..3600).map(|second| (f64::from(second), 1.0)).collect();
        points[1234].1 = 99.0;
        let kept = thinned(&points);
        assert!(kept.len() <= MOST_POINTS);
        assert!(kept.contains(&(1234.0, 99.0)));
    }

    #[test]
    fn a_chart_without_points_says_so_and_names_are_escaped() {
        assert!(
            Chart::new("Rate", "", Scale::Seconds)
                .svg()
                .contains("Nothing to show")
        );
        let odd = Chart::new("a<b", "ms", Scale::Percentile)
            .line("x&y", vec![(0.0, 1.0), (0.99, f64::NAN), (0.999, 7.0)])
            .svg();
        assert!(odd.contains("a&lt;b") && odd.contains("x&amp;y") && !odd.contains("NaN"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(nice(0.0), 1.0);
        assert_eq!(nice(1.2), 2.0);
        assert_eq!(nice(230.0), 250.0);
        assert_eq!(nice(1000.0), 1000.0);
    }
}
