//! The program itself, as one runs it in a terminal or in CI.

use std::{
    path::Path,
    process::{Output, Stdio},
    sync::atomic::Ordering,
};

use tokio::process::Command;

use crate::server::Server;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .env_remove("GRAFANA_TOKEN");
    command
}

async fn run(server: &Server, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = program(&["run"]);
    command
        .args(arguments)
        .args(["--base-url", &server.url])
        .env("XDG_CACHE_HOME", folder);
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn thresholds_decide_the_exit_status_and_the_line_for_ci_names_what_was_missed() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let bars = folder.path().join("bars.toml");
    std::fs::write(
        &bars,
        "thresholds = [\"failures<1%\"]\n[steps]\nfeed = [\"p99<30s\"]\n",
    )
    .unwrap();
    let options = [
        "read-feed",
        "--users",
        "2",
        "--duration",
        "300ms",
        "--quiet",
        "--ci-line",
        "--thresholds",
        bars.to_str().unwrap(),
    ];
    let good = run(&server, folder.path(), &options).await;
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let line = text(&good.stdout);
    assert!(
        line.starts_with("loadtest read-feed ok: requests=") && line.lines().count() == 1,
        "{line}"
    );
    assert!(good.stderr.is_empty(), "{}", text(&good.stderr));

    server.seen.failing.store(503, Ordering::Relaxed);
    let bad = run(&server, folder.path(), &options).await;
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(text(&bad.stdout).contains("MISSED failures<1%"));
}

#[tokio::test]
async fn a_missed_threshold_ends_a_run_of_hours_when_asked_to() {
    let server = Server::start().await;
    server.seen.failing.store(500, Ordering::Relaxed);
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "read-feed",
        "--users",
        "4",
        "--duration",
        "2h",
        "--threshold",
        "failures<1%",
        "--abort-on-fail",
    ];
    let ended = run(&server, folder.path(), &options).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(text(&ended.stderr).contains("ended early: failures<1%"));
    let said = text(&ended.stdout);
    assert!(
        said.contains("told to fail") && said.contains("MISSED failures<1%"),
        "{said}"
    );
}

#[tokio::test]
async fn the_report_is_a_page_and_a_file_that_is_put_side_by_side_with_others() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, pace) in [("before", ["--users", "2"]), ("after", ["--rate", "200"])] {
        let out = path(name);
        let mut options = vec![
            "mixed",
            "--duration",
            "500ms",
            "--accounts",
            "3",
            "--out",
            &out,
        ];
        options.extend(pace);
        let done = run(&server, folder.path(), &options).await;
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let html = std::fs::read_to_string(path(&format!("{name}/report.html"))).unwrap();
        assert!(html.contains("<polyline") && html.contains("By kind of request"));
    }
    // The accounts of the first run served the second.
    assert_eq!(server.seen.count("POST /api/user/signup"), 3);
    let json = std::fs::read_to_string(path("after/report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["version"].as_u64(), json["model"].as_str()),
        (Some(1), Some("open"))
    );
    assert_eq!(
        json["requests"].as_u64().unwrap() + json["dropped"].as_u64().unwrap(),
        100
    );
    let page = path("both.html");
    let made = program(&[
        "report",
        &path("before/report.json"),
        &path("after/report.json"),
        "--html",
        &page,
    ])
    .output()
    .await
    .unwrap();
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("Side by side")
            && html.contains("before: Summary")
            && html.contains("after: Summary")
    );
}

#[tokio::test]
async fn ctrl_c_ends_a_run_and_what_was_measured_is_still_reported() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(&[
        "run",
        "read-feed",
        "--users",
        "2",
        "--duration",
        "2h",
        "--ci-line",
        "--base-url",
        &server.url,
    ]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("XDG_CACHE_HOME", folder.path())
        .spawn()
        .unwrap();
    let mut arrived = server.seen.arrived.subscribe();
    arrived.wait_for(|count| *count > 20).await.unwrap();
    let process = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let line = text(&ended.stdout);
    assert!(
        line.contains("requests=") && line.trim_end().ends_with("stopped"),
        "{line}"
    );
}

#[tokio::test]
async fn what_cannot_be_run_says_why_and_ends_with_2() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = format!("http://{free}");
    for (options, said) in [
        (
            vec!["run", "read-feed", "--base-url", "http://192.0.2.1"],
            "--i-own-this-host",
        ),
        (vec!["run", "read-feed", "--base-url", &nobody], "make up"),
        (vec!["run", "read-feed", "--max-users", "5"], "--rate"),
        (vec!["run", "read-feed", "--stages", "5"], "such as 20:30s"),
        (vec!["run", "read-feed", "--threshold", "p99"], "p99<1s"),
        (vec!["run", "stress", "--users", "5"], "stages of its own"),
        (vec!["run", "read-feed", "--abort-on-fail"], "--threshold"),
        (
            vec![
                "run",
                "read-feed",
                "--grafana",
                "http://127.0.0.1:1",
                "--base-url",
                &server.url,
            ],
            "GRAFANA_TOKEN",
        ),
        (vec!["report", "no-such-file.json"], "no-such-file.json"),
    ] {
        let ended = program(&options)
            .env("XDG_CACHE_HOME", folder.path())
            .output()
            .await
            .unwrap();
        assert_eq!(ended.status.code(), Some(2), "{options:?}");
        let words = text(&ended.stderr);
        assert!(words.contains(said), "{options:?}: {words}");
    }
    server.seen.failing.store(429, Ordering::Relaxed);
    let refused = run(&server, folder.path(), &["post", "--duration", "1s"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("RATE_LIMITER=false make up"));
}

#[tokio::test]
async fn the_servers_own_figures_and_grafanas_marks_are_there_when_asked_for() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = program(&[
        "run",
        "read-feed",
        "--users",
        "1",
        "--duration",
        "500ms",
        "--threshold",
        "failures<1%",
    ]);
    command.args([
        "--base-url",
        &server.url,
        "--prometheus",
        &server.url,
        "--grafana",
        &server.url,
    ]);
    command
        .arg("--out")
        .arg(&out)
        .env("GRAFANA_TOKEN", "a-token");
    let done = command.output().await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let json = std::fs::read_to_string(out.join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["server"][0]["rate"].as_f64(), Some(42.5));
    assert_eq!(
        json["server"][0]["replicas"][0]["name"].as_str(),
        Some("api-00")
    );
    assert!(
        std::fs::read_to_string(out.join("report.html"))
            .unwrap()
            .contains("resident memory")
    );
    let bodies = server.seen.bodies.lock().unwrap().join("\n");
    assert!(
        bodies.contains("load test begins") && bodies.contains("loadtest read-feed ok"),
        "{bodies}"
    );
}

#[tokio::test]
async fn listeners_are_told_of_each_post_and_it_is_measured_when() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let options = [
        "live",
        "--stages",
        "5:0s,5:6s",
        "--out",
        out.to_str().unwrap(),
    ];
    let done = run(&server, folder.path(), &options).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let json = std::fs::read_to_string(out.join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let step = |name: &str| {
        json["steps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["name"] == name)
            .unwrap()["requests"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(step("stream"), 4);
    assert_eq!(json["failures"].as_u64(), Some(0), "{json}");
    // The very first post may be written before everybody listens.
    assert!(
        step("post") >= 2 && step("event") > 0 && step("event") <= 4 * step("post"),
        "{json}"
    );
}
