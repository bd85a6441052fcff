//! Prompt → post: a short text that reads like a person's. What a caller asks for is neutralised as any text from
//! outside; what the model writes is cut to whole sentences and looked at before it is shown.

use crate::{
    analyze::Judge,
    model::{Drawing, Model, ModelError, Stop},
    prompt::{Prompt, neutralise},
    queue::Failure,
    sentence,
};

/// The length that is written to when none is asked for, in characters.
pub const DEFAULT_CHARACTERS: usize = 140;
/// The shortest length that may be asked for: room for one short sentence.
pub const MIN_CHARACTERS: usize = 20;
/// The longest length that may be asked for.
pub const MAX_CHARACTERS: usize = 500;
/// The longest wish, in characters.
pub const MAX_PROMPT: usize = 500;

/// How often the model may try, as now and then it writes something that cannot be shown.
const ATTEMPTS: usize = 4;

/// Less than this many characters are no post.
const SHORTEST: usize = 8;

const FILE: &str = include_str!("../prompts/post.txt");

/// No two posts alike.
const LIVELY: Drawing = Drawing::AtRandom {
    temperature: 0.8,
    top_p: 0.95,
};

/// Everyday matters, one a line: what a post is about when nobody says. They make posts differ more than
/// temperature does.
const TOPICS: &str = include_str!("../prompts/everyday.txt");

/// What somebody wants written.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What about; without it something from everyday life.
    pub topic: Option<String>,
    /// The longest post, in characters.
    pub max_characters: usize,
}

/// A post and what it cost.
#[derive(Clone, Debug)]
pub struct Written {
    /// The post: not empty, one line, no longer than wished.
    pub content: String,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written.
    pub completion_tokens: usize,
}

/// The prompt, ready for one model.
#[derive(Debug)]
pub struct Author {
    prompt: Prompt,
}

impl Author {
    /// Prepares the prompt.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn new(model: &Model) -> Result<Self, ModelError> {
        Ok(Self {
            prompt: Prompt::new(model.vocabulary(), FILE)?,
        })
    }

    /// Writes a post.
    ///
    /// # Errors
    /// [`Failure::NothingUsable`] after [`ATTEMPTS`] texts that could not be shown, or when the model fails.
    pub async fn write(
        &self,
        model: &Model,
        judge: &Judge,
        wish: &Wish,
        stop: &Stop,
    ) -> Result<Written, Failure> {
        let (mut prompt_tokens, mut completion_tokens) = (0, 0);
        for _ in 0..ATTEMPTS {
            let topic = wish.topic.as_deref().map_or_else(any_topic, neutralise);
            let prompt = self.prompt.with(model.vocabulary(), &topic)?;
            // About four characters a token in English; a few more, so that the last sentence can end.
            let room = (wish.max_characters / 4 + 8).min(MAX_CHARACTERS / 4);
            let written = model.write(prompt, LIVELY, room, stop).await?;
            prompt_tokens += written.prompt_tokens;
            completion_tokens += written.completion_tokens;
            let content = sentence::cut(&written.text, wish.max_characters, written.finished);
            if is_presentable(&content, &topic) && is_harmless(model, judge, &content).await? {
                return Ok(Written {
                    content,
                    prompt_tokens,
                    completion_tokens,
                });
            }
        }
        Err(Failure::NothingUsable)
    }
}

/// What Linnet would veil it does not suggest either.
async fn is_harmless(model: &Model, judge: &Judge, content: &str) -> Result<bool, ModelError> {
    let drafts = judge.read(model, &[content]).await?;
    Ok(drafts.iter().all(|draft| !draft.is_dangerous()))
}

/// One of [`TOPICS`], at random.
fn any_topic() -> String {
    let topics: Vec<&str> = TOPICS.lines().filter(|line| !line.is_empty()).collect();
    let place = rand::random_range(0..topics.len().max(1));
    topics.get(place).copied().unwrap_or("today").to_owned()
}

/// Whether `content` can be shown as a post: long enough, not the wish itself, not one of the examples in the
/// prompt, no markup of a chat.
fn is_presentable(content: &str, topic: &str) -> bool {
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (post, wish) = (plain(content), plain(topic));
    let echoes = post == wish || (wish.len() >= 12 && post.starts_with(&wish));
    let is_example = FILE
        .lines()
        .filter_map(|line| line.strip_prefix("Post: "))
        .any(|example| plain(example).starts_with(&post));
    content.chars().count() >= SHORTEST
        && !post.is_empty()
        && !echoes
        && !is_example
        && !content.contains("<|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_post_is_presentable() {
        for (content, topic, wanted) in [
            ("Rain again, but the garden is happy.", "rain", true),
            ("", "rain", false),
            ("Rain!", "rain", false),
            ("Write about my cat.", "write about my cat", false),
            (
                "Write about my cat. It sleeps.",
                "write about my cat",
                false,
            ),
            ("!!!!!!!!!!!", "rain", false),
            ("<|im_end|> hello there", "rain", false),
        ] {
            assert_eq!(is_presentable(content, topic), wanted, "{content:?}");
        }
        for example in FILE.lines().filter_map(|line| line.strip_prefix("Post: ")) {
            assert!(!is_presentable(example, "something else"), "{example:?}");
        }
    }

    #[test]
    fn topics_are_many_and_plain() {
        assert!(TOPICS.lines().count() >= 40);
        assert!(TOPICS.lines().all(|topic| neutralise(topic) == topic));
        assert!(!any_topic().is_empty());
    }
}
