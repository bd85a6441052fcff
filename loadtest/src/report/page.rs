//! A page of HTML that holds everything it shows: no script, nothing to load, light or dark as the reader has it.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use serde_json::Value;

use super::Chart;

const STYLE: &str = "
:root{color-scheme:light dark;--back:#fff;--text:#1c2330;--quiet:#5b6576;--rule:#dfe3ea;--good:#137a3f;--bad:#b3261e;--box:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--back:#14171d;--text:#e6e9ef;--quiet:#9aa4b5;--rule:#313846;--good:#5fd08d;--bad:#ff8f85;--box:#1c2129}}
body{margin:2rem auto;max-width:1360px;padding:0 1rem;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}.quiet{color:var(--quiet);margin:.2rem 0}
.warn{border-left:4px solid var(--bad);background:var(--box);padding:.6rem 1rem}
.figures{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.figures div{background:var(--box);border:1px solid var(--rule);border-radius:8px;padding:.6rem 1rem;min-width:7rem}
.figures b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}.figures span{color:var(--quiet)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:1rem}
figure{margin:0;background:var(--box);border:1px solid var(--rule);border-radius:8px;padding:.7rem}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}
.grid{stroke:var(--rule)}.tick{fill:var(--quiet);font-size:11px}.line{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke:currentColor}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.3rem 0 0;font-size:.85rem;color:var(--quiet)}.legend i{display:inline-block;width:.8rem;height:.2rem;margin-right:.4rem;vertical-align:middle;background:currentColor}
.c0{color:#2f6fde}.c1{color:#d9822b}.c2{color:#1f9d63}.c3{color:#c03b8f}.c4{color:#7a5cd6}.c5{color:#14909a}.c6{color:#b5472f}.c7{color:#7d8597}
.table{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}caption{text-align:left;color:var(--quiet);padding-bottom:.3rem}
th,td{text-align:right;padding:.3rem .8rem;border-bottom:1px solid var(--rule);white-space:nowrap}th:first-child,td:first-child{text-align:left}td.text{white-space:normal}
.met{color:var(--good)}.missed{color:var(--bad);font-weight:600}pre{background:var(--box);padding:.6rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none}}
";

/// Something in a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A paragraph that must not be overlooked.
    Warning(String),
    /// Figures with what they are: label and value.
    Figures(Vec<(String, String)>),
    /// A table; a cell that begins with `met` or `missed` stands out in its colour.
    Table {
        /// What it shows; empty for nothing.
        caption: String,
        /// The columns' names.
        columns: Vec<String>,
        /// The rows, as many cells each as there are columns.
        rows: Vec<Vec<String>>,
    },
    /// Charts side by side.
    Charts(Vec<Chart>),
    /// Text as it was written, such as an error.
    Verbatim(String),
}

/// A heading with what is below it.
#[derive(Clone, Debug)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// What is below.
    pub blocks: Vec<Block>,
}

impl Section {
    /// An empty section.
    #[must_use]
    pub fn new(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            blocks: Vec::new(),
        }
    }

    /// With one more block.
    #[must_use]
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// The line below the title.
    pub subtitle: String,
    /// What it says.
    pub sections: Vec<Section>,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: impl Into<String>, subtitle: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: subtitle.into(),
            sections: Vec::new(),
        }
    }

    /// Adds a section.
    pub fn push(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Writes `NAME.html` and, for programs, `NAME.json` into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn write(&self, folder: &Path, name: &str, data: &Value) -> anyhow::Result<()> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let (json, html) = (
            folder.join(format!("{name}.json")),
            folder.join(format!("{name}.html")),
        );
        fs::write(&json, serde_json::to_vec_pretty(data)?)
            .with_context(|| format!("{} cannot be written", json.display()))?;
        fs::write(&html, self.html())
            .with_context(|| format!("{} cannot be written", html.display()))?;
        eprintln!(
            "loadtest: written: {} and {}",
            json.display(),
            html.display()
        );
        Ok(())
    }

    /// The whole document.
    #[must_use]
    pub fn html(&self) -> String {
        let (title, subtitle) = (escape(&self.title), escape(&self.subtitle));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1><p class=\"quiet\">{subtitle}</p>\n"
        );
        for section in &self.sections {
            let _ = writeln!(html, "<section><h2>{}</h2>", escape(&section.heading));
            for block in &section.blocks {
                block.write(&mut html);
                html.push('\n');
            }
            html.push_str("</section>\n");
        }
        html.push_str("</body></html>\n");
        html
    }
}

impl Block {
    fn write(&self, html: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Text(text) => write!(html, "<p>{}</p>", escape(text)),
            Self::Warning(text) => write!(html, "<p class=\"warn\">{}</p>", escape(text)),
            Self::Verbatim(text) => write!(html, "<pre>{}</pre>", escape(text)),
            Self::Figures(figures) => {
                html.push_str("<div class=\"figures\">");
                for (label, value) in figures {
                    let _ = write!(
                        html,
                        "<div><b>{}</b><span>{}</span></div>",
                        escape(value),
                        escape(label)
                    );
                }
                write!(html, "</div>")
            }
            Self::Charts(charts) => {
                html.push_str("<div class=\"charts\">");
                charts.iter().for_each(|chart| html.push_str(&chart.svg()));
                write!(html, "</div>")
            }
            Self::Table {
                caption,
                columns,
                rows,
            } => {
                html.push_str("<div class=\"table\"><table>");
                if !caption.is_empty() {
                    let _ = write!(html, "<caption>{}</caption>", escape(caption));
                }
                html.push_str("<thead><tr>");
                for column in columns {
                    let _ = write!(html, "<th scope=\"col\">{}</th>", escape(column));
                }
                html.push_str("</tr></thead><tbody>");
                for row in rows {
                    html.push_str("<tr>");
                    for cell in row {
                        let class = match cell.split_whitespace().next() {
                            Some("met") => " class=\"met\"",
                            Some("missed") => " class=\"missed\"",
                            _ if cell.len() > 60 => " class=\"text\"",
                            _ => "",
                        };
                        let _ = write!(html, "<td{class}>{}</td>", escape(cell));
                    }
                    html.push_str("</tr>");
                }
                write!(html, "</tbody></table></div>")
            }
        };
    }
}

/// Text for HTML, also inside quotes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_everything_it_shows_and_nothing_of_a_server_becomes_markup() {
        let mut page = Page::new("A <run>", "on a machine");
        page.push(
            Section::new("What")
                .with(Block::Warning("<script>alert(1)</script>".into()))
                .with(Block::Table {
                    caption: "c".into(),
                    columns: vec!["bar".into()],
                    rows: vec![vec!["missed by 3".into()]],
                })
                .with(Block::Figures(vec![("rate".into(), "7".into())])),
        );
        let html = page.html();
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url("));
        assert!(html.contains("<td class=\"missed\">missed by 3</td>"));
    }
}
