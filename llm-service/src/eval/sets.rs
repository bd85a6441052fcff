//! Sets of judged posts: tab-separated lines under a heading that says what the judgement is.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

/// The safety set that comes with the program.
const SAFETY: &str = include_str!("../../eval/safety.tsv");
/// The topics set that comes with the program.
const TOPICS: &str = include_str!("../../eval/topics.tsv");

/// A set of posts and what people said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Where it is from.
    pub name: String,
    /// The posts and the judgements.
    pub rows: Rows,
}

/// What people said.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// `mean_rating` and `text`: from negative to positive, in any unit, 0 in the middle.
    Sentiment(Vec<(f64, String)>),
    /// `label` (`harmful` or `harmless`), `kind` and `text`.
    Safety(Vec<(bool, String, String)>),
    /// `topics` (separated by commas, `-` for none) and `text`.
    Topics(Vec<(Vec<String>, String)>),
}

impl Set {
    /// The sets that come with the program.
    ///
    /// # Errors
    /// Never, as a test has it.
    pub fn built_in() -> anyhow::Result<Vec<Self>> {
        Ok(vec![
            Self::parse("safety", SAFETY)?,
            Self::parse("topics", TOPICS)?,
        ])
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not what the heading says; the sentence names the line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the set {name} cannot be read"))?;
        Self::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let heading = lines.next().unwrap_or_default();
        let lines: Vec<(usize, Vec<&str>)> = lines
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(place, line)| (place + 2, line.split('\t').collect()))
            .collect();
        let wanted = heading.split('\t').count();
        for (place, fields) in &lines {
            let found = fields.len();
            ensure!(
                found == wanted,
                "{name}, line {place}: {found} fields, but the heading has {wanted}"
            );
        }
        let rows = match heading {
            "mean_rating\ttext" => Rows::Sentiment(each(name, &lines, |fields| {
                let rating = fields[0]
                    .parse()
                    .ok()
                    .filter(|rating: &f64| rating.is_finite());
                Some((rating?, fields[1].to_owned()))
            })?),
            "label\tkind\ttext" => Rows::Safety(each(name, &lines, |fields| {
                let harmful = match fields[0] {
                    "harmful" => true,
                    "harmless" => false,
                    _ => return None,
                };
                Some((harmful, fields[1].to_owned(), fields[2].to_owned()))
            })?),
            "topics\ttext" => Rows::Topics(each(name, &lines, |fields| {
                let topics = fields[0].split(',').filter(|topic| *topic != "-");
                Some((topics.map(str::to_owned).collect(), fields[1].to_owned()))
            })?),
            other => bail!(
                "{name} begins with {other:?}; the first line must be one of \
                 \"mean_rating<TAB>text\", \"label<TAB>kind<TAB>text\", \"topics<TAB>text\""
            ),
        };
        ensure!(!lines.is_empty(), "{name} has no posts below its heading");
        Ok(Self {
            name: name.to_owned(),
            rows,
        })
    }

    /// The first `count` posts only.
    pub fn truncate(&mut self, count: usize) {
        match &mut self.rows {
            Rows::Sentiment(rows) => rows.truncate(count),
            Rows::Safety(rows) => rows.truncate(count),
            Rows::Topics(rows) => rows.truncate(count),
        }
    }

    /// The posts.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        match &self.rows {
            Rows::Sentiment(rows) => rows.iter().map(|(_, text)| text.as_str()).collect(),
            Rows::Safety(rows) => rows.iter().map(|(_, _, text)| text.as_str()).collect(),
            Rows::Topics(rows) => rows.iter().map(|(_, text)| text.as_str()).collect(),
        }
    }
}

fn each<T>(
    name: &str,
    lines: &[(usize, Vec<&str>)],
    read: impl Fn(&[&str]) -> Option<T>,
) -> anyhow::Result<Vec<T>> {
    let rows = lines.iter().map(|(place, fields)| {
        let first = fields[0];
        read(fields).with_context(|| format!("{name}, line {place}: {first:?} is no judgement"))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_that_come_along_are_balanced() {
        let sets = Set::built_in().unwrap();
        let Rows::Safety(safety) = &sets[0].rows else {
            panic!("the first is about safety");
        };
        assert_eq!(safety.iter().filter(|(harmful, ..)| *harmful).count(), 60);
        assert_eq!(safety.len(), 120);
        let Rows::Topics(topics) = &sets[1].rows else {
            panic!("the second is about topics");
        };
        assert_eq!(topics.len(), 120);
        assert!(topics.iter().all(|(topics, _)| topics.len() <= 3));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, wanted) in [
            ("", "must be one of"),
            ("a\tb\n1\tx", "must be one of"),
            (
                "mean_rating\ttext\n1.5\tfine\nx\tbad",
                "line 3: \"x\" is no judgement",
            ),
            ("mean_rating\ttext\nNaN\tbad", "line 2"),
            (
                "mean_rating\ttext\n1.5",
                "line 2: 1 fields, but the heading has 2",
            ),
            ("mean_rating\ttext\n", "no posts"),
            ("label\tkind\ttext\nevil\tx\ty", "\"evil\" is no judgement"),
        ] {
            let said = format!("{:#}", Set::parse("set", text).unwrap_err());
            assert!(said.contains(wanted), "{said}");
        }
        let set = Set::parse("set", "topics\ttext\nfood,work\tlunch\n-\thello\n").unwrap();
        let topics = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rows = vec![
            (topics(&["food", "work"]), "lunch".to_owned()),
            (topics(&[]), "hello".to_owned()),
        ];
        assert_eq!(set.rows, Rows::Topics(rows));
    }
}
