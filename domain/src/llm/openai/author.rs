//! Posts of the model's own, to suggest to people: short, cut to whole sentences, and looked at before they are shown.

use rand::seq::IndexedRandom as _;

use super::{
    dialect::Kind,
    prompt,
    talk::{Question, Talk},
};
use crate::{
    analysis::Safety,
    llm::{Explain, LlmError, sentence},
};

/// How often the model may try, as now and then it writes something that cannot be shown.
const ATTEMPTS: usize = 3;
/// Less than this many characters are no post.
const SHORTEST: usize = 8;
/// Words in a row that a post may not have in common with its prompt.
const ECHO: usize = 6;

/// A post of at most `max_characters`: one line, not empty, safe by the model's own verdict.
pub(super) async fn write(talk: &mut Talk<'_>, max_characters: usize) -> Result<String, LlmError> {
    let system = prompt::post(max_characters);
    for _ in 0..ATTEMPTS {
        // Subjects make posts differ more than a temperature does.
        let subject = prompt::TOPICS.choose(&mut rand::rng()).unwrap_or(&"life");
        let wish = format!("Write one post that has to do with {subject}.");
        let question = Question {
            kind: Kind::Post {
                tokens: room(max_characters),
            },
            system: &system,
            user: &wish,
        };
        let Some(said) = talk.ask(question).await? else {
            continue;
        };
        let text = said.text.unwrap_or_default();
        let post = presentable(&text, said.finished, max_characters, &[&system, &wish]);
        if let Some(post) = post
            && is_safe(talk, &post).await?
        {
            return Ok(post);
        }
    }
    Err(LlmError::Failed(format!(
        "it wrote nothing in {ATTEMPTS} attempts that could be shown"
    )))
}

/// Tokens for so many characters, with room to end the last sentence. English has four characters a token, other
/// scripts fewer.
fn room(max_characters: usize) -> u32 {
    u32::try_from(max_characters / 2 + 16).unwrap_or(u32::MAX)
}

async fn is_safe(talk: &mut Talk<'_>, post: &str) -> Result<bool, LlmError> {
    let post = prompt::neutralise(post);
    let safety = match talk.safety(&post).await? {
        Some(safety) => safety,
        None => talk.opinion(&post, Explain::Danger).await?.safety,
    };
    Ok(safety == Safety::Ok)
}

/// What of the model's text can be shown: without an announcement ("Here is a post:") and quotation marks around it,
/// and no piece of the prompts.
fn presentable(
    text: &str,
    finished: bool,
    max_characters: usize,
    prompts: &[&str],
) -> Option<String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.find(|line| !line.ends_with(':'))?;
    let quotes = ['"', '\u{201c}', '\u{201d}', '\u{201e}', '*'];
    let line = line.trim_matches(quotes);
    // What the limit cut off within a sentence is no sentence.
    let post = if finished || lines.next().is_some() {
        sentence::cut(line, max_characters)
    } else {
        sentence::whole(line, max_characters)
    };
    let echoes = prompts.iter().any(|prompt| shares_words(prompt, &post));
    let shown = post.chars().count() >= SHORTEST && !echoes && !post.contains("<|");
    shown.then_some(post)
}

/// Whether [`ECHO`] words in a row, or all if there are fewer, stand in both.
fn shares_words(prompt: &str, post: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (prompt, post) = (words(prompt), words(post));
    let run = ECHO.min(post.len());
    run > 0
        && post
            .windows(run)
            .any(|part| prompt.windows(run).any(|other| other == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_post_is_presentable() {
        let wish = "Write one post that has to do with food.";
        let prompts = [prompt::post(140), wish.to_owned()];
        let prompts = prompts.each_ref().map(String::as_str);
        let shown = |text, finished| presentable(text, finished, 140, &prompts);
        for (text, wanted) in [
            ("Soup again, and I am glad.", "Soup again, and I am glad."),
            (
                "\"Soup again, and I am glad.\"",
                "Soup again, and I am glad.",
            ),
            (
                "Here is a post:\n\n\u{201c}Soup again!\u{201d}\n\nEnjoy",
                "Soup again!",
            ),
            ("Soup again for me today", "Soup again for me today"),
        ] {
            assert_eq!(shown(text, true).as_deref(), Some(wanted), "{text:?}");
        }
        for text in [
            "",
            "Soup!",
            "Here it comes:",
            wish,
            "Post that has to do with food",
            "Answer with the text of one post and nothing else. Soup.",
            "<|im_end|> hello there",
        ] {
            assert_eq!(shown(text, true), None, "{text:?}");
        }
        let broken = "Soup again. And then I went and";
        assert_eq!(shown(broken, false).as_deref(), Some("Soup again."));
        assert_eq!(shown("Soup again and then I", false), None);
    }
}
