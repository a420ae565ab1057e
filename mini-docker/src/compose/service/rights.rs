//! What a service's programs may do.

use serde_json::Value;

use super::Service;
use crate::{
    compose::tree::text_of,
    engine::{
        Request,
        container::{devices::Device, rights::Rights},
        error::Result,
    },
};

impl Service<'_> {
    pub(super) fn fill_rights(&self, request: &mut Request) -> Result<()> {
        let ulimits: Vec<_> = self.entries("ulimits").map(ulimit).collect();
        let (more, less) = (self.texts("cap_add"), self.texts("cap_drop"));
        Rights::parse(&more, &less, &[], &[]).map_err(|e| self.at("cap_add", &e))?;
        Rights::parse(&[], &[], &ulimits, &[]).map_err(|e| self.at("ulimits", &e))?;
        let rights = Rights::parse(&more, &less, &ulimits, &self.texts("security_opt"));
        let mut rights = rights.map_err(|e| self.at("security_opt", &e))?;
        rights.privileged = self.flag("privileged");
        rights.groups = self.texts("group_add");
        rights.oom_score_adj = self.number("oom_score_adj")?.unwrap_or(0);
        for (key, value) in self.entries("sysctls") {
            let set = rights.sysctl(&format!("{key}={}", text_of(value)));
            set.map_err(|e| self.at("sysctls", &e))?;
        }
        for device in self.list("devices") {
            let part = |key: &str| device.get(key).map(text_of).unwrap_or_default();
            let parts = [part("source"), part("target"), part("permissions")];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let device = Device::parse(&parts.join(":")).map_err(|e| self.at("devices", &e))?;
            rights.devices.push(device);
        }
        for rule in self.texts("device_cgroup_rules") {
            rights.device_rule(&rule).map_err(|e| self.at("device_cgroup_rules", &e))?;
        }
        request.rights = rights;
        Ok(())
    }
}

/// `NAME=SOFT:HARD`.
pub(in crate::compose) fn ulimit((name, limit): (&String, &Value)) -> String {
    match limit {
        Value::Object(both) => {
            let part = |key: &str| both.get(key).map(text_of).unwrap_or_default();
            format!("{name}={}:{}", part("soft"), part("hard"))
        }
        one => format!("{name}={}", text_of(one)),
    }
}
