//! What operators look at, over the whole native stack: Prometheus with its rules, exporters and pages, Alertmanager, and
//! every expression of the dashboards, evaluated after people have used the service.

#![expect(
    clippy::unwrap_used,
    reason = "tests have nobody to report to but their own output"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use e2e::{
    Person, Stack,
    browser::{Browser, DARK, DESK, Look, SOON},
    eventually, json_of,
};
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// Long enough for a verdict on a busy machine with two cores.
const VERDICT: Duration = Duration::from_secs(120);
/// A window that still has two charts beside each other.
const WINDOW: Look = Look {
    width: 1080,
    height: 1500,
    ..DESK
};
/// The same at night.
const NIGHT: Look = Look {
    width: 1080,
    height: 1500,
    ..DARK
};
/// How often Prometheus looks.
const SCRAPE: Duration = Duration::from_secs(5);
/// Until everything has been seen twice, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Metrics of ours that no panel shows.
const NOT_SHOWN: [(&str, &str); 1] = [(
    "process_virtual_memory_bytes",
    "address space costs nothing; resident memory is shown",
)];
/// Metrics in rules or panels that are not there in this stack.
const NOT_HERE: [(&str, &str); 2] = [
    (
        "trace_spans_total",
        "where there is no collector, traces are off",
    ),
    (
        "alertmanager_notifications_failed_total",
        "Alertmanager counts per receiver that it has, and here nobody is told",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

struct Panel {
    /// Dashboard and title.
    name: String,
    /// What Prometheus is asked, for all replicas and routes.
    expressions: Vec<String>,
    may_be_empty: bool,
}

/// The panels of Grafana's dashboards, and from their sources which of them may be empty.
fn panels() -> Vec<Panel> {
    let mut panels = Vec::new();
    for file in std::fs::read_dir(root().join("grafana/dashboards")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let source = root().join(format!("grafana/source/{name}.toml"));
        let source: toml::Table = std::fs::read_to_string(source).unwrap().parse().unwrap();
        let excused: BTreeSet<&str> = source["section"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|section| section["panel"].as_array().unwrap())
            .filter(|panel| panel.get("may_be_empty").is_some())
            .map(|panel| panel["title"].as_str().unwrap())
            .collect();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            let Some(targets) = panel["targets"].as_array() else {
                assert_eq!(panel["type"], "row", "{title} asks nothing");
                continue;
            };
            let expressions = targets.iter().map(|target| {
                target["expr"]
                    .as_str()
                    .unwrap()
                    .replace("$__rate_interval", "1m")
                    .replace("$replica", ".*")
                    .replace("$route", ".*")
            });
            panels.push(Panel {
                name: format!("{name}: {title}"),
                expressions: expressions.collect(),
                may_be_empty: excused.contains(title),
            });
        }
    }
    assert!(panels.len() > 50, "only {} panels were found", panels.len());
    panels
}

async fn query(stack: &Stack, expression: &str) -> Value {
    let url = format!("{}/api/v1/query", stack.prometheus());
    let url = Url::parse_with_params(&url, &[("query", expression)]).unwrap();
    let answer = json_of(&stack.http, url.as_str()).await;
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    answer["data"]["result"].clone()
}

/// Whether there is anything to draw: a series with a value that is a number.
fn shows(result: &Value) -> bool {
    let series = result.as_array().unwrap().iter();
    series
        .filter_map(|one| one["value"][1].as_str()?.parse::<f64>().ok())
        .any(f64::is_finite)
}

/// The names of metrics in an expression: words of the families that there are, which are no labels.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    const FAMILIES: [&str; 26] = [
        "alertmanager_",
        "analyses_",
        "analysis_",
        "cache_",
        "db_pool_",
        "fanout_",
        "http_",
        "job_queue_",
        "job_run_",
        "job_hints_",
        "jobs_",
        "live_",
        "llm_",
        "log_",
        "nginx_",
        "node_",
        "pg_",
        "process_",
        "prometheus_",
        "rate_limit_",
        "redis_",
        "scheduled_",
        "scrape_",
        "trace_",
        "worker_",
        "up",
    ];
    expression
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| {
            FAMILIES
                .iter()
                .any(|family| word == family || (family.ends_with('_') && word.starts_with(family)))
        })
        .map(str::to_owned)
        .collect()
}

