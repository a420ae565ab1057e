//! What the monitor does for a service's containers.

use serde_json::{Value, json};

use super::Service;
use crate::{
    compose::tree::text_of,
    engine::{
        Request,
        container::supervision::{HealthCheck, LogConfig, RestartPolicy},
        error::Result,
    },
};

impl Service<'_> {
    /// `restart`, or what `deploy.restart_policy` comes to on one machine.
    fn restart_policy(&self) -> String {
        if let Some(policy) = self.text("restart") {
            return policy;
        }
        let Some(policy) = self.keys.pointer("/deploy/restart_policy") else { return String::new() };
        let most = policy.get("max_attempts").map(text_of).filter(|most| most != "0");
        match policy.get("condition").map(text_of).as_deref() {
            Some("none") => "no".to_owned(),
            Some("on-failure") => most.map_or_else(|| "on-failure".to_owned(), |most| format!("on-failure:{most}")),
            None | Some("" | "any") => "always".to_owned(),
            Some(other) => other.to_owned(),
        }
    }

    pub(super) fn fill_supervision(&self, request: &mut Request) -> Result<()> {
        let supervision = &mut request.supervision;
        let policy = self.restart_policy();
        supervision.restart = RestartPolicy::parse(&policy).map_err(|e| self.at("restart", &e))?;
        if let Some(logging) = self.get("logging") {
            let options = logging.get("options").and_then(Value::as_object).into_iter().flatten();
            let options: Vec<_> = options.map(|(key, value)| format!("{key}={}", text_of(value))).collect();
            let driver = logging.get("driver").map(text_of).unwrap_or_default();
            supervision.log = LogConfig::parse(&driver, &options).map_err(|e| self.at("logging", &e))?;
        }
        let Some(check) = self.get("healthcheck") else { return Ok(()) };
        let time = |key: &str| self.nanoseconds(&format!("healthcheck.{key}"), check.get(key));
        let test = if check.get("disable") == Some(&json!(true)) {
            vec!["NONE".to_owned()]
        } else {
            check.get("test").and_then(Value::as_array).into_iter().flatten().map(text_of).collect()
        };
        if check.get("start_interval").is_some() && check.get("start_period").is_none() {
            let why = "healthcheck.start_interval requires healthcheck.start_period to be set";
            return Err(self.wrong("healthcheck.start_interval", why));
        }
        let retries = check.get("retries").and_then(Value::as_u64).unwrap_or(0);
        supervision.health = Some(HealthCheck {
            test,
            interval: time("interval")?.unwrap_or(0),
            timeout: time("timeout")?.unwrap_or(0),
            start_period: time("start_period")?.unwrap_or(0),
            start_interval: time("start_interval")?.unwrap_or(0),
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
        });
        Ok(())
    }
}
