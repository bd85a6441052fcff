//! The program itself: how it starts, what it says when it cannot, how it stops.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
};

use crate::app::{app, model_path, until_ready};

fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llm-service"));
    // Nothing of the caller's settings, so that the test means the same everywhere.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("LLM_") || name.starts_with("HF_"))
    {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("LLM_PORT", "0")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    program(arguments, environment).output().unwrap()
}

#[test]
fn what_cannot_work_stops_it_with_a_sentence() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (environment, words) in [
        (
            vec![("LLM_MODEL", "llama")],
            "LLM_MODEL=\"llama\" is neither a path to a .gguf file nor",
        ),
        (vec![("LLM_PORT", "http")], "--llm-port"),
        (
            vec![("LLM_QUEUE", "4")],
            "LLM_MAX_TEXTS=32 is more than LLM_QUEUE=4",
        ),
        (vec![("LOG_LEVEL", "=loud=")], "LOG_LEVEL"),
        (
            vec![("LLM_MODEL", "/nowhere/m.gguf")],
            "the model file /nowhere/m.gguf cannot be read",
        ),
        (
            vec![
                ("LLM_MODEL", here),
                ("LLM_FALLBACK_MODEL", "/nowhere/n.gguf"),
            ],
            "Cargo.toml is not a GGUF file: it does not begin with the four letters GGUF; the model file /nowhere/n.gguf",
        ),
        (
            vec![
                ("LLM_MODEL", "someone/something"),
                ("HF_HOME", "/nowhere"),
                ("HF_ENDPOINT", "http://127.0.0.1:1"),
                ("HTTPS_PROXY", ""),
                ("https_proxy", ""),
            ],
            "the model someone/something is not on this machine and 127.0.0.1:1 cannot be reached",
        ),
    ] {
        let output = run(&[], &environment);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{environment:?}");
        assert!(said.contains(words), "{words:?} in {said:?}");
    }
}

#[test]
fn help_teaches_and_costs_nothing() {
    let output = run(&["--help"], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for name in [
        "LLM_HOST",
        "LLM_PORT",
        "LLM_MODEL",
        "LLM_FALLBACK_MODEL",
        "LLM_QUEUE",
        "LLM_MAX_TEXTS",
        "LLM_DENSE",
        "LLM_SAFETY_THRESHOLD",
        "LOG_LEVEL",
        "healthcheck",
        "native/fetch-model",
    ] {
        assert!(said.contains(name), "{name} in {said}");
    }
}

/// Ends the program with the test, however that goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_fallback_answers_and_sigterm_ends_it_well() {
    // For the turn only: two models at work at once would make both tests slow.
    let (_, _turn) = app().await;
    let model = model_path();
    let environment = [
        ("LLM_MODEL", "/nowhere/m.gguf"),
        ("LLM_FALLBACK_MODEL", model.as_str()),
    ];
    let mut running = Running(program(&["serve"], &environment).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut log = Vec::new();
    let port = loop {
        let line = lines.next().expect("it says where it listens");
        let port = line
            .split_once("listening on 127.0.0.1:")
            .and_then(|(_, port)| port.split('"').next()?.parse::<u16>().ok());
        log.push(line);
        if let Some(port) = port {
            break port;
        }
    };
    until_ready(port).await;
    let healthcheck = run(&["healthcheck", "--llm-port", &port.to_string()], &[]);
    assert!(healthcheck.status.success(), "{healthcheck:?}");

    let stop = Command::new("kill")
        .args(["-TERM", &running.0.id().to_string()])
        .status();
    assert!(stop.unwrap().success());
    assert!(running.0.wait().unwrap().success());
    log.extend(lines);
    for words in [
        "cannot be read",
        "answers instead",
        "dense f32",
        "asked to stop",
    ] {
        assert!(
            log.iter().any(|line| line.contains(words)),
            "{words:?} in {log:#?}"
        );
    }
    let healthcheck = run(&["healthcheck", "--llm-port", &port.to_string()], &[]);
    assert!(!healthcheck.status.success(), "nobody listens any more");
}
