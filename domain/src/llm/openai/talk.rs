//! The requests that one verdict or one post takes, each in the best dialect that the server takes, and what they cost
//! together.

use super::{
    OpenAi,
    answers::{self, Details, Opinion},
    dialect::{Dialect, Kind},
    error,
    labels::{self, Likelihood},
    prompt,
    wire::{Completion, Request, Said},
};
use crate::{
    analysis::{Polarity, Safety},
    llm::{Explain, LlmError, transport::Fault},
};

/// One request to the model.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub kind: Kind<'a>,
    pub system: &'a str,
    pub user: &'a str,
}

/// The parts of a verdict that are read from likelihoods.
pub(super) struct Labelled {
    pub polarity: Polarity,
    pub score: f32,
    pub safety: Safety,
}

/// The requests that one verdict or one post takes, and what they cost together.
pub(super) struct Talk<'a> {
    server: &'a OpenAi,
    /// Which model is asked.
    pub model: String,
    request_id: &'a str,
    /// What it has cost so far.
    pub tokens: i32,
    /// Set when the server would not tell likelihoods.
    without_labels: Option<Dialect>,
}

impl<'a> Talk<'a> {
    pub async fn begin(server: &'a OpenAi, request_id: &'a str) -> Result<Self, LlmError> {
        Ok(Self {
            model: server.model().await?,
            server,
            request_id,
            tokens: 0,
            without_labels: None,
        })
    }

    /// What the likelihood of the labels says; `None` when the server does not tell it, or the model would say
    /// something else altogether.
    pub async fn labelled(&mut self, post: &str) -> Result<Option<Labelled>, LlmError> {
        let Some(mood) = self
            .likelihood(prompt::SENTIMENT, labels::MOODS, post)
            .await?
        else {
            return Ok(None);
        };
        let Some(safety) = self.safety(post).await? else {
            return Ok(None);
        };
        let score = labels::score(&mood);
        Ok(Some(Labelled {
            polarity: labels::polarity(score),
            score,
            safety,
        }))
    }

    /// Whether the post may harm, by likelihood.
    pub async fn safety(&mut self, post: &str) -> Result<Option<Safety>, LlmError> {
        let harm = self.likelihood(prompt::SAFETY, labels::HARMS, post).await?;
        Ok(harm.map(|harm| labels::safety(&harm)))
    }

    async fn likelihood<const N: usize>(
        &mut self,
        system: &str,
        labels: [&str; N],
        post: &str,
    ) -> Result<Option<Likelihood<N>>, LlmError> {
        let question = Question {
            kind: Kind::Label,
            system,
            user: post,
        };
        let said = self.ask(question).await?;
        Ok(said.and_then(|said| labels::likelihood(&said.candidates?, labels)))
    }

    /// What is not read from likelihoods. Of a verdict that stands already, topics may be missing, and for a post
    /// that nobody asked an explanation of, that too: a model that cannot write JSON is no reason to have none.
    pub async fn details(
        &mut self,
        post: &str,
        labelled: &Labelled,
        explain: Explain,
    ) -> Result<Details, LlmError> {
        let explained = explain == Explain::Always || labelled.safety == Safety::Dangerous;
        let system = if explained {
            prompt::explanation(labelled.polarity, labelled.safety)
        } else {
            prompt::topics()
        };
        let question = Question {
            kind: Kind::Json(answers::details_schema(explained)),
            system: &system,
            user: post,
        };
        match self
            .written(question)
            .await
            .and_then(|text| answers::details(&text))
        {
            Err(LlmError::Failed(why)) if explain == Explain::Danger => {
                tracing::warn!(error = why, "a verdict without topics and explanation");
                Ok(Details::default())
            }
            other => other,
        }
    }

    /// A whole verdict in the model's words.
    pub async fn opinion(&mut self, post: &str, explain: Explain) -> Result<Opinion, LlmError> {
        let question = Question {
            kind: Kind::Json(answers::opinion_schema()),
            system: &prompt::verdict(explain),
            user: post,
        };
        answers::opinion(&self.written(question).await?)
    }

    /// What the model wrote in answer to a question.
    async fn written(&mut self, question: Question<'_>) -> Result<String, LlmError> {
        let said = self.ask(question).await?;
        said.and_then(|said| said.text)
            .ok_or_else(|| LlmError::Failed("it wrote nothing".into()))
    }

    /// To be called when the server has answered in words about a post of which it would not tell likelihoods: then
    /// it is not the post that it minds.
    pub fn remember_no_labels(&self) {
        if let Some(dialect) = self.without_labels {
            self.server.learned.worked(dialect, Kind::Label);
        }
    }

    /// The answer, in the first dialect that the server takes; `None` when it tells no likelihoods.
    pub async fn ask(&mut self, question: Question<'_>) -> Result<Option<Said>, LlmError> {
        let Question { kind, system, user } = question;
        let mut dialect = self.server.learned.dialect();
        loop {
            if matches!(kind, Kind::Label) && dialect.top_logprobs == 0 {
                self.without_labels = Some(dialect);
                return Ok(None);
            }
            let request = Request::new(&self.model, dialect, kind, system, user);
            let answer = self
                .server
                .transport
                .post("v1/chat/completions", &request, self.request_id)
                .await;
            match answer {
                Ok(completion) => {
                    let completion: Completion = completion;
                    self.tokens = self.tokens.saturating_add(completion.tokens());
                    let said = completion.said()?;
                    if matches!(kind, Kind::Label) && said.candidates.is_none() {
                        dialect.top_logprobs = 0;
                        continue;
                    }
                    self.server.learned.worked(dialect, kind);
                    return Ok(Some(said));
                }
                Err(Fault::Refused(refusal)) => match dialect.without(kind, &refusal) {
                    Some(next) => dialect = next,
                    None => return Err(error(Fault::Refused(refusal))),
                },
                Err(fault) => return Err(error(fault)),
            }
        }
    }
}
