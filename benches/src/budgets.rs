//! What was promised beside what was measured last.
//!
//! The figures are those that the other reports wrote down; nothing is measured here.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use serde_json::Value;

use crate::{
    document::{DRY, short},
    marked, median,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What is enough.
#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

use Goal::{AtLeast, AtMost};

impl Goal {
    fn is_met(self, figure: f64) -> bool {
        match self {
            AtMost(bound) => figure <= bound,
            AtLeast(bound) => figure >= bound,
        }
    }

    fn words(self) -> String {
        match self {
            // A share is said as it was promised.
            AtMost(bound) if bound < 0.5 && (bound.recip().round() - bound.recip()).abs() < 1e-9 => {
                format!("≤ 1/{:.0}", bound.recip())
            }
            AtMost(bound) => format!("≤ {}", short(bound)),
            AtLeast(bound) => format!("≥ {}", short(bound)),
        }
    }
}

/// A promise, and where its figure is found.
struct Budget {
    work: &'static str,
    goal: Goal,
    /// The report's name in benches/results.
    report: &'static str,
    figure: fn(&Value) -> Option<f64>,
}

/// A figure that a script wrote down.
macro_rules! recorded {
    ($name:literal) => {
        |report| report["figures"][$name].as_f64()
    };
}

/// Ratios are of one run. A share is of the other's time.
const BUDGETS: [Budget; 25] = [
    budget(
        "`run --rm` without a network × bubblewrap, back to back",
        AtMost(1.5),
        "start",
        recorded!("close_by_bubblewrap"),
    ),
    budget("the same, 100 ms apart", AtMost(1.5), "start", recorded!("apart_by_bubblewrap")),
    budget("the same × crun on a ready bundle, back to back", AtMost(1.0), "start", recorded!("close_by_crun")),
    budget("the same, 100 ms apart", AtMost(1.0), "start", recorded!("apart_by_crun")),
    budget("a container of the stages × the same calls in C", AtMost(1.3), "stages", |report| {
        report["beside_c"]["ratio"].as_f64()
    }),
    budget(
        "`run --rm` with a bridge and a port, docker's share",
        AtMost(1.0 / 30.0),
        "networks",
        recorded!("start_by_docker"),
    ),
    budget("its first word, docker's share", AtMost(1.0 / 30.0), "startup", |report| {
        first_words(report, "mini-docker, bridge and port", "docker, bridge and port")
    }),
    budget("`exec` × nsenter", AtMost(1.5), "startup", |report| first_words(report, "mini-docker exec", "nsenter")),
    budget("pull and unpack, docker's share", AtMost(1.0 / 3.0), "pull", recorded!("by_docker")),
    budget("pull and unpack, podman's share", AtMost(0.5), "pull", recorded!("by_podman")),
    budget("a build, cold, docker's share", AtMost(1.0 / 8.0), "build", recorded!("cold_by_docker")),
    budget("a build, all cached, docker's share", AtMost(1.0 / 20.0), "build", recorded!("cached_by_docker")),
    budget("`compose up` of ten services, docker-compose's share", AtMost(0.1), "compose", recorded!("up_by_compose")),
    budget("`compose down` of them, docker-compose's share", AtMost(0.1), "compose", recorded!("down_by_compose")),
    budget("`compose up` of fifty with nothing to do, ms", AtMost(100.0), "compose", recorded!("nothing_ms")),
    budget("private memory of each of a thousand monitors, MB", AtMost(0.5), "growth", |report| {
        point(report, "private memory of a monitor, MB", 1000)
    }),
    budget("start beside a thousand × beside ten", AtMost(2.0), "growth", |report| {
        grown(report, "one more start, ms", 10, 1000)
    }),
    budget("`ps` of a thousand, ms", AtMost(100.0), "growth", |report| point(report, "`ps`, ms", 1000)),
    budget("throughput container to container × docker", AtLeast(1.0), "networks", recorded!("between_by_docker")),
    budget(
        "throughput to a port by the host's address × docker",
        AtLeast(1.0),
        "networks",
        recorded!("host_by_docker"),
    ),
    budget("throughput to a port by localhost × docker", AtLeast(1.0), "networks", recorded!("localhost_by_docker")),
    budget("the resolver's answers per second × docker", AtLeast(2.0), "networks", recorded!("answers_by_docker")),
    budget("the wait for one answer, docker's share", AtMost(0.5), "networks", recorded!("answer_by_docker")),
    budget("start beside 500 with ports × beside 10", AtMost(1.2), "growth", |report| {
        grown(report, "one more start with a bridge and a port, ms", 10, 500)
    }),
    budget("a new connection beside 500 × beside 10", AtMost(1.2), "growth", |report| {
        grown(report, "a new connection to a port, tenth percentile, µs", 10, 500)
    }),
];

const fn budget(work: &'static str, goal: Goal, report: &'static str, figure: fn(&Value) -> Option<f64>) -> Budget {
    Budget { work, goal, report, figure }
}

/// The ratio of two contestants' medians in the start-up report.
fn first_words(report: &Value, one: &str, other: &str) -> Option<f64> {
    let contestants = report["contestants"].as_array()?;
    let of = |name: &str| {
        let found = contestants.iter().find(|one| one["name"] == name)?;
        let mut times: Vec<f64> = found["first_word_ms"].as_array()?.iter().filter_map(Value::as_f64).collect();
        Some(median(&mut times)).filter(|median| *median > 0.0)
    };
    Some(of(one)? / of(other)?)
}

/// Where a report was made.
fn machine(report: &Value) -> Option<String> {
    let machine = &report["machine"];
    Some(format!("Linux {}, {} processors", machine["kernel"].as_str()?, machine["processors"].as_u64()?))
}

/// A series' figure at so many.
fn point(report: &Value, name: &str, size: u32) -> Option<f64> {
    let series = report["series"].as_array()?.iter().find(|one| one["name"] == name)?;
    series["points"].as_array()?.iter().find(|point| point[0] == size)?[1].as_f64()
}

/// A series' figure at so many over that at fewer.
fn grown(report: &Value, name: &str, few: u32, many: u32) -> Option<f64> {
    Some(point(report, name, many)? / point(report, name, few)?)
}

/// Prints the table, and writes it.
///
/// # Errors
/// A document that cannot be written.
pub fn run() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(here.join(format!("results/{name}.json"))).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let table = table(read)?;
    print!("{table}");
    if std::env::var_os(DRY).is_some() {
        return Ok(());
    }
    fs::write(here.join("results/budgets.md"), &table)?;
    marked::replace(&here.join("README.md"), "budgets", &table)
}

