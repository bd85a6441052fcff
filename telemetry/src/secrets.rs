//! Secrets in files: whatever a program takes as a secret from the variable `NAME` it also takes from the file that
//! `NAME_FILE` names, which is how containers hand secrets over.
//!
//! An option is a secret when its clap field says `hide_env_values = true`; nothing else has to be done for it. What
//! the secrets mean, and whether one may be missing, is not known here.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::PathBuf,
};

use clap::{Command, Parser, error::ErrorKind};

/// Why a secret cannot be had from its file. The sentences name the variable, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is given twice, and nobody could say which one counts.
    #[error("{0} and {0}_FILE are both set; give one of them")]
    Both(String),
    /// There is no such file, it is not ours to read, or it is no text.
    #[error("{name}_FILE={} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The variable, without `_FILE`.
        name: String,
        /// What `NAME_FILE` says.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

/// The secret called `name`: the variable of that name, or the content of the file that `name_FILE` names, without the
/// line's end. An empty variable and an empty file are none.
///
/// # Errors
/// When both are set or the file cannot be read.
pub fn secret(name: &str) -> Result<Option<String>, SecretError> {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    Ok(from_file(name, &|name| env::var_os(name))?.or(value))
}

/// Reads the command line, the environment and the files of secrets; ends the program with an explanation if they
/// make no sense.
#[must_use]
pub fn parse<C: Parser>(words: Vec<OsString>) -> C {
    match with_files(&C::command(), words, &|name| env::var_os(name)) {
        Ok(words) => C::parse_from(words),
        Err(fault) => C::command().error(ErrorKind::Io, fault).exit(),
    }
}

/// The command line with the secrets that are in files as if they had been written there. It stays in this process:
/// what others see of a command line is what it was started with.
fn with_files(
    command: &Command,
    mut words: Vec<OsString>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, SecretError> {
    // There the subcommand is only asked about.
    if words.get(1).is_some_and(|word| word == "help") {
        return Ok(words);
    }
    // An option belongs behind the subcommand that has it; behind the program's name, when that has it.
    let chosen = words.iter().enumerate().skip(1).find_map(|(place, word)| {
        let subcommand = command.find_subcommand(word)?;
        Some((place + 1, subcommand))
    });
    let places = chosen.into_iter().chain([(1, command)]);
    for (place, command) in places {
        for option in command.get_arguments() {
            let (Some(name), Some(flag)) =
                (option.get_env().and_then(OsStr::to_str), option.get_long())
            else {
                continue;
            };
            // What the command line says counts, as it does against a variable.
            let is_given = |word: &OsString| {
                let word = word.to_string_lossy();
                word.strip_prefix("--")
                    .and_then(|word| word.strip_prefix(flag))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            };
            if !option.is_hide_env_values_set() || words.iter().any(is_given) {
                continue;
            }
            if let Some(secret) = from_file(name, environment)? {
                words.insert(place.min(words.len()), format!("--{flag}={secret}").into());
            }
        }
    }
    Ok(words)
}

fn from_file(
    name: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, SecretError> {
    let given = |name: &str| environment(name).filter(|value| !value.is_empty());
    let Some(path) = given(&format!("{name}_FILE")).map(PathBuf::from) else {
        return Ok(None);
    };
    if given(name).is_some() {
        return Err(SecretError::Both(name.to_owned()));
    }
    let text = fs::read_to_string(&path).map_err(|cause| SecretError::Unreadable {
        name: name.to_owned(),
        path,
        cause,
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::{Args, CommandFactory as _, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Option<Deed>,
        /// A secret of the program's own.
        #[arg(long, env = "TEST_TOKEN", hide_env_values = true, global = true)]
        token: Option<String>,
    }

    #[derive(Debug, Subcommand)]
    enum Deed {
        Serve(Serve),
        Look,
    }

    #[derive(Debug, Args)]
    struct Serve {
        #[arg(long, env = "TEST_KEY", hide_env_values = true)]
        key: String,
        #[arg(long, env = "TEST_PORT", default_value_t = 1)]
        port: u16,
    }

    fn file(text: &str) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file.into_temp_path()
    }

    fn read(line: &str, variables: &[(&str, &OsStr)]) -> Result<Vec<OsString>, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let words = line.split(' ').map(OsString::from).collect();
        let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        with_files(&Cli::command(), words, &environment).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_secret_in_a_file_counts_like_its_variable() {
        let (key, token) = (file("four words and more\r\n"), file("\n--odd=\"one\"\n\n"));
        let variables = [
            ("TEST_KEY_FILE", key.as_os_str()),
            ("TEST_TOKEN_FILE", token.as_os_str()),
            // No secret: the name means nothing.
            ("TEST_PORT_FILE", OsStr::new("/nowhere")),
        ];
        let cli = Cli::parse_from(read("program serve --port 7", &variables).unwrap());
        let Some(Deed::Serve(serve)) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(serve.key, "four words and more");
        assert_eq!(serve.port, 7);
        assert_eq!(cli.token.as_deref(), Some("\n--odd=\"one\""));
    }

    #[test]
    fn a_subcommand_reads_no_secret_of_another() {
        let missing = [("TEST_KEY_FILE", OsStr::new("/nowhere"))];
        let words = read("program look", &missing).unwrap();
        assert!(matches!(Cli::parse_from(words).command, Some(Deed::Look)));
        assert!(read("program serve", &missing).is_err());
        assert_eq!(read("program help serve", &missing).unwrap().len(), 3);
    }

    #[test]
    fn what_the_command_line_says_counts() {
        let key = file("from the file");
        let variables = [("TEST_KEY_FILE", key.as_os_str())];
        for line in ["program serve --key=typed", "program serve --key typed"] {
            let cli = Cli::parse_from(read(line, &variables).unwrap());
            assert!(matches!(cli.command, Some(Deed::Serve(serve)) if serve.key == "typed"));
        }
    }

    #[test]
    fn what_is_empty_is_not_there() {
        let (empty, key) = (file("\n"), file("k"));
        for nothing in [OsStr::new(""), empty.as_os_str()] {
            let words = read("program serve", &[("TEST_KEY_FILE", nothing)]).unwrap();
            assert_eq!(words.len(), 2, "{words:?}");
        }
        let variables = [
            ("TEST_KEY", OsStr::new("")),
            ("TEST_KEY_FILE", key.as_os_str()),
        ];
        assert_eq!(read("program serve", &variables).unwrap().len(), 3);
    }

    #[test]
    fn a_fault_names_the_variable_and_never_the_secret() {
        let key = file("hidden");
        let variables = [
            ("TEST_KEY", OsStr::new("secret")),
            ("TEST_KEY_FILE", key.as_os_str()),
        ];
        let said = read("program serve", &variables).unwrap_err();
        assert_eq!(
            said,
            "TEST_KEY and TEST_KEY_FILE are both set; give one of them"
        );
        let folder = OsStr::new("/nowhere/key");
        let said = read("program serve", &[("TEST_KEY_FILE", folder)]).unwrap_err();
        assert!(
            said.starts_with("TEST_KEY_FILE=/nowhere/key cannot be read: "),
            "{said}"
        );
        let bytes = tempfile::NamedTempFile::new().unwrap();
        fs::write(bytes.path(), [0xff, 0xfe]).unwrap();
        assert!(
            read(
                "program serve",
                &[("TEST_KEY_FILE", bytes.path().as_os_str())]
            )
            .is_err()
        );
    }
}
