//! The posts that the answers are learnt from.

use std::path::Path;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// The posts that come with the program; written for it, and not in any set that it is measured with.
const BUILT_IN: &str = include_str!("../../calibration/posts.tsv");

/// The heading that every file of examples has.
const HEADING: &str = "label\ttopics\ttext";

/// How many posts a topic needs to be learnt.
const FEWEST: usize = 5;

/// A post of known kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    /// The post.
    pub(super) text: String,
    /// Whether it could do harm.
    pub(super) harmful: bool,
    /// What it is about; `None` when nobody has said.
    pub(super) topics: Option<Vec<String>>,
}

/// Posts of known kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    pub(super) posts: Vec<Example>,
    /// The beginning of a digest of everything in it.
    pub(super) digest: String,
}

impl Examples {
    /// Reads a file, or takes those that come with the program.
    ///
    /// # Errors
    /// When it cannot be read, a line is not what the heading says, or one of `topics` has too few posts. The
    /// sentence names the line or topic.
    pub fn read(path: Option<&Path>, topics: &[String]) -> anyhow::Result<Self> {
        let (name, text) = match path {
            None => (
                "the examples that come with the program".to_owned(),
                BUILT_IN.to_owned(),
            ),
            Some(path) => {
                let name = format!("LLM_EXAMPLES={}", path.display());
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("{name} cannot be read"))?;
                (name, text)
            }
        };
        let posts = parse(&text).with_context(|| name.clone())?;
        for topic in topics {
            let about = |post: &&Example| post.topics.iter().flatten().any(|name| name == topic);
            let count = posts.iter().filter(about).count();
            ensure!(
                count >= FEWEST,
                "LLM_TOPICS has {topic:?}, but {name} has {count} posts about it and {FEWEST} are needed; \
                 add posts to a copy of llm-service/calibration/posts.tsv and name it in LLM_EXAMPLES"
            );
        }
        let digest = Sha256::digest(text.as_bytes());
        Ok(Self {
            posts,
            digest: digest[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Example>> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    ensure!(
        heading == HEADING,
        "it begins with {heading:?}, and not with \"label<TAB>topics<TAB>text\""
    );
    let lines = lines
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let posts = lines.map(|(place, line)| {
        let place = place + 2;
        let fields: Vec<&str> = line.split('\t').collect();
        let [label, topics, text] = fields.as_slice() else {
            anyhow::bail!("line {place} has {} fields and not 3", fields.len());
        };
        ensure!(
            ["harmful", "harmless"].contains(label),
            "line {place}: the label is {label:?}, and neither harmful nor harmless"
        );
        let names = || {
            topics
                .split(',')
                .filter(|name| *name != "-")
                .map(str::to_owned)
        };
        Ok(Example {
            text: (*text).to_owned(),
            harmful: *label == "harmful",
            topics: (*topics != "?").then(|| names().collect()),
        })
    });
    posts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_or_a_topic_without_posts_is_named() {
        for (text, wanted) in [
            ("label,topics,text\n", "begins with"),
            ("label\ttopics\ttext\nharmful\tx", "line 2 has 2 fields"),
            (
                "label\ttopics\ttext\n\nevil\t-\tx",
                "line 3: the label is \"evil\"",
            ),
        ] {
            let said = format!("{:#}", parse(text).unwrap_err());
            assert!(said.contains(wanted), "{said}");
        }
        let said = Examples::read(None, &["gardening".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("gardening") && said.contains("LLM_EXAMPLES"),
            "{said}"
        );
        let said = Examples::read(Some(Path::new("/nowhere.tsv")), &[])
            .unwrap_err()
            .to_string();
        assert!(said.contains("/nowhere.tsv"), "{said}");
    }

    #[test]
    fn what_comes_along_suffices_for_the_usual_topics() {
        let topics: Vec<String> = super::super::TOPICS.split(',').map(str::to_owned).collect();
        let examples = Examples::read(None, &topics).unwrap();
        assert!(examples.posts.iter().filter(|post| post.harmful).count() >= 100);
        assert!(examples.posts.iter().any(|post| post.topics.is_none()));
    }

    #[test]
    fn nothing_is_measured_with_what_was_learnt_from() {
        let plain = |text: &str| text.to_lowercase();
        let examples = Examples::read(None, &[]).unwrap();
        for set in [
            include_str!("../../eval/safety.tsv"),
            include_str!("../../eval/topics.tsv"),
        ] {
            for line in set.lines().skip(1) {
                let text = line.rsplit('\t').next().map(plain).unwrap();
                assert!(
                    examples.posts.iter().all(|post| plain(&post.text) != text),
                    "{text}"
                );
            }
        }
    }
}