/// The metric of which this series is a part.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// What people do in a quarter of a minute: something for every panel.
async fn use_it(stack: &Stack) {
    let ada = Person::join(stack, "ada").await;
    let ben = Person::join(stack, "ben").await;
    let follow = format!("/api/user/{}/follow", ada.id);
    ben.send(Method::POST, &follow, None, "e2e-watch").await;
    // A stream is open while things happen.
    let mut stream = ben
        .send(Method::GET, "/api/stream?posts=1", None, "e2e-watch")
        .await;
    let mut last = Value::Null;
    for text in [
        "The sea was calm and the evening warm.",
        "What a dreadful day at the office!",
        "A wonderful concert.",
    ] {
        // Equal texts share a verdict, and the model would have nothing to do.
        let text = format!("{text} ({} has told me so)", ada.id);
        last = ada.post(&text, "e2e-watch").await;
    }
    stream.chunk().await.unwrap();
    let url = format!("{}/api/posts/{}", stack.url, last["id"]);
    eventually("the verdict", VERDICT, async || {
        json_of(&stack.http, &url).await["analysis"]["status"] == "done"
    })
    .await;
    ben.send(Method::GET, "/api/posts/generate", None, "e2e-watch")
        .await;
    for _ in 0..20 {
        for path in [
            "/api/posts",
            "/api/home",
            "/api/trends",
            "/api/posts/999999999",
        ] {
            drop(ben.send(Method::GET, path, None, "e2e-watch").await);
        }
    }
}

#[tokio::test]
async fn every_panel_shows_something_once_people_have_used_the_service() {
    let stack = Stack::get().await;
    let mut waiting: Vec<(String, String)> = panels()
        .into_iter()
        .filter(|panel| !panel.may_be_empty)
        .flat_map(|panel| {
            let name = panel.name;
            panel
                .expressions
                .into_iter()
                .map(move |one| (name.clone(), one))
        })
        .collect();
    let start = Instant::now();
    loop {
        // A rate needs two looks at a series, so what is counted for the first time shows only when it is counted again.
        use_it(&stack).await;
        let mut left = Vec::new();
        for (name, expression) in waiting {
            if !shows(&query(&stack, &expression).await) {
                left.push((name, expression));
            }
        }
        waiting = left;
        if waiting.is_empty() || start.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(SCRAPE).await;
    }
    let empty: Vec<String> = waiting
        .iter()
        .map(|(name, expression)| format!("{name}\n    {expression}"))
        .collect();
    assert!(
        empty.is_empty(),
        "these panels show nothing:\n{}",
        empty.join("\n")
    );
}

