//! What to do about the failures of a run, where that is known.

use std::collections::BTreeMap;

/// A sentence for each kind of failure that has a known cause.
#[must_use]
pub fn of(reasons: &BTreeMap<String, u64>, address: &str) -> Vec<String> {
    let has = |text: &str| reasons.keys().any(|reason| reason.contains(text));
    let mut all = Vec::new();
    if has("status 429") {
        all.push(
            "status 429 is the server's rate limit: start the stack with `RATE_LIMITER=false make up` for a load test".into(),
        );
    }
    if has("connection refused") {
        all.push(format!(
            "nobody listened at {address}: is the stack up (`make up`, `make status`)?"
        ));
    }
    if has("status 401") {
        all.push(
            "status 401: the accounts' logins no longer hold; the next run logs them in again. If it does not, delete the \
             file that --state names"
                .into(),
        );
    }
    if has("status 502") || has("status 504") {
        all.push("status 502 and 504 are NGINX' own: a replica died or did not answer; see `make logs P=api`".into());
    }
    if has("Too many open files") {
        all.push(
            "the generator has too many open files: raise `ulimit -n`, or use fewer users".into(),
        );
    }
    if has("Cannot assign requested address") {
        all.push("this machine has no free port left for a new connection: use fewer users, or wait a minute".into());
    }
    if has("event: never arrived") {
        all.push("new posts are told of by the workers: is one running (`make status`)?".into());
    }
    if has("no answer within") {
        all.push("answers that take longer than --timeout count as failed".into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_refusals_teaches_how_to_start_the_stack() {
        let reasons = BTreeMap::from([("feed: status 429 instead of 200".to_owned(), 7)]);
        let said = of(&reasons, "127.0.0.1:1");
        assert!(said.len() == 1 && said[0].contains("RATE_LIMITER=false make up"));
        let reasons = BTreeMap::from([("feed: connection refused".to_owned(), 7)]);
        assert!(of(&reasons, "127.0.0.1:1")[0].contains("127.0.0.1:1"));
        assert!(of(&BTreeMap::new(), "x").is_empty());
    }
}
