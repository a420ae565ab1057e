//! What a service may use.

use std::path::PathBuf;

use cgroup::{DeviceLimit, DeviceWeight, Limits, Rate};
use serde_json::Value;

use super::Service;
use crate::{
    compose::tree::text_of,
    engine::{DEFAULT_PIDS, Request, error::Result},
};

const RATES: [(&str, Rate); 4] = [
    ("device_read_bps", Rate::ReadBytes),
    ("device_read_iops", Rate::Reads),
    ("device_write_bps", Rate::WriteBytes),
    ("device_write_iops", Rate::Writes),
];

impl Service<'_> {
    pub(super) fn fill_limits(&self, request: &mut Request) -> Result<()> {
        let resources = self.get("deploy").and_then(|deploy| deploy.get("resources"));
        let part = |part: &str, key: &str| resources?.get(part)?.get(key).map(text_of);
        let parse = |key: &str, text: Option<String>| -> Result<Option<u64>> {
            let wrong = |text: &str| self.wrong(key, &format!("{text:?} is no such number"));
            Ok(text.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?.filter(|&number| number > 0))
        };
        let limits = &mut request.limits;
        limits.memory = parse("mem_limit", self.text("mem_limit").or_else(|| part("limits", "memory")))?;
        let reserved = self.text("mem_reservation").or_else(|| part("reservations", "memory"));
        limits.memory_reservation = parse("mem_reservation", reserved)?;
        limits.memory_swap = self.number::<i64>("memswap_limit")?.filter(|&swap| swap != 0);
        limits.cpu_shares = self.number::<u64>("cpu_shares")?.filter(|&shares| shares > 0);
        limits.cpuset_cpus = self.text("cpuset").filter(|list| !list.is_empty());
        if let Some(text) = self.text("cpus").or_else(|| part("limits", "cpus")) {
            let cpus: f64 = text.parse().map_err(|_| self.wrong("cpus", &format!("{text:?} is no number")))?;
            // Billionths; the engine checks the range.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let nano = (cpus * 1e9).round() as u64;
            limits.nano_cpus = Some(nano).filter(|&nano| nano > 0);
        }
        let pids = self.text("pids_limit").or_else(|| part("limits", "pids"));
        let pids =
            pids.map(|text| text.parse().map_err(|_| self.wrong("pids_limit", "it is no number"))).transpose()?;
        limits.pids = Some(pids.unwrap_or(DEFAULT_PIDS));
        limits.cpu_period = self.number::<u64>("cpu_period")?.filter(|&period| period > 0);
        limits.cpu_quota = self.number::<i64>("cpu_quota")?.filter(|&quota| quota != 0);
        limits.realtime_period = self.number::<u64>("cpu_rt_period")?.filter(|&period| period > 0);
        limits.realtime_runtime = self.number::<u64>("cpu_rt_runtime")?.filter(|&runtime| runtime > 0);
        limits.oom_kill_disable = self.flag("oom_kill_disable");
        limits.swappiness = match self.number::<i64>("mem_swappiness")? {
            None | Some(-1) => None,
            Some(value @ 0..=100) => u64::try_from(value).ok(),
            Some(_) => return Err(self.wrong("mem_swappiness", "the range is 0 to 100")),
        };
        self.fill_devices(limits)
    }

    /// What block devices are limited to.
    fn fill_devices(&self, limits: &mut Limits) -> Result<()> {
        let Some(config) = self.get("blkio_config") else { return Ok(()) };
        let wrong =
            |key: &str, why: &dyn std::fmt::Display| self.wrong(&format!("blkio_config.{key}"), &why.to_string());
        let weight = |value: &Value| {
            let weight = text_of(value).parse().ok().filter(|weight| (10..=1000).contains(weight));
            weight.ok_or_else(|| wrong("weight", &"the range is 10 to 1000"))
        };
        limits.io_weight = config.get("weight").map(weight).transpose()?;
        let list = |key: &str| config.get(key).and_then(Value::as_array).into_iter().flatten();
        let path = |entry: &Value| PathBuf::from(entry.get("path").map(text_of).unwrap_or_default());
        for entry in list("weight_device") {
            let share = weight(entry.get("weight").unwrap_or(&Value::Null))?;
            let share = DeviceWeight::new(&path(entry), share).map_err(|e| wrong("weight_device", &e))?;
            limits.weights.push(share);
        }
        for (key, rate) in RATES {
            for entry in list(key) {
                let most = entry.get("rate").map(text_of).and_then(|text| text.parse().ok());
                let most = most.ok_or_else(|| wrong(key, &"`rate` is no such number"))?;
                limits.devices.push(DeviceLimit::new(&path(entry), rate, most).map_err(|e| wrong(key, &e))?);
            }
        }
        Ok(())
    }
}