fn table(read: impl Fn(&str) -> Value) -> Result<String> {
    let mut text = "| work | goal | measured | on | |\n|---|---|---|---|---|\n".to_owned();
    let (mut met, mut measured) = (0, 0);
    let mut machines = BTreeSet::new();
    for budget in &BUDGETS {
        let report = read(budget.report);
        let (figure, date, verdict) = match (budget.figure)(&report) {
            Some(figure) => {
                measured += 1;
                let date = report["date"].as_str().unwrap_or_default().to_owned();
                machines.extend(machine(&report));
                let is_met = budget.goal.is_met(figure);
                met += usize::from(is_met);
                (short(figure), date, if is_met { "met" } else { "**missed**" })
            }
            None => (String::new(), String::new(), "not measured"),
        };
        writeln!(text, "| {} | {} | {figure} | {date} | {verdict} |", budget.work, budget.goal.words())?;
    }
    writeln!(text, "\n{met} of {measured} goals are met; {} have no figure yet.", BUDGETS.len() - measured)?;
    if !machines.is_empty() {
        writeln!(text, "Measured on {}.", machines.into_iter().collect::<Vec<_>>().join("; "))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_is_met_missed_or_not_there() {
        let read = |name: &str| match name {
            "build" => json!({ "date": "2026-11-29", "figures": { "cold_by_docker": 0.4, "cached_by_docker": 0.01 } }),
            "growth" => {
                let machine = json!({ "kernel": "6.1", "processors": 2 });
                let series = json!([{ "name": "`ps`, ms", "points": [[10, 1.0], [1000, 92.5]] }]);
                json!({ "date": "2026-11-30", "machine": machine, "series": series })
            }
            _ => Value::Null,
        };
        let table = table(read).unwrap();
        for row in [
            "| a build, cold, docker's share | ≤ 1/8 | 0.40 | 2026-11-29 | **missed** |",
            "| a build, all cached, docker's share | ≤ 1/20 | 0.010 | 2026-11-29 | met |",
            "| `ps` of a thousand, ms | ≤ 100 | 92.5 | 2026-11-30 | met |",
            "| start beside a thousand × beside ten | ≤ 2.00 |  |  | not measured |",
            "| `exec` × nsenter | ≤ 1.50 |  |  | not measured |",
        ] {
            assert!(table.contains(row), "{row}\n{table}");
        }
        assert!(
            table.contains("2 of 3 goals are met; 22 have no figure yet.\nMeasured on Linux 6.1, 2 processors."),
            "{table}"
        );
    }
}
