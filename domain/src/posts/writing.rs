//! Writing, changing and deleting posts.

use sqlx::{Postgres, Transaction};

use super::{
    PostText, PostView, ReplyTo, ViewerFlags, get,
    model::Named,
    queries::{
        self,
        writing::{self, Inserted},
    },
    together::Draft,
};
use crate::{
    Ctx, Error, Result,
    analysis::AnalysisView,
    bookmarks,
    ids::{PostId, UserId},
    jobs::AnalyzePost,
    likes,
    live::{self, Event},
    notifications::{self, Kind, Notice},
    trace,
    users::User,
};

/// A new post.
pub struct NewPost {
    /// What it says.
    pub text: PostText,
    /// The post that it answers. A change of a post does not change that.
    pub reply_to: Option<PostId>,
    /// The request that brings it, so that it can be followed to its verdict.
    pub request_id: String,
}

/// What was written.
struct Written {
    row: Inserted,
    reply_to: Option<ReplyTo>,
    thread_id: Option<PostId>,
    told: Vec<UserId>,
}

/// Writes a post. When this returns, every read that starts afterwards sees it, on any replica; a worker has been told
/// of it or will find it; and whoever it answers or mentions is notified.
///
/// # Errors
/// [`Error::NotFound`] when the post that it answers is not there, is a repost, or is hidden from the author.
pub async fn create(ctx: &Ctx, author: &User, new: NewPost) -> Result<PostView> {
    let named = new.text.named();
    if new.reply_to.is_none() && named.is_empty() {
        // One row is all there is to write, and it goes with those of others that arrive meanwhile.
        let row = ctx.posts.write(Draft {
            author: author.id,
            text: new.text.clone(),
            request_id: new.request_id,
            traceparent: trace::traceparent(),
        });
        let written = Written {
            row: row.await?,
            reply_to: None,
            thread_id: None,
            told: Vec::new(),
        };
        return Ok(view(author, &new.text, written));
    }
    let (ctx, author) = (ctx.clone(), author.clone());
    crate::to_the_end(async move {
        let mut written = insert(&ctx, &author, &new, &named).await?;
        let told = std::mem::take(&mut written.told);
        tokio::join!(
            announce(&ctx, written.row.id, written.row.revision, new.request_id),
            announce_answered(&ctx, new.reply_to),
            notifications::announce(&ctx, told),
        );
        Ok(view(&author, &new.text, written))
    })
    .await
}

/// What was written as its author sees it. Put together here and not read again: it saves every writer a statement.
fn view(author: &User, text: &PostText, written: Written) -> PostView {
    let row = written.row;
    PostView {
        entry: row.id,
        id: row.id,
        content: text.as_str().to_owned(),
        user_id: author.id,
        username: author.username.clone(),
        display_name: row.display_name,
        created_at: row.created_at,
        updated_at: row.updated_at,
        deleted_at: None,
        edited: false,
        reply_to: written.reply_to,
        thread_id: written.thread_id,
        likes: 0,
        reposts: 0,
        replies: 0,
        repost: None,
        viewer: Some(ViewerFlags::default()),
        analysis: Some(AnalysisView::pending()),
    }
}

/// Writes a post that answers another one or names somebody or something.
async fn insert(ctx: &Ctx, author: &User, new: &NewPost, named: &Named) -> Result<Written> {
    let (text, request_id) = (&new.text, &new.request_id);
    let mut tx = ctx.db.begin().await?;
    let mut written = match new.reply_to {
        Some(to) => {
            let answer = writing::insert_answer(&mut *tx, author.id, text, to, request_id)
                .await?
                .ok_or(Error::NotFound("post"))?;
            Written {
                row: answer.row,
                reply_to: Some(answer.to),
                thread_id: Some(answer.thread_id),
                told: Vec::new(),
            }
        }
        None => Written {
            row: writing::insert(&mut *tx, author.id, text, request_id).await?,
            reply_to: None,
            thread_id: None,
            told: Vec::new(),
        },
    };
    let id = written.row.id;
    let mentioned = if named.is_empty() {
        Vec::new()
    } else {
        writing::set_named(&mut tx, id, author.id, named).await?
    };
    let answered = written.reply_to.as_ref().map(|answered| answered.user_id);
    let mut notices = mentions(author.id, id, mentioned, answered);
    notices.extend(answered.map(|to| Notice {
        to,
        actor: author.id,
        kind: Kind::Reply,
        post: Some(id),
    }));
    written.told = notifications::notify(&mut tx, &notices).await?;
    tx.commit().await?;
    Ok(written)
}