#[tokio::test]
async fn what_is_asked_for_is_exported_and_what_we_export_is_shown() {
    let stack = Stack::get().await;
    use_it(&stack).await;
    let names = async |selector: &str| -> BTreeSet<String> {
        let url = format!("{}/api/v1/label/__name__/values", stack.prometheus());
        let url = Url::parse_with_params(&url, &[("match[]", selector)]).unwrap();
        let answer = json_of(&stack.http, url.as_str()).await;
        let names = answer["data"].as_array().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for panel in panels() {
        for expression in &panel.expressions {
            asked.extend(
                metrics_in(expression)
                    .into_iter()
                    .map(|metric| (metric, panel.name.clone())),
            );
        }
    }
    for rule in rules(&stack).await {
        let words = metrics_in(rule["query"].as_str().unwrap());
        asked.extend(
            words
                .into_iter()
                .map(|metric| (metric, format!("the alert {}", rule["name"]))),
        );
    }
    let mut said = String::new();
    eventually(
        "everything that is asked for is there",
        PATIENCE,
        async || {
            let there = names(r#"{job=~".+"}"#).await;
            let missing: Vec<_> = asked
                .iter()
                .filter(|(metric, _)| {
                    !there.contains(*metric) && !NOT_HERE.iter().any(|(name, _)| name == metric)
                })
                .collect();
            let words = format!("not exported by anybody: {missing:?}");
            if words != said {
                eprintln!("{words}");
                said = words;
            }
            missing.is_empty()
        },
    )
    .await;
    let shown: BTreeSet<&str> = asked.keys().map(|name| family(name)).collect();
    let hidden: Vec<String> = names(r#"{job=~"api|worker|llm"}"#)
        .await
        .into_iter()
        .filter(|name| !name.starts_with("scrape_"))
        .filter(|name| !shown.contains(family(name)))
        .filter(|name| !NOT_SHOWN.iter().any(|(known, _)| known == name))
        .collect();
    assert!(
        hidden.is_empty(),
        "exported and neither shown nor excused: {hidden:?}"
    );
}

/// The alerting rules that Prometheus has loaded.
async fn rules(stack: &Stack) -> Vec<Value> {
    let url = format!("{}/api/v1/rules?type=alert", stack.prometheus());
    let answer = json_of(&stack.http, &url).await;
    let groups = answer["data"]["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

#[tokio::test]
async fn rules_are_evaluated_and_alertmanager_is_told() {
    let stack = Stack::get().await;
    let written = std::fs::read_dir(root().join("prometheus/rules")).unwrap();
    let written: usize = written
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|text| text.matches("- alert: ").count())
        .sum();
    assert!(written > 0);
    eventually(
        "every rule is evaluated",
        Duration::from_secs(60),
        async || {
            let rules = rules(&stack).await;
            rules.len() == written && rules.iter().all(|rule| rule["health"] == "ok")
        },
    )
    .await;
    let url = format!("{}/api/v1/alertmanagers", stack.prometheus());
    eventually(
        "Prometheus knows Alertmanager",
        Duration::from_secs(60),
        async || {
            let answer = json_of(&stack.http, &url).await;
            answer["data"]["activeAlertmanagers"]
                .as_array()
                .unwrap()
                .len()
                == 1
        },
    )
    .await;

    // An alert as Prometheus would send it goes in, and is seen by whoever looks at Alertmanager.
    let alertmanager = std::env::var("LINNET_ALERTMANAGER_URL").unwrap();
    let name = format!("E2e{}", std::process::id());
    let alert = json!([{"labels": {"alertname": name, "severity": "warning"}, "annotations": {"summary": "a test"}}]);
    let alerts = format!("{alertmanager}/api/v2/alerts");
    let taken = stack.http.post(&alerts).json(&alert).send().await.unwrap();
    assert_eq!(taken.status(), 200);
    eventually("Alertmanager shows the alert", SOON, async || {
        let there = json_of(&stack.http, &alerts).await;
        there
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["labels"]["alertname"] == name.as_str())
    })
    .await;
}

#[tokio::test]
async fn every_part_of_the_stack_is_scraped() {
    let stack = Stack::get().await;
    let expected = [
        "alertmanager",
        "api",
        "llm",
        "nginx",
        "node",
        "postgres",
        "prometheus",
        "redis",
        "worker",
    ];
    let mut seen = BTreeMap::new();
    eventually("every target is up", Duration::from_secs(60), async || {
        let url = format!("{}/api/v1/targets?state=active", stack.prometheus());
        let answer = json_of(&stack.http, &url).await;
        seen = answer["data"]["activeTargets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| {
                let job = target["labels"]["job"].as_str().unwrap().to_owned();
                (job, target["health"] == "up")
            })
            .collect();
        expected.iter().all(|job| seen.get(*job) == Some(&true))
    })
    .await;
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    // The exporters reach what they watch.
    for metric in ["pg_up", "redis_up", "nginx_up"] {
        eventually(metric, Duration::from_secs(60), async || {
            query(&stack, metric).await[0]["value"][1] == "1"
        })
        .await;
    }
}

#[tokio::test]
async fn without_grafana_the_same_is_seen_on_prometheus_own_pages() {
    let stack = Stack::get().await;
    use_it(&stack).await;
    let mut browser = Browser::open(&stack.prometheus(), WINDOW).await;
    for page in ["index", "posts", "llm", "stores", "loadtest"] {
        let address = format!("{}/consoles/{page}.html", stack.prometheus());
        let answer = stack.http.get(&address).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 200, "{page}: {}", answer.text().await.unwrap());
        browser.go(&format!("/consoles/{page}.html")).await;
        // Each chart has been drawn, or says why there is nothing to draw.
        let undrawn = "return [...document.querySelectorAll('.charts > section')].filter(section => \
             !section.querySelector('svg path, svg .y_axis, .prom_graph_error')).map(section => section.innerText)";
        eventually(&format!("the charts of {page}"), SOON, async || {
            browser.run(undrawn).await == json!([])
        })
        .await;
        browser.glimpse(&format!("console-{page}")).await;
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{page}: {complaints:?}");
    }
    // One replica alone.
    browser.go("/consoles/index.html?replica=api-00").await;
    let chosen = "return document.querySelector('select[name=replica]').value";
    assert_eq!(browser.run(chosen).await, json!("api-00"));
    browser.look_as(NIGHT).await;
    browser.glimpse("console-index").await;
    browser.close().await;
}
