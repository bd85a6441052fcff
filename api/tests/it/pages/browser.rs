//! A browser without scripts: it keeps its cookie, follows where it is sent, fills in the forms that pages have.

use std::collections::HashSet;

use reqwest::header::HeaderMap;

use crate::{app::TestApp, client::Client};

/// Somebody with a browser.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    base: String,
    /// The login.
    pub token: Option<String>,
}

/// What came back.
pub struct Page {
    /// The request, for messages.
    pub what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub html: String,
    /// Its compressed length.
    pub length: usize,
}

/// What every page may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

impl Browser {
    /// Nobody in particular, at a replica.
    pub fn at(app: &TestApp) -> Self {
        Self::of(&app.client(0))
    }

    /// Somebody who has logged in with a program.
    pub fn of(client: &Client) -> Self {
        Self {
            http: crate::client::http(),
            base: format!("http://{}", client.address),
            token: client.token.clone(),
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        if let Some(token) = &self.token {
            request = request.header("cookie", format!("jwt={token}"));
        }
        request
    }

    pub async fn get(&self, path: &str) -> Page {
        let request = self.request(reqwest::Method::GET, path);
        Page::read(path, request.send().await.expect("an answer")).await
    }

    /// The same with a header more.
    pub async fn get_with(&self, path: &str, name: &str, value: &str) -> Page {
        let request = self.request(reqwest::Method::GET, path).header(name, value);
        Page::read(path, request.send().await.expect("an answer")).await
    }

    /// Sends a form as it is given, with these headers more.
    pub async fn send_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self
            .request(reqwest::Method::POST, path)
            .body(encoded(fields));
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Page::read(path, request.send().await.expect("an answer")).await
    }

    /// Sends a form from a page of one's own: with the token that the page at `from` holds. A cookie that comes back is
    /// kept.
    pub async fn submit(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(from).await;
        let token = page.csrf();
        let mut all = vec![("csrf", token.as_str())];
        all.extend(fields);
        let answer = self.send_with(path, &all, &[]).await;
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let cookie = cookie.to_str().expect("a text");
            let token = cookie
                .strip_prefix("jwt=")
                .and_then(|rest| rest.split(';').next());
            self.token = token.filter(|token| !token.is_empty()).map(str::to_owned);
        }
        answer
    }

    /// The same, and goes where the answer sends it.
    pub async fn submit_and_follow(
        &mut self,
        from: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let answer = self.submit(from, path, fields).await;
        let to = answer.sent_to();
        self.get(&to).await
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| {
        format!(
            "{}={}",
            api::pages::encoded(name),
            api::pages::encoded(value)
        )
    });
    pairs.collect::<Vec<_>>().join("&")
}

impl Page {
    async fn read(path: &str, answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("a body");
        let page = Self {
            what: path.to_owned(),
            status,
            headers,
            length: bytes.len(),
            html: String::from_utf8_lossy(&bytes).into_owned(),
        };
        page.check();
        page
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a text"))
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.html);
        self
    }

    #[track_caller]
    pub fn shows(self, part: &str) -> Self {
        assert!(
            self.html.contains(part),
            "{} lacks {part:?}: {}",
            self.what,
            self.html
        );
        self
    }

    #[track_caller]
    pub fn hides(self, part: &str) -> Self {
        assert!(
            !self.html.contains(part),
            "{} has {part:?}: {}",
            self.what,
            self.html
        );
        self
    }

    /// Where a 303 leads.
    #[track_caller]
    pub fn sent_to(&self) -> String {
        assert_eq!(self.status, 303, "{}: {}", self.what, self.html);
        self.header("location").to_owned()
    }

    /// The token that forms of this page carry; empty for who is not logged in.
    pub fn csrf(&self) -> String {
        let field = self.html.split("name=\"csrf\" value=\"").nth(1);
        field
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    }

    /// The rules for all pages.
    #[track_caller]
    fn check(&self) {
        let what = &self.what;
        if self.status == 303 || self.html.is_empty() {
            return;
        }
        if !self.header("content-type").starts_with("text/html") {
            return;
        }
        if !self.header("content-encoding").is_empty() {
            return;
        }
        assert_eq!(self.header("content-security-policy"), POLICY, "{what}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(self.header("referrer-policy"), "same-origin", "{what}");
        assert_eq!(
            self.header("cross-origin-opener-policy"),
            "same-origin",
            "{what}"
        );
        assert!(!self.header("permissions-policy").is_empty(), "{what}");
        let tags = tags(&self.html);
        let (mut ids, mut wanted) = (HashSet::new(), Vec::new());
        for tag in &tags {
            for (name, value) in &tag.attributes {
                let inline =
                    name.starts_with("on") || name.starts_with("hx-on") || *name == "style";
                assert!(!inline, "{what}: {name} in <{}>", tag.name);
                match *name {
                    "id" => assert!(ids.insert(*value), "{what}: two elements are {value:?}"),
                    "for" | "form" => wanted.push(*value),
                    "aria-describedby" | "aria-labelledby" => {
                        wanted.extend(value.split_whitespace())
                    }
                    "href" | "src" | "action" | "formaction" => {
                        assert!(
                            !value.to_lowercase().starts_with("javascript:"),
                            "{what}: {value}"
                        );
                    }
                    _ => {}
                }
            }
            assert_ne!(tag.name, "style", "{what}");
            if tag.name == "script" {
                assert!(tag.attribute("src").starts_with("/assets/"), "{what}");
                assert!(
                    tag.text_after.is_empty(),
                    "{what}: a script within the page"
                );
            }
        }
        if self.html.starts_with("<!doctype html>") {
            for id in wanted {
                assert!(ids.contains(id), "{what}: nothing is {id:?}");
            }
            let count = |name: &str| tags.iter().filter(|tag| tag.name == name).count();
            assert_eq!(
                (count("main"), count("h1"), count("title")),
                (1, 1, 1),
                "{what}"
            );
            assert!(self.html.contains("<html lang=\"en\""), "{what}");
        }
    }
}

/// A start tag.
pub struct Tag<'a> {
    pub name: &'a str,
    pub attributes: Vec<(&'a str, &'a str)>,
    /// What stands between it and the next tag.
    pub text_after: &'a str,
}

impl Tag<'_> {
    pub fn attribute(&self, name: &str) -> &str {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(named, _)| *named == name)
            .map_or("", |(_, value)| value)
    }
}

/// The start tags of a text, read as browsers do as far as our own pages need it: a `<` that no letter follows begins
/// nothing, and `>` within quotes ends nothing.
pub fn tags(html: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with('>') {
                break;
            }
            let end = rest
                .find(|c: char| c.is_whitespace() || "=>/".contains(c))
                .unwrap_or(rest.len());
            let attribute = &rest[..end];
            rest = &rest[end..];
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let quote = after.chars().next().filter(|c| "\"'".contains(*c));
                assert!(quote.is_some(), "an attribute without quotes in <{name}>");
                let inner = &after[1..];
                let close = inner
                    .find(quote.expect("a quote"))
                    .expect("a closing quote");
                value = &inner[..close];
                rest = &inner[close + 1..];
            }
            attributes.push((attribute, value));
        }
        rest = rest.strip_prefix('>').unwrap_or(rest);
        let text_after = &rest[..rest.find('<').unwrap_or(rest.len())];
        found.push(Tag {
            name,
            attributes,
            text_after,
        });
    }
    found
}
