//! The README's table of options is the program's.

use std::{fmt::Write as _, path::Path};

use clap::CommandFactory as _;

/// The options of `loadtest run`, one row each.
fn table() -> String {
    let mut cli = loadtest::cli::Cli::command();
    cli.build();
    let mut table = String::from("| option | default | what it does |\n|---|---|---|\n");
    for option in cli.find_subcommand("run").unwrap().get_arguments() {
        let Some(long) = option.get_long().filter(|long| *long != "help") else {
            continue;
        };
        let takes_value = option.get_action().takes_values();
        let value = option.get_value_names().filter(|_| takes_value);
        let value = value
            .map(|names| format!(" {}", names.join(" ")))
            .unwrap_or_default();
        let default: Vec<_> = option
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = if default.is_empty() || !takes_value {
            String::new()
        } else {
            format!("`{}`", default.join(","))
        };
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        let variable = option
            .get_env()
            .map(|name| format!(" (`{}`)", name.to_string_lossy()))
            .unwrap_or_default();
        writeln!(
            table,
            "| `--{long}{value}`{variable} | {default} | {help} |"
        )
        .unwrap();
    }
    table
}

#[test]
fn the_readme_names_the_options_as_they_are() {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = Path::new(&package).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let start = "<!-- options of loadtest run -->\n";
    let (before, rest) = readme.split_once(start).unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(
            &path,
            format!("{before}{start}{}<!-- end -->{after}", table()),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        found,
        table(),
        "UPDATE_README=1 cargo test -p loadtest writes the options into README.md"
    );
}
