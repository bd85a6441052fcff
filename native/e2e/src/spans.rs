//! The spans that the collector of the end-to-end test has received: a line of JSON each (native/e2e/collector/spans.py).

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

/// A span as the collector got it.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its number.
    pub id: String,
    /// Its parent's; empty where there is none.
    pub parent: String,
    /// The program that made it.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// server, client, consumer or internal.
    pub kind: String,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
}

/// All spans of one trace, in the order of their beginnings.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The spans.
    pub spans: Vec<Span>,
    /// The lines that they were read from, to be searched for what must not be there.
    pub text: String,
}

impl Trace {
    /// What has been received of a trace so far.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn read(file: &str, number: &str) -> Self {
        let text = std::fs::read_to_string(file).expect("the collector's file");
        let mut trace = Self::default();
        // The last line may be half written.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let span: Value = serde_json::from_str(line).expect("a line of JSON");
            if span["trace"] == number {
                trace.text.push_str(line);
                trace.spans.push(read(&span));
            }
        }
        trace.spans.sort_by_key(|span| span.began);
        trace
    }

    /// The parts of a span; those of nobody are the roots.
    fn parts<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |span| span.parent == parent)
    }

    /// The spans whose parent is not among them.
    #[must_use]
    pub fn roots(&self) -> Vec<&Span> {
        let known = |id: &str| self.spans.iter().any(|span| span.id == id);
        let roots = self.spans.iter().filter(|span| !known(&span.parent));
        roots.collect()
    }

    /// The part of `parent` in `service` whose name begins so.
    ///
    /// # Panics
    /// When there is none.
    pub fn part<'a>(&'a self, parent: &'a Span, service: &str, name: &str) -> &'a Span {
        let mut parts = self.parts(&parent.id);
        let found = parts.find(|span| span.service == service && span.name.starts_with(name));
        found.unwrap_or_else(|| {
            let tree = self.tree();
            panic!("no {name} of {service} within {} in\n{tree}", parent.name)
        })
    }

    /// The trace for a person: a line for each span, indented below its parent, with when it began after the first one and
    /// how long it took.
    #[must_use]
    pub fn tree(&self) -> String {
        let began = self.spans.first().map_or(0, |span| span.began);
        let mut tree = String::new();
        for root in self.roots() {
            self.write(&mut tree, root, 0, began);
        }
        tree
    }

    fn write(&self, tree: &mut String, span: &Span, depth: usize, began: u64) {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let name = format!("{}{}", "  ".repeat(depth), span.name);
        writeln!(
            tree,
            "{name:<58} {:<12} {:>9.3} ms  at {:>9.3} ms",
            span.service,
            milliseconds(span.ended.saturating_sub(span.began)),
            milliseconds(span.began.saturating_sub(began)),
        )
        .expect("a String takes everything");
        for part in self.parts(&span.id) {
            self.write(tree, part, depth + 1, began);
        }
    }
}

fn read(span: &Value) -> Span {
    let text = |name: &str| span[name].as_str().expect("text").to_owned();
    let number = |name: &str| span[name].as_u64().expect("a number");
    let fields = span["fields"].as_object().expect("fields");
    Span {
        id: text("id"),
        parent: text("parent"),
        service: text("service"),
        name: text("name"),
        kind: text("kind"),
        began: number("began"),
        ended: number("ended"),
        fields: fields.clone().into_iter().collect(),
    }
}
