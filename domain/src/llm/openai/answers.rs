//! What the model wrote → the parts of a verdict. A server that knows schemas holds the model to one; another lets it
//! write what it likes, so nothing is believed before it was read strictly. A word of the model's that is not on a
//! list is no verdict; a topic that is not is left out.

use std::sync::LazyLock;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    labels,
    prompt::{NO_TOPIC, TOPICS},
};
use crate::{
    analysis::{Polarity, Safety},
    llm::{LlmError, sentence},
};

/// The longest explanation, in Unicode scalar values; [`crate::analysis::Verdict`] allows no more.
const MAX_EXPLANATION: usize = 200;
/// How many `{` are tried as the beginning of the answer.
const BEGINNINGS: usize = 20;

/// The parts of a verdict that likelihoods do not tell.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Details {
    /// At most three, each from [`TOPICS`] and none twice.
    pub topics: Vec<String>,
    /// At most [`MAX_EXPLANATION`] characters; may be empty.
    pub explanation: String,
}

/// A verdict as the model wrote it.
#[derive(Debug, PartialEq)]
pub(super) struct Opinion {
    pub polarity: Polarity,
    /// −1 … 1, in the range of `polarity`.
    pub score: f32,
    pub safety: Safety,
    pub details: Details,
}

#[derive(Deserialize)]
struct DetailsAnswer {
    topic_1: Option<String>,
    topic_2: Option<String>,
    topic_3: Option<String>,
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct OpinionAnswer {
    polarity: Polarity,
    score: f32,
    safety: Harm,
    #[serde(flatten)]
    details: DetailsAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Harm {
    Safe,
    Dangerous,
}

/// The schema of the topics, and of an explanation if one is wanted. Three fields and no array: not every server
/// that knows schemas bounds the length of an array, and a small model may never end one.
pub(super) fn details_schema(explained: bool) -> &'static Value {
    static PLAIN: LazyLock<Value> = LazyLock::new(|| schema(&[]));
    static EXPLAINED: LazyLock<Value> = LazyLock::new(|| schema(&[("explanation", text())]));
    if explained { &EXPLAINED } else { &PLAIN }
}

/// The schema of a whole verdict.
pub(super) fn opinion_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        schema(&[
            ("explanation", text()),
            ("polarity", one_of(&labels::MOODS)),
            ("safety", one_of(&labels::HARMS)),
            ("score", json!({"type": "number"})),
        ])
    });
    &SCHEMA
}

fn text() -> Value {
    json!({"type": "string"})
}

fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// An object of these fields and the topics, in the subset that OpenAI's strict mode takes: all of them required,
/// no others allowed, no bounds on figures and lengths.
fn schema(fields: &[(&str, Value)]) -> Value {
    let topic = one_of(&[&TOPICS[..], &[NO_TOPIC]].concat());
    let topics = ["topic_1", "topic_2", "topic_3"].map(|name| (name, topic.clone()));
    let fields = fields.iter().cloned().chain(topics);
    let properties: serde_json::Map<_, _> = fields
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Reads topics and explanation.
pub(super) fn details(text: &str) -> Result<Details, LlmError> {
    find::<DetailsAnswer>(text).map(DetailsAnswer::details)
}

/// Reads a whole verdict.
pub(super) fn opinion(text: &str) -> Result<Opinion, LlmError> {
    let answer: OpinionAnswer = find(text)?;
    if !(-1.0..=1.0).contains(&answer.score) {
        return Err(LlmError::Failed(format!(
            "it gave a score of {}, which is not in -1 … 1",
            answer.score
        )));
    }
    Ok(Opinion {
        polarity: answer.polarity,
        score: labels::reconcile(answer.polarity, labels::round(answer.score)),
        safety: match answer.safety {
            Harm::Safe => Safety::Ok,
            Harm::Dangerous => Safety::Dangerous,
        },
        details: answer.details.details(),
    })
}

impl DetailsAnswer {
    fn details(self) -> Details {
        let mut topics = Vec::new();
        for topic in [self.topic_1, self.topic_2, self.topic_3]
            .into_iter()
            .flatten()
        {
            let topic = topic.trim().to_lowercase();
            if TOPICS.contains(&topic.as_str()) && !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        let explanation = self.explanation.unwrap_or_default();
        Details {
            topics,
            explanation: sentence::cut(&explanation, MAX_EXPLANATION),
        }
    }
}

/// The first JSON object in the text that is one of these: models like to say something before it, and to wrap it.
fn find<T: DeserializeOwned>(text: &str) -> Result<T, LlmError> {
    let beginnings = text.match_indices('{').take(BEGINNINGS);
    beginnings
        .filter_map(|(at, _)| {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter();
            values.next()?.ok()
        })
        .next()
        .ok_or_else(|| {
            LlmError::Failed("what it wrote is not the JSON that it was asked for".into())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = r#"{"explanation": "It praises a dog.", "polarity": "positive", "safety": "safe",
        "score": 0.9, "topic_1": "animals", "topic_2": "none", "topic_3": "none"}"#;

    #[test]
    fn a_verdict_is_read_wherever_it_stands() {
        let wanted = Opinion {
            polarity: Polarity::Positive,
            score: 0.9,
            safety: Safety::Ok,
            details: Details {
                topics: vec!["animals".into()],
                explanation: "It praises a dog.".into(),
            },
        };
        for text in [
            WHOLE.to_owned(),
            format!("Sure! Here it is:\n```json\n{WHOLE}\n```\nAnything else?"),
            format!("<think>{{well}} {{\"polarity\": 1}}</think>{WHOLE}"),
            format!("{WHOLE}{}", WHOLE.replace("positive", "negative")),
            WHOLE.replace("\"none\"", "null"),
            WHOLE.replace(
                "\"topic_2\": \"none\"",
                "\"topic_2\": \"Animals\", \"more\": [1]",
            ),
        ] {
            assert_eq!(opinion(&text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_verdict_is_refused() {
        for text in [
            String::new(),
            "positive".to_owned(),
            "{}".to_owned(),
            WHOLE.replace("0.9", "1.5"),
            WHOLE.replace("0.9", "\"0.9\""),
            WHOLE.replace("0.9", "null"),
            WHOLE.replace("\"positive\"", "\"glad\""),
            WHOLE.replace("\"safe\"", "\"fine\""),
            WHOLE.replace("\"polarity\"", "\"mood\""),
            WHOLE[..WHOLE.len() - 1].to_owned(),
            "{".repeat(10_000),
        ] {
            assert!(matches!(opinion(&text), Err(LlmError::Failed(_))), "{text}");
        }
    }

    #[test]
    fn a_word_counts_for_more_than_a_figure() {
        let read = |word, figure| {
            let text = WHOLE.replace("positive", word).replace("0.9", figure);
            let opinion = opinion(&text).unwrap();
            (opinion.polarity, opinion.score)
        };
        assert_eq!(read("negative", "0.9"), (Polarity::Negative, -0.33));
        assert_eq!(read("neutral", "0.9"), (Polarity::Neutral, 0.32));
        assert_eq!(read("positive", "0"), (Polarity::Positive, 0.33));
        assert_eq!(read("negative", "-0.7"), (Polarity::Negative, -0.7));
    }

    #[test]
    fn topics_are_from_the_list_and_an_explanation_is_not_too_long() {
        let text = json!({
            "topic_1": " Music ", "topic_2": "gardening", "topic_3": "music",
            "explanation": format!("It is about music. {}", "It goes on. ".repeat(40)),
        });
        let details = details(&text.to_string()).unwrap();
        assert_eq!(details.topics, ["music"]);
        assert!(details.explanation.chars().count() <= MAX_EXPLANATION);
        assert!(details.explanation.ends_with("It goes on."));
        assert_eq!(super::details("{}").unwrap(), Details::default());
        assert!(super::details("no idea").is_err());
    }

    #[test]
    fn the_schemas_are_of_the_strict_kind() {
        for schema in [
            details_schema(false),
            details_schema(true),
            opinion_schema(),
        ] {
            let properties = schema["properties"].as_object().unwrap();
            let required: Vec<_> = properties.keys().cloned().map(Value::from).collect();
            assert_eq!(schema["required"], Value::from(required));
            assert_eq!(schema["additionalProperties"], false);
        }
        let topics = details_schema(false)["properties"]["topic_1"]["enum"].as_array();
        assert_eq!(topics.unwrap().len(), TOPICS.len() + 1);
        assert!(
            details_schema(false)["properties"]
                .get("explanation")
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn whatever_it_writes_is_taken_or_refused(text in any::<String>(), shape in "[{}\":,a-z_0-9\\[\\] -]{0,80}") {
            for text in [&text, &shape] {
                let _no_panic = (opinion(text), details(text));
            }
        }
    }
}
