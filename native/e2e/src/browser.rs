//! A person with a browser: Debian's Chromium without a window, driven over WebDriver. One chromedriver for each
//! browser, with a profile of its own; both end with the test however it ends.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{LoggingPrefsLogLevel, prelude::*};
use tokio::process::{Child, Command};

use crate::{eventually, variable};

/// How long anything may take to appear that needs no language model.
pub const SOON: Duration = Duration::from_secs(15);

/// What a page is looked at with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In the names of screenshots.
    pub name: &'static str,
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Whether the person prefers dark colours.
    pub dark: bool,
}

/// A desk.
pub const DESK: Look = Look {
    name: "desk",
    width: 1280,
    height: 900,
    dark: false,
};
/// A small phone.
pub const PHONE: Look = Look {
    name: "phone",
    width: 360,
    height: 740,
    dark: false,
};
/// A desk at night.
pub const DARK: Look = Look {
    name: "dark",
    dark: true,
    ..DESK
};
/// A small phone at night.
pub const DARK_PHONE: Look = Look {
    name: "dark-phone",
    dark: true,
    ..PHONE
};

/// One browser.
pub struct Browser {
    driver: WebDriver,
    _chromedriver: Child,
    _profile: Profile,
    site: String,
    look: Look,
}

/// A folder that goes with its owner.
struct Profile(PathBuf);

impl Drop for Profile {
    fn drop(&mut self) {
        // The browser may still be ending, and what it leaves in the temporary folder harms nobody.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

impl Browser {
    /// Starts one that looks at `site`.
    ///
    /// # Panics
    /// When Chromium or chromedriver cannot be started; `make test` installs them.
    pub async fn open(site: &str, look: Look) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let profile = Profile(
            std::env::temp_dir().join(format!("linnet-browser-{}-{port}", std::process::id())),
        );
        let chromedriver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver, which `make test` installs");
        let mut wanted = DesiredCapabilities::chrome();
        let arguments = [
            "--headless=new".to_owned(),
            // Chromium refuses to run as root with its sandbox.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            // It need not look for its maker's servers.
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            format!("--user-data-dir={}", profile.0.display()),
        ];
        for argument in &arguments {
            wanted.add_arg(argument).expect("an argument");
        }
        wanted
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .expect("a level");
        let address = format!("http://127.0.0.1:{port}");
        let mut driver = None;
        eventually("chromedriver listens", SOON, async || {
            driver = WebDriver::new(&address, wanted.clone()).await.ok();
            driver.is_some()
        })
        .await;
        let browser = Self {
            driver: driver.expect("a browser"),
            _chromedriver: chromedriver,
            _profile: profile,
            site: site.to_owned(),
            look,
        };
        browser.emulate(look).await;
        browser
    }

    /// Looks at the same page with other eyes.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn look_as(&mut self, look: Look) {
        self.look = look;
        self.emulate(look).await;
    }

    async fn emulate(&self, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            // A picture in the middle of a movement would differ from one time to the next.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp("Emulation.setEmulatedMedia", media).await;
        let metrics = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    async fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.driver
            .cdp()
            .send_raw(method, parameters)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Runs no script of any page from now on.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn without_scripts(&self) {
        let never = json!({"value": true});
        self.cdp("Emulation.setScriptExecutionDisabled", never)
            .await;
    }

    /// Goes to a page of the site.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn go(&self, path: &str) {
        let url = format!("{}{path}", self.site);
        self.driver.goto(&url).await.expect("a page");
    }

