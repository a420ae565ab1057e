//! Headless Chromium, driven over a pair of pipes by its DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>): JSON, with a null byte after each message.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// An answer that takes longer does not come.
const LIMIT: Duration = Duration::from_secs(60);
/// The browser: Debian's package and program have one name. It takes the pipes as descriptors 3 and 4.
const START: &str = "exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
                     --disable-renderer-backgrounding --disable-backgrounding-occluded-windows \
                     --allow-file-access-from-files --remote-debugging-pipe --user-data-dir=\"$0\" about:blank \
                     3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";

/// A browser with one page. Dropped, it ends.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Value,
    next: u64,
    /// What the page has complained of: errors of scripts, messages to the console, requests that failed.
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it.
    ///
    /// # Panics
    /// Without chromium.
    pub fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("browser-").tempdir().expect("make a directory");
        let mut child = Command::new("sh")
            .args(["-c", START])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let messages = listen(output);
        let (session, complaints) = (Value::Null, Vec::new());
        let mut browser = Self { child, input, messages, session, next: 0, complaints, _profile: profile };
        let targets = browser.ask("Target.getTargets", &json!({}))["targetInfos"].clone();
        let page = targets.as_array().and_then(|all| all.iter().find(|target| target["type"] == "page"));
        let page = page.expect("a page")["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({"targetId": page, "flatten": true}));
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Asks it to do something, and returns what it answers.
    ///
    /// # Panics
    /// Where it refuses, or says nothing.
    pub fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser has ended: is chromium installed?");
        loop {
            let answer = self.hear(method);
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The next message.
    fn hear(&mut self, what: &str) -> Value {
        let message = self.messages.recv_timeout(LIMIT).unwrap_or_else(|e| panic!("{what}: no answer: {e}"));
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&parameters["exceptionDetails"]),
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => Some(&parameters["entry"]),
            Some("Runtime.consoleAPICalled") if parameters["type"] == "error" => Some(&parameters["args"]),
            // What the page itself took back is no failure.
            Some("Network.loadingFailed") if parameters["canceled"] != true => Some(parameters),
            _ => None,
        };
        self.complaints.extend(complaint.map(Value::to_string));
        message
    }

    /// Loads a page, and returns what went wrong meanwhile.
    pub fn load(&mut self, url: &str) -> Vec<String> {
        self.complaints.clear();
        let answer = self.ask("Page.navigate", &json!({"url": url}));
        if let Some(error) = answer["errorText"].as_str() {
            return vec![format!("{url}: {error}")];
        }
        while self.hear(url)["method"] != "Page.loadEventFired" {}
        // What scripts do at once when all is there.
        self.run("new Promise(done => setTimeout(done, 0))");
        std::mem::take(&mut self.complaints)
    }

    /// The value of an expression in the page; of a promise, when it has one.
    pub fn run(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", &parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Makes the window so large, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &size);
    }

    /// A picture (PNG) of a part of the page, `[x, y, width, height]`, or of what the window shows.
    pub fn picture(&mut self, part: Option<[f64; 4]>) -> Vec<u8> {
        let mut parameters = json!({"format": "png"});
        if let Some([x, y, width, height]) = part {
            parameters["clip"] = json!({"x": x, "y": y, "width": width, "height": height, "scale": 1});
            parameters["captureBeyondViewport"] = json!(true);
        }
        let answer = self.ask("Page.captureScreenshot", &parameters);
        BASE64_STANDARD.decode(answer["data"].as_str().unwrap_or_default()).expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread that reads messages, so that waiting for one can end.
fn listen(output: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for message in BufReader::new(output).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).unwrap_or(Value::Null);
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    receiver
}
