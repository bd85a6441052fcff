//! `/api/export`: all that is stored of the caller, as one JSON document that is sent while it is read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    get,
    http::header::{self, ContentType},
    web::{Bytes, Data},
};
use chrono::{DateTime, Utc};
use domain::exports::{self, Account, Contact, Edit, Export, Mark, Part, Told, Written};
use serde::Serialize;
use utoipa::ToSchema;

use super::{post_dto::AnalysisDto, sessions::SessionDto};
use crate::{
    extract::CurrentUser,
    openapi::{Common, LoginNeeded, NoSuch},
    problem::Problem,
    routes::State,
};

/// The account and what it says of itself.
#[derive(Serialize, ToSchema)]
pub struct ExportedAccount {
    id: i64,
    username: String,
    display_name: String,
    bio: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Account> for ExportedAccount {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.0,
            username: account.username.clone(),
            display_name: account.display_name.clone(),
            bio: account.bio.clone(),
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// Somebody the account has to do with.
#[derive(Serialize, ToSchema)]
pub struct ExportedContact {
    id: i64,
    username: String,
    /// Since when.
    created_at: DateTime<Utc>,
}

impl From<Contact> for ExportedContact {
    fn from(contact: Contact) -> Self {
        Self {
            id: contact.id.0,
            username: contact.username,
            created_at: contact.created_at,
        }
    }
}

/// A post that was liked or bookmarked.
#[derive(Serialize, ToSchema)]
pub struct ExportedMark {
    post_id: i64,
    created_at: DateTime<Utc>,
}

impl From<Mark> for ExportedMark {
    fn from(mark: Mark) -> Self {
        Self {
            post_id: mark.post_id.0,
            created_at: mark.created_at,
        }
    }
}

/// Something that the account was told.
#[derive(Serialize, ToSchema)]
pub struct ExportedNotification {
    id: i64,
    /// `reply`, `mention`, `like`, `repost` or `follow`.
    kind: &'static str,
    actor_id: i64,
    username: String,
    post_id: Option<i64>,
    created_at: DateTime<Utc>,
    read_at: Option<DateTime<Utc>>,
}

impl From<Told> for ExportedNotification {
    fn from(told: Told) -> Self {
        Self {
            id: told.id,
            kind: told.kind.as_str(),
            actor_id: told.actor_id.0,
            username: told.username,
            post_id: told.post_id.map(|id| id.0),
            created_at: told.created_at,
            read_at: told.read_at,
        }
    }
}

/// An earlier text of a post.
#[derive(Serialize, ToSchema)]
pub struct ExportedEdit<'a> {
    content: &'a str,
    /// When this text was written.
    created_at: DateTime<Utc>,
}

impl<'a> From<&'a Edit> for ExportedEdit<'a> {
    fn from(edit: &'a Edit) -> Self {
        Self {
            content: &edit.content,
            created_at: edit.created_at,
        }
    }
}

/// A post, or a repost, which has no words.
#[derive(Serialize, ToSchema)]
pub struct ExportedPost<'a> {
    id: i64,
    content: &'a str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Which post it answers.
    reply_to: Option<i64>,
    /// Which post it shows again.
    repost_of: Option<i64>,
    /// What it said before, oldest first.
    edits: Vec<ExportedEdit<'a>>,
    /// Null for a repost.
    analysis: Option<AnalysisDto<'a>>,
}

impl<'a> From<&'a Written> for ExportedPost<'a> {
    fn from(post: &'a Written) -> Self {
        Self {
            id: post.id.0,
            content: &post.content,
            created_at: post.created_at,
            updated_at: post.updated_at,
            reply_to: post.reply_to.map(|id| id.0),
            repost_of: post.repost_of.map(|id| id.0),
            edits: post.edits.iter().map(ExportedEdit::from).collect(),
            analysis: post.analysis.as_ref().map(AnalysisDto::from),
        }
    }
}

