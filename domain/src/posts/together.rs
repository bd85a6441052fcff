//! Posts that are written and read together: what many ask for while a thread has a statement under way goes into its
//! next one (see [`crate::batch`]).

use std::sync::Arc;

use sqlx::PgPool;

use super::{
    PostText, PostView,
    cache::FeedCache,
    queries::{
        self,
        writing::{self, Inserted},
    },
};
use crate::{
    Error, Result,
    batch::{self, Batch},
    ids::{PostId, UserId},
    jobs::{AnalyzePost, Jobs},
};

/// Posts in one statement at most. At 500 characters a post it is some 100 KB, and the last of them waits a few
/// milliseconds longer than it would alone.
const MOST: usize = 128;

/// A post that names nobody and nothing and answers nothing: one row is all there is to write.
#[derive(Clone)]
pub(crate) struct Draft {
    pub author: UserId,
    pub text: PostText,
    pub request_id: String,
    /// The author's own, as the batch may run in somebody else's.
    pub traceparent: Option<String>,
}

/// The shared calls of one thread.
pub(crate) struct Together {
    find: Batch<PostId, Result<Option<PostView>>>,
    write: Batch<Draft, Result<Inserted>>,
}

impl Together {
    pub(crate) fn new(db: PgPool, feed: Arc<FeedCache>, jobs: Jobs) -> Self {
        let reading = db.clone();
        Self {
            find: Batch::new(
                "posts.find",
                MOST,
                batch::outage(&db),
                move |ids: Vec<PostId>| {
                    let db = reading.clone();
                    async move { find(&db, &ids).await }
                },
            ),
            write: Batch::new(
                "posts.write",
                MOST,
                batch::outage(&db),
                move |drafts: Vec<Draft>| {
                    let (db, feed, jobs) = (db.clone(), Arc::clone(&feed), jobs.clone());
                    async move { write(&db, &feed, &jobs, drafts).await }
                },
            ),
        }
    }

    /// A post as everybody sees it; `None` if there is none, or only a repost.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn find(&self, id: PostId) -> Result<Option<PostView>> {
        self.find.call(id).await?
    }

    /// Writes a post; when this returns the feed has its new version and a worker has its hint.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn write(&self, draft: Draft) -> Result<Inserted> {
        self.write.call(draft).await?
    }
}

async fn find(db: &PgPool, ids: &[PostId]) -> Vec<Result<Option<PostView>>> {
    let found = queries::by_entries(db, None, ids)
        .await
        .map_err(Error::from);
    batch::answers(ids, found, |found, id| {
        // A repost is no post of its own.
        let mut posts = found.iter();
        posts
            .find(|post| post.entry == *id && post.repost.is_none())
            .cloned()
    })
}

async fn write(
    db: &PgPool,
    feed: &Arc<FeedCache>,
    jobs: &Jobs,
    drafts: Vec<Draft>,
) -> Vec<Result<Inserted>> {
    let rows: Vec<Result<Inserted>> = match writing::insert_all(db, &drafts).await {
        Ok(rows) if rows.len() == drafts.len() => rows.into_iter().map(Ok).collect(),
        Ok(_) => drafts
            .iter()
            .map(|_| Err(Error::internal("posts were written and not answered")))
            .collect(),
        // One that cannot be written, since its author has just gone, must not take the others with it.
        Err(sqlx::Error::Database(_)) if drafts.len() > 1 => {
            let mut rows = Vec::with_capacity(drafts.len());
            for draft in &drafts {
                let Draft {
                    author,
                    text,
                    request_id,
                    ..
                } = draft;
                let row = writing::insert(db, *author, text, request_id).await;
                rows.push(row.map_err(Error::from));
            }
            rows
        }
        Err(error) => {
            let error = Error::from(error);
            drafts.iter().map(|_| Err(error.shared())).collect()
        }
    };
    let hints: Vec<AnalyzePost> = drafts
        .into_iter()
        .zip(&rows)
        .filter_map(|(draft, row)| {
            let row = row.as_ref().ok()?;
            Some(AnalyzePost {
                post_id: row.id,
                revision: row.revision,
                request_id: draft.request_id,
                traceparent: draft.traceparent,
            })
        })
        .collect();
    if !hints.is_empty() {
        tokio::join!(feed.bump(), jobs.hint(hints));
    }
    rows
}