    /// Where it is, without the site.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.expect("an address");
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    /// Waits for what `css` selects to be on the page.
    ///
    /// # Panics
    /// When it does not come within `patience`; a picture is left behind.
    pub async fn wait_for(&self, css: &str, patience: Duration) -> WebElement {
        let start = std::time::Instant::now();
        loop {
            if let Ok(found) = self.driver.find(By::Css(css)).await {
                return found;
            }
            if start.elapsed() > patience {
                self.picture("failure").await;
                let at = self.path().await;
                panic!("{css} did not appear on {at}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until what `css` selects is there and holds `text`.
    ///
    /// # Panics
    /// When it does not within `patience`.
    pub async fn wait_for_text(&self, css: &str, text: &str, patience: Duration) {
        let start = std::time::Instant::now();
        while !self.text(css).await.contains(text) {
            if start.elapsed() > patience {
                self.picture("failure").await;
                let at = self.path().await;
                let there = self.text(css).await;
                panic!("{css} on {at} does not say {text:?} but {there:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The words of the first that `css` selects, as a person sees them; empty when there is none.
    pub async fn text(&self, css: &str) -> String {
        match self.driver.find(By::Css(css)).await {
            Ok(found) => found.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Whether `css` selects something.
    pub async fn shows(&self, css: &str) -> bool {
        self.driver.find(By::Css(css)).await.is_ok()
    }

    /// Clicks on what `css` selects, once it is there.
    ///
    /// # Panics
    /// When it cannot be clicked, e.g. for something that lies over it.
    pub async fn click(&self, css: &str) {
        let found = self.wait_for(css, SOON).await;
        found.scroll_into_view().await.expect("a place on the page");
        if let Err(error) = found.click().await {
            self.picture("failure").await;
            panic!("{css}: {error}");
        }
    }

    /// Types into a field, in place of what it holds.
    ///
    /// # Panics
    /// When there is no such field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.wait_for(css, SOON).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    /// Runs a script on the page and gives what it returns.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run(&self, script: &str) -> Value {
        let answer = self.driver.execute(script, Vec::new()).await;
        answer.expect("a script that runs").json().clone()
    }

    /// Puts a mark on the page that a reload would wipe off.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn mark(&self) {
        self.run("window.linnetMark = true").await;
    }

    /// Whether the page is still the one that was marked.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn is_marked(&self) -> bool {
        self.run("return window.linnetMark === true").await == json!(true)
    }

    /// Holds the page against axe-core's rules for WCAG 2 A and AA and for good practice, and looks for what sticks out
    /// sideways.
    ///
    /// # Panics
    /// When it breaks one; says which and where.
    pub async fn is_accessible(&self) {
        let axe = std::fs::read_to_string(variable("LINNET_AXE")).expect("axe-core");
        // Through the debugger and not the page, whose policy lets no other script in.
        let put = json!({"expression": axe, "returnByValue": true});
        self.cdp("Runtime.evaluate", put).await;
        let check = json!({
            "expression": "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(rule => \
                rule.id + ': ' + rule.help + '\\n    ' + rule.nodes.map(node => node.html + '\\n      ' + \
                node.failureSummary).join('\\n    ')))",
            "awaitPromise": true, "returnByValue": true,
        });
        let answer = self.cdp("Runtime.evaluate", check).await;
        let found = answer["result"]["value"]
            .as_array()
            .unwrap_or_else(|| panic!("axe: {answer}"));
        let said: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
        let at = self.path().await;
        assert!(
            said.is_empty(),
            "{at} as {:?}:\n{}",
            self.look,
            said.join("\n")
        );
        let sideways = self
            .run("return document.documentElement.scrollWidth > window.innerWidth")
            .await;
        assert_eq!(
            sideways,
            json!(false),
            "{at} scrolls sideways as {:?}",
            self.look
        );
    }

    /// What the browser complained about since the last call: blocked scripts, missing files, errors of ours.
    ///
    /// # Panics
    /// When the browser does not say.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.get_log("browser").await.expect("a log");
        log.iter()
            .filter(|entry| entry.level == "SEVERE" || entry.level == "WARNING")
            .map(|entry| entry.message.clone())
            .collect()
    }

    /// Puts a picture of the whole page into the folder of screenshots.
    ///
    /// # Panics
    /// When the browser makes none or it cannot be written.
    pub async fn picture(&self, name: &str) {
        self.capture(name, true).await;
    }

    /// Puts a picture of what fits into the window into the folder of screenshots, for pages that are very long.
    ///
    /// # Panics
    /// As [`Browser::picture`].
    pub async fn glimpse(&self, name: &str) {
        self.capture(name, false).await;
    }

    async fn capture(&self, name: &str, whole: bool) {
        let what = json!({"format": "png", "captureBeyondViewport": whole});
        let answer = self.cdp("Page.captureScreenshot", what).await;
        let png = answer["data"].as_str().expect("a picture");
        let bytes = thirtyfour::support::base64_decode(png).expect("base64");
        let folder = Path::new(&variable("LINNET_SCREENSHOTS")).to_owned();
        std::fs::create_dir_all(&folder).expect("the folder of screenshots");
        let file = folder.join(format!("{name}-{}.png", self.look.name));
        std::fs::write(file, bytes).expect("a picture's file");
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn close(self) {
        self.driver.quit().await.expect("an end");
    }
}
