//! Tables: the same rows as text in a terminal and as a part of a page.

use crate::report::{Block, Section};

/// To which side a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A title, a head, rows, and sentences below.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// As many fields as there are columns.
    pub rows: Vec<Vec<String>>,
    /// What a reader has to know.
    pub notes: Vec<String>,
    align: Vec<Align>,
}

impl Table {
    /// An empty one; the first column holds words and the others figures, unless `align` says otherwise.
    #[must_use]
    pub fn new(title: &str, head: &[&str]) -> Self {
        let align = |place| {
            if place == 0 {
                Align::Left
            } else {
                Align::Right
            }
        };
        Self {
            title: title.to_owned(),
            head: head.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
            notes: Vec::new(),
            align: (0..head.len()).map(align).collect(),
        }
    }

    /// Lets a column lean to a side.
    pub fn align(&mut self, column: usize, align: Align) -> &mut Self {
        if let Some(place) = self.align.get_mut(column) {
            *place = align;
        }
        self
    }

    /// Whether a column holds words.
    #[must_use]
    pub fn is_words(&self, column: usize) -> bool {
        self.align.get(column) == Some(&Align::Left)
    }

    /// Adds a row; what is missing is empty.
    pub fn row(&mut self, fields: impl IntoIterator<Item = String>) {
        let mut fields: Vec<String> = fields.into_iter().collect();
        fields.resize(self.head.len(), String::new());
        self.rows.push(fields);
    }

    /// Adds a sentence.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// As a section of a page.
    #[must_use]
    pub fn section(&self) -> Section {
        let table = Block::Table {
            caption: String::new(),
            columns: self.head.clone(),
            rows: self.rows.clone(),
        };
        let section = Section::new(&self.title).with(table);
        self.notes.iter().fold(section, |section, note| {
            section.with(Block::Text(note.clone()))
        })
    }

    /// As text, with columns as wide as what is in them.
    #[must_use]
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let fields = self
                .rows
                .iter()
                .chain([&self.head])
                .filter_map(|row| row.get(column));
            fields.map(|field| field.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &[String]| {
            let mut text = String::new();
            for (column, field) in row.iter().enumerate() {
                let blank = " ".repeat(widths[column].saturating_sub(field.chars().count()));
                let (before, after) = if self.is_words(column) {
                    ("", blank.as_str())
                } else {
                    (blank.as_str(), "")
                };
                text += &format!("  {before}{field}{after}");
            }
            text.trim_end().to_owned() + "\n"
        };
        let mut text = format!("{}\n{}", self.title, line(&self.head));
        for row in &self.rows {
            text += &line(row);
        }
        for note in &self.notes {
            text += &format!("  {note}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new("Birds", &["name", "eggs", "song"]);
        table.align(2, Align::Left);
        table.row(["linnet".to_owned(), "5".to_owned(), "twitter".to_owned()]);
        table.row(["wren – ö".to_owned(), "1,000".to_owned()]);
        table.note("Counted in May.");
        let text = "Birds\n  name       eggs  song\n  linnet        5  twitter\n  wren – ö  1,000\n  Counted in May.\n";
        assert_eq!(table.text(), text);
    }
}
