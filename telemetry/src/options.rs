//! The table of a program's options in the README, made from its clap structs, and the test that keeps it true.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "tests have nobody to report to but their own output"
)]

use std::{fmt::Write as _, path::Path};

use clap::Command;

/// The options of `command`, one row each: environment variable, default, meaning.
#[must_use]
pub fn table(command: &Command) -> String {
    let mut table = String::from("| variable | default | what it does |\n|---|---|---|\n");
    for option in command.get_arguments() {
        let Some(variable) = option.get_env() else {
            continue;
        };
        let defaults: Vec<_> = option
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = match defaults.as_slice() {
            [] if option.is_required_set() => "required".to_owned(),
            [] => "none".to_owned(),
            values => format!("`{}`", values.join(",")),
        };
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        let variable = variable.to_string_lossy();
        let mut names = format!("`{variable}`");
        if option.is_hide_env_values_set() {
            // As `secrets` takes every secret.
            write!(names, " or `{variable}_FILE`").expect("a String takes everything");
        }
        let row = format!("| {names} | {default} | {help} |");
        writeln!(table, "{row}").expect("a String takes everything");
    }
    table
}

/// Checks that the README of the workspace holds the table of `command` between the comments
/// `<!-- options of NAME -->` and `<!-- end -->`; with `UPDATE_README=1` in the environment it writes it there.
///
/// # Panics
/// When it does not, or cannot be read or written.
pub fn check_readme(name: &str, command: &Command) {
    // Asked when the test runs: clones share cargo's target folder, and what is compiled in may be another one's path.
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let path = Path::new(&package).join("../README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let start = format!("<!-- options of {name} -->\n");
    let (before, rest) = readme
        .split_once(&start)
        .unwrap_or_else(|| panic!("README.md has no line {}", start.trim()));
    let (found, after) = rest
        .split_once("<!-- end -->")
        .expect("the end of the table");
    let wanted = table(command);
    if std::env::var_os("UPDATE_README").is_some() {
        let text = format!("{before}{start}{wanted}<!-- end -->{after}");
        std::fs::write(&path, text).expect("README.md");
        return;
    }
    assert_eq!(
        found, wanted,
        "the options of {name} in README.md are not those of the program: UPDATE_README=1 cargo test writes them"
    );
}