/// What to tell those who are mentioned, but for the one who is told that this is an answer.
fn mentions(
    actor: UserId,
    post: PostId,
    mentioned: Vec<UserId>,
    answered: Option<UserId>,
) -> Vec<Notice> {
    let others = mentioned.into_iter().filter(|to| Some(*to) != answered);
    others
        .map(|to| Notice {
            to,
            actor,
            kind: Kind::Mention,
            post: Some(post),
        })
        .collect()
}

/// What follows a COMMIT that wrote a text: the feed's new version and the hint, side by side.
async fn announce(ctx: &Ctx, post_id: PostId, revision: i32, request_id: String) {
    let hint = AnalyzePost::new(post_id, revision, request_id);
    tokio::join!(ctx.feed.bump(), ctx.jobs.hint(vec![hint]));
}

/// Tells open pages how many answers a post has now. Never fails: who was not told sees it when the page is loaded again.
async fn announce_answered(ctx: &Ctx, answered: Option<PostId>) {
    let Some(post) = answered else { return };
    match queries::counts(&ctx.db, post).await {
        Ok(counts) => {
            let event = Event::Counts {
                post,
                likes: counts.likes,
                reposts: counts.reposts,
                replies: counts.replies,
            };
            live::publish(ctx, &[event]).await;
        }
        Err(error) => tracing::debug!(%error, "nobody is told of a post's new counts"),
    }
}

/// Why a change of `id` by `author` found nothing to change.
async fn refusal(ctx: &Ctx, caller: UserId, id: PostId) -> Error {
    match get(ctx, Some(caller), id).await {
        Ok(_) => Error::Forbidden("this post is somebody else's"),
        Err(error) => error,
    }
}

/// Changes the text of one's own post; a new text is judged anew, and whoever it mentions for the first time is
/// notified.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own).
pub async fn update(ctx: &Ctx, author: &User, id: PostId, new: NewPost) -> Result<PostView> {
    let (ctx, author) = (ctx.clone(), author.id);
    crate::to_the_end(async move {
        let mut tx = ctx.db.begin().await?;
        let updated = writing::update(&mut *tx, id, author, &new.text, &new.request_id).await?;
        let Some(updated) = updated else {
            tx.rollback().await?;
            return Err(refusal(&ctx, author, id).await);
        };
        let mentioned = writing::set_named(&mut tx, id, author, &new.text.named()).await?;
        let notices = mentions(author, id, mentioned, updated.answered);
        let told = notifications::notify(&mut tx, &notices).await?;
        tx.commit().await?;
        tokio::join!(
            announce(&ctx, id, updated.revision, new.request_id),
            notifications::announce(&ctx, told),
        );
        get(&ctx, Some(author), id).await
    })
    .await
}

/// Deletes one's own post, and its reposts with it; answers it as it was, with the time of its deletion.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Forbidden`] (not one's own).
pub async fn delete(ctx: &Ctx, author: &User, id: PostId) -> Result<PostView> {
    let (ctx, author) = (ctx.clone(), author.id);
    crate::to_the_end(async move {
        if !writing::delete(&ctx.db, id, author).await? {
            return Err(refusal(&ctx, author, id).await);
        }
        ctx.feed.bump().await;
        let post = queries::find(&ctx.db, Some(author), id, true)
            .await?
            .ok_or(Error::NotFound("post"))?;
        let answered = post.reply_to.as_ref().map(|answered| answered.post_id);
        announce_answered(&ctx, answered).await;
        Ok(post)
    })
    .await
}

/// Deletes every post, repost, like and bookmark of an account, as part of the account's deletion.
pub(crate) async fn delete_all_of(
    tx: &mut Transaction<'_, Postgres>,
    author: UserId,
) -> Result<()> {
    writing::hold_counts_around(tx, author).await?;
    likes::remove_all(tx, author).await?;
    bookmarks::remove_all(tx, author).await?;
    Ok(writing::delete_all_of(tx, author).await?)
}
