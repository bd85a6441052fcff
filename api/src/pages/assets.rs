//! What pages are made of beside HTML: compiled into the program, compressed once, named by their content.

use std::{
    io::Write as _,
    sync::{LazyLock, OnceLock},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{Bytes, Path},
};
use flate2::Compression;
use sha2::{Digest as _, Sha256};

use crate::{
    negotiation::{accepts, gzip, has},
    problem::Problem,
};

/// A content's name never means anything else.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// A file and the forms that it is sent in.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    /// The first 16 hexadecimal digits of its SHA-256.
    hash: String,
    url: String,
    brotli: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, plain: &'static [u8]) -> Self {
        let digest = Sha256::digest(plain);
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            url: format!("/assets/{hash}/{name}"),
            name,
            kind,
            plain,
            hash,
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    fn brotli(&self) -> Bytes {
        let pack = || {
            let mut packed = Vec::new();
            let mut writer = brotli::CompressorWriter::new(&mut packed, 4096, 11, 22);
            // Writing to memory does not fail.
            let _done = writer.write_all(self.plain);
            drop(writer);
            packed.into()
        };
        self.brotli.get_or_init(pack).clone()
    }

    fn gzip(&self) -> Bytes {
        let pack = || gzip(self.plain, Compression::best()).into();
        self.gzip.get_or_init(pack).clone()
    }
}

macro_rules! assets {
    ($($constant:ident $name:literal $kind:literal),+ $(,)?) => {
        $(static $constant: LazyLock<Asset> =
            LazyLock::new(|| Asset::new($name, $kind, include_bytes!(concat!("../../assets/", $name))));)+

        fn find(name: &str) -> Option<&'static Asset> {
            [$(&*$constant),+].into_iter().find(|asset| asset.name == name)
        }
    };
}
assets! {
    CSS "app.css" "text/css; charset=utf-8",
    JS "app.js" "text/javascript; charset=utf-8",
    HTMX "htmx.min.js" "text/javascript; charset=utf-8",
    ICONS "icons.svg" "image/svg+xml",
    FAVICON "favicon.svg" "image/svg+xml",
}

/// Where the stylesheet is.
pub fn css() -> &'static str {
    &CSS.url
}
/// Where our own script is.
pub fn js() -> &'static str {
    &JS.url
}
/// Where htmx is.
pub fn htmx() -> &'static str {
    &HTMX.url
}
/// Where the icons are.
pub fn icons() -> &'static str {
    &ICONS.url
}
/// Where the picture for a browser's tab is.
pub fn favicon() -> &'static str {
    &FAVICON.url
}

/// `GET /assets/{hash}/{name}`. Another hash than today's comes from a page of another release: what there is now is
/// closer to what it needs than nothing, but it is not to be kept under that name.
pub async fn serve(
    req: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (hash, name) = path.into_inner();
    let asset = find(&name)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address"))?;
    let (coding, body) = if accepts(req.headers(), "br") {
        (Some("br"), asset.brotli())
    } else if accepts(req.headers(), "gzip") {
        (Some("gzip"), asset.gzip())
    } else {
        (None, Bytes::from_static(asset.plain))
    };
    let tag = format!("\"{}-{}\"", asset.hash, coding.unwrap_or("plain"));
    let known = has(req.headers(), &tag);
    let mut response = HttpResponse::build(if known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    });
    let keep = if hash == asset.hash {
        FOREVER
    } else {
        "no-cache"
    };
    response
        .insert_header((header::CACHE_CONTROL, keep))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "accept-encoding"));
    if known {
        return Ok(response.finish());
    }
    if let Some(coding) = coding {
        response.insert_header((header::CONTENT_ENCODING, coding));
    }
    Ok(response.content_type(asset.kind).body(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The colours of one theme, by name.
    fn theme(block: &str) -> HashMap<&str, [f64; 3]> {
        let lines = block
            .lines()
            .map_while(|line| (!line.trim().starts_with('}')).then_some(line));
        lines
            .filter_map(|line| {
                let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
                let hex = value.strip_suffix(';').filter(|hex| hex.len() == 6)?;
                let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
                Some((
                    name,
                    [part(0)?, part(2)?, part(4)?].map(|part| f64::from(part) / 255.0),
                ))
            })
            .collect()
    }

    /// WCAG 2.2, "relative luminance" and "contrast ratio".
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |rgb: [f64; 3]| {
            let [r, g, b] = rgb.map(|part| {
                if part <= 0.04045 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_pair_of_colours_can_be_told_apart_in_both_themes() {
        let css = std::str::from_utf8(CSS.plain).unwrap();
        let blocks: Vec<&str> = css.split(":root {").skip(1).take(2).collect();
        for (name, block) in [("light", blocks[0]), ("dark", blocks[1])] {
            let theme = theme(block);
            let grounds = ["bg", "surface", "raised", "wash"];
            let words = ["ink", "soft", "accent", "pos", "neg", "neu", "err"];
            let mut pairs: Vec<(&str, &str, f64)> = words
                .iter()
                .flat_map(|word| grounds.map(|ground| (*word, ground, 4.5)))
                .collect();
            pairs.extend([
                ("on-accent", "accent", 4.5),
                ("warn", "warn-bg", 4.5),
                ("ink", "warn-bg", 4.5),
                ("accent", "warn-bg", 4.5),
                ("err", "err-bg", 4.5),
                ("ok", "ok-bg", 4.5),
                ("bg", "ink", 4.5),
                ("edge", "bg", 3.0),
                ("edge", "surface", 3.0),
                ("edge", "raised", 3.0),
            ]);
            for (word, ground, least) in pairs {
                let got = contrast(theme[word], theme[ground]);
                assert!(got >= least, "{name}: {word} on {ground} is {got:.2}");
            }
        }
    }
}
