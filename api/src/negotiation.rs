//! What form of an answer the caller takes, and whether they have it already.

use std::io::Write as _;

use actix_web::http::header::{self, HeaderMap};
use flate2::{Compression, write::GzEncoder};

/// Whether a list like `gzip;q=0.5, br` in `Accept-Encoding` takes `coding`.
pub(crate) fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING);
    let mut offers = lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    offers.any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let refused = |part: &str| {
            let weight = part.strip_prefix("q=").map(str::parse::<f32>);
            weight.is_some_and(|weight| weight.is_ok_and(|weight| weight <= 0.0))
        };
        named && !parts.any(refused)
    })
}

/// Whether `If-None-Match` names this entity tag, strong or weak (RFC 9110, section 13.1.2).
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    fn opaque(tag: &str) -> &str {
        tag.trim().trim_start_matches("W/")
    }
    let wanted = opaque(tag);
    let lists = headers.get_all(header::IF_NONE_MATCH);
    let mut known = lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    known.any(|known| opaque(known) == wanted)
}

/// `plain` in the coding `gzip`.
pub(crate) fn gzip(plain: &[u8], effort: Compression) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), effort);
    // Writing to memory does not fail.
    let done = writer.write_all(plain).and_then(|()| writer.finish());
    done.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    #[test]
    fn the_forms_a_reader_takes() {
        let accepts = |list: &str, coding: &str| {
            let req = TestRequest::default().insert_header(("accept-encoding", list));
            super::accepts(req.to_http_request().headers(), coding)
        };
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("BR;q=0.5", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("brotli", "br"));
        assert!(!accepts("", "gzip"));
    }

    #[test]
    fn what_a_reader_has_is_known_by_its_tag() {
        let has = |list: &str, tag: &str| {
            let req = TestRequest::default().insert_header(("if-none-match", list));
            super::has(req.to_http_request().headers(), tag)
        };
        assert!(has("\"1\"", "\"1\""));
        assert!(has("\"0\", W/\"1\"", "W/\"1\""));
        assert!(has("\"1\"", "W/\"1\""));
        assert!(!has("\"12\"", "\"1\""));
        assert!(!has("", "\"1\""));
    }
}
