//! An explanation on request. The model writes one unasked only for a dangerous post, since it costs many times what
//! a verdict costs; for any other it is asked when somebody wants to know, and what it says is kept with the verdict.

use std::time::Duration;

use super::{Status, queries};
use crate::{
    Ctx, Error, Result,
    ids::PostId,
    live::{self, Event},
    llm::Llm,
};

/// How often a text that changes while it is explained is explained anew before its author is left to finish.
const TRIES: usize = 3;
/// When to come back for a post that is not judged yet.
const SOON: Duration = Duration::from_secs(2);

/// Why the verdict on a post is what it is, in the model's words; 1 to 200 Unicode scalar values.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotYet`] when the post waits for its verdict; [`Error::Conflict`] when the model
/// could not judge it; [`Error::Unavailable`] when the model is away.
pub async fn explain(ctx: &Ctx, llm: &Llm, id: PostId, request_id: String) -> Result<String> {
    let (ctx, llm) = (ctx.clone(), llm.clone());
    // To the end, even when the caller has gone: the next one gets for nothing what was paid for.
    crate::to_the_end(async move {
        for _ in 0..TRIES {
            let post = queries::explained(&ctx.db, id)
                .await?
                .ok_or(Error::NotFound("post"))?;
            match (post.status, post.explanation) {
                (Some(Status::Done), Some(known)) if !known.is_empty() => return Ok(known),
                (Some(Status::Done), _) => {}
                (Some(Status::Dead), _) => {
                    return Err(Error::Conflict(
                        "the language model could not judge this post: there is nothing to explain",
                    ));
                }
                (Some(Status::Pending) | None, _) => break,
            }
            let verdict = llm.explain(&post.content, &request_id).await?;
            if queries::explain(&ctx.db, id, post.revision, &verdict).await? {
                let event = Event::Analysis {
                    post: id,
                    author: post.author,
                };
                tokio::join!(
                    ctx.feed.bump(),
                    live::publish(&ctx, std::slice::from_ref(&event))
                );
                return Ok(verdict.explanation);
            }
            // Somebody else's explanation came first, or the text has changed or gone: look again.
        }
        Err(Error::NotYet {
            sentence: "this post is not judged yet: try again shortly",
            retry_after: SOON,
        })
    })
    .await
}