/// All that is stored of the caller; in every list the newest first.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the document is written part by part; this says what it is as a whole"
)]
pub struct ExportDto<'a> {
    account: ExportedAccount,
    sessions: Vec<SessionDto>,
    followed: Vec<ExportedContact>,
    followers: Vec<ExportedContact>,
    blocks: Vec<ExportedContact>,
    mutes: Vec<ExportedContact>,
    likes: Vec<ExportedMark>,
    bookmarks: Vec<ExportedMark>,
    notifications: Vec<ExportedNotification>,
    posts: Vec<ExportedPost<'a>>,
}

/// The document as far as it has been written.
struct Writer {
    section: &'static str,
    out: Vec<u8>,
}

impl Writer {
    fn new(account: &Account) -> Self {
        let mut writer = Self {
            section: "",
            out: br#"{"account":"#.to_vec(),
        };
        writer.json(&ExportedAccount::from(account));
        writer
    }

    /// Serialising these types cannot fail: they hold no maps and no foreign types.
    fn json(&mut self, value: &impl Serialize) {
        let _cannot_fail = serde_json::to_writer(&mut self.out, value);
    }

    /// The items of a part, in the list of the section that it belongs to.
    fn list<T: Serialize>(&mut self, section: &'static str, items: impl Iterator<Item = T>) {
        let mut is_first = self.section != section;
        if is_first {
            let end: &[u8] = if self.section.is_empty() { b"" } else { b"]" };
            self.out.extend_from_slice(end);
            self.out
                .extend_from_slice(format!(",\n\"{section}\":[").as_bytes());
            self.section = section;
        }
        for item in items {
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.json(&item);
        }
    }

    fn part(&mut self, part: Part) {
        let contacts = |contacts: Vec<Contact>| contacts.into_iter().map(ExportedContact::from);
        let marks = |marks: Vec<Mark>| marks.into_iter().map(ExportedMark::from);
        match part {
            Part::Sessions(items) => {
                self.list("sessions", items.into_iter().map(SessionDto::from));
            }
            Part::Followed(items) => self.list("followed", contacts(items)),
            Part::Followers(items) => self.list("followers", contacts(items)),
            Part::Blocks(items) => self.list("blocks", contacts(items)),
            Part::Mutes(items) => self.list("mutes", contacts(items)),
            Part::Likes(items) => self.list("likes", marks(items)),
            Part::Bookmarks(items) => self.list("bookmarks", marks(items)),
            Part::Notifications(items) => self.list(
                "notifications",
                items.into_iter().map(ExportedNotification::from),
            ),
            Part::Posts(items) => self.list("posts", items.iter().map(ExportedPost::from)),
        }
    }

    /// What has been written since the last call.
    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }
}

/// The body of the answer: each part is written when it is asked for.
struct Document {
    export: Export,
    writer: Writer,
    is_complete: bool,
}

impl MessageBody for Document {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        if self.is_complete {
            return Poll::Ready(None);
        }
        loop {
            match ready!(self.export.poll_next(context)) {
                Ok(Some(part)) => self.writer.part(part),
                Ok(None) => {
                    self.writer.out.extend_from_slice(b"]}\n");
                    self.is_complete = true;
                }
                // An answer that breaks off, so that nobody takes a part for the whole.
                Err(error) => {
                    let problem = Problem::from(error);
                    return Poll::Ready(Some(Err(io::Error::other(problem.to_string()))));
                }
            }
            let bytes = self.writer.take();
            // No bytes at all would be the end to whoever encodes them.
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

/// All that is stored of the caller, as a file to keep.
///
/// It shows everything as it was at one moment, and counts as a write for the rate limits.
#[utoipa::path(
    tag = "people", security(("cookie" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "The document", body = ExportDto,
         headers(("content-disposition" = String, description = "`attachment; filename=\"linnet-….json\"`"))),
        LoginNeeded, NoSuch, Common,
    )
)]
#[get("/api/export")]
pub async fn download(
    state: Data<State>,
    CurrentUser(session): CurrentUser,
) -> Result<HttpResponse, Problem> {
    let export = exports::open(&state.ctx, &session).await?;
    // A username holds nothing that would have to be escaped.
    let name = format!(
        "attachment; filename=\"linnet-{}.json\"",
        export.account().username
    );
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(Document {
            writer: Writer::new(export.account()),
            export,
            is_complete: false,
        }))
}
