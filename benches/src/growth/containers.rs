//! By the number of containers that run.

use std::{fs, net::TcpStream, process::Command, time::Instant};

use indicatif::ProgressBar;

use super::{
    Result, Series,
    lab::{IMAGE, Lab},
};
use crate::median;

/// Starts that a figure is the median of.
const STARTS: usize = 15;
const OF: &str = "containers that run";

/// Starts containers until so many run.
fn fill(lab: &Lab, from: u32, to: u32, options: &[&str], bar: &ProgressBar) -> Result<()> {
    for number in from..to {
        bar.set_message(format!("{number} of {to} {OF}"));
        let name = format!("c{number}");
        lab.run(&[&["run", "-d", "--name", &name], options, &[IMAGE, "sleep", "100000"]].concat())?;
    }
    Ok(())
}

/// The median of starts beside those that run, which end again when all are started: the kernel is busy with the end of a
/// network namespace for longer than a start takes, and has its locks.
fn one_more(lab: &Lab, options: &[&str]) -> Result<f64> {
    let (mut times, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let (id, took) = lab.time(&[&["run", "-d"], options, &[IMAGE, "sleep", "100000"]].concat())?;
        times.push(took);
        ids.push(id);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    lab.run(&[&["rm", "-f"], &ids[..]].concat())?;
    Ok(median(&mut times))
}

/// Without a network: starts, `ps`, what a monitor has to itself, and the end of all.
pub(super) fn alone(lab: &Lab, sizes: &[u32], bar: &ProgressBar) -> Result<Vec<Series>> {
    let options = ["--network", "none"];
    let mut start = Series::new("one more start, ms", OF);
    let mut list = Series::new("`ps`, ms", OF);
    let mut memory = Series::new("private memory of a monitor, MB", OF);
    let mut running = 0;
    for &size in sizes {
        fill(lab, running, size, &options, bar)?;
        running = size;
        start.points.push((size, one_more(lab, &options)?));
        list.points.push((size, lab.median(5, &["ps", "-q"])?));
        // As long as it is the only one, the program's own pages are its alone.
        if size > 1 {
            memory.points.push((size, monitors(lab)?));
        }
    }
    let ids = lab.run(&["ps", "-aq"])?;
    let all: Vec<&str> = ids.lines().collect();
    let (_, took) = lab.time(&[&["rm", "-f"], &all[..]].concat())?;
    let mut end = Series::new("`rm -f` of all of them, s", OF);
    end.points.push((running, took / 1e3));
    Ok(vec![start, list, memory, end])
}

/// The median of what only a monitor has, in MB: `Private_*` of proc_pid_smaps_rollup(5).
fn monitors(lab: &Lab) -> Result<f64> {
    // A second after its start it gives back what it needed for that.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let mut all = Vec::new();
    // Each container's first process is a child of its monitor.
    let ids = lab.run(&["ps", "-q"])?;
    let ids: Vec<&str> = ids.lines().collect();
    let pids = lab.run(&[&["inspect", "-f", "{{.State.Pid}}"], &ids[..]].concat())?;
    for pid in pids.lines() {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).ok_or("no parent")?;
        let text = fs::read_to_string(format!("/proc/{parent}/smaps_rollup"))?;
        let kib = |line: &str| line.strip_prefix("Private_")?.split_whitespace().nth(1)?.parse::<f64>().ok();
        all.push(text.lines().filter_map(kib).sum::<f64>() * 1024.0 / 1e6);
    }
    Ok(median(&mut all))
}

/// Each with an address and a published port: starts, a new connection to a port, and a name.
pub(super) fn on_a_bridge(lab: &Lab, sizes: &[u32], bar: &ProgressBar) -> Result<Vec<Series>> {
    // Room for all of them.
    lab.run(&["network", "create", "--subnet", "10.96.0.0/16", "growth"])?;
    let options = ["--network", "growth", "-p", "0:80"];
    let mut start = Series::new("one more start with a bridge and a port, ms", OF);
    let mut connect = Series::new("a new connection to a port, tenth percentile, µs", OF);
    let mut name = Series::new("an answer about a name, µs", OF);
    let mut running = 0;
    for &size in sizes {
        fill(lab, running, size, &options, bar)?;
        running = size;
        start.points.push((size, one_more(lab, &options)?));
        let traffic = Traffic::new(lab)?;
        connect.points.push((size, traffic.connections(1000)?));
        name.points.push((size, traffic.answers(3000)?));
    }
    Ok(vec![start, connect, name])
}

/// A server in the first container's network, which this process connects to from outside.
struct Traffic {
    sink: std::process::Child,
    pid: String,
    address: String,
}

impl Traffic {
    fn new(lab: &Lab) -> Result<Self> {
        let pid = lab.run(&["inspect", "-f", "{{.State.Pid}}", "c0"])?;
        let ports = lab.run(&["port", "c0", "80"])?;
        let port = ports.lines().next().and_then(|line| line.rsplit(':').next()).ok_or("no port")?;
        let gateway = "{{.NetworkSettings.Networks.growth.Gateway}}";
        let address = format!("{}:{port}", lab.run(&["inspect", "-f", gateway, "c0"])?);
        let sink = inside(&pid).args(["sink", "0.0.0.0:80"]).spawn()?;
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if start.elapsed().as_secs() > 10 {
                return Err(format!("nobody answers at {address}").into());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Ok(Self { sink, pid, address })
    }

    /// What a new connection takes where nothing else gets in between: the tenth percentile, in µs. The median tells more
    /// of the machine: it was twice as much in one minute as in another, beside as many containers.
    fn connections(&self, count: usize) -> Result<f64> {
        let once = || -> Result<f64> {
            let start = Instant::now();
            drop(TcpStream::connect(&self.address)?);
            Ok(start.elapsed().as_secs_f64() * 1e6)
        };
        let mut all = (0..count).map(|_| once()).collect::<Result<Vec<_>>>()?;
        all.sort_by(f64::total_cmp);
        Ok(all[all.len() / 10])
    }

    /// The median of an answer, in µs.
    fn answers(&self, count: usize) -> Result<f64> {
        let output = inside(&self.pid).args(["wait", "c0", &count.to_string()]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = self.sink.kill();
        let _ = self.sink.wait();
    }
}

/// The program beside this one, in a container's network.
fn inside(pid: &str) -> Command {
    let own = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new("nsenter");
    command.args(["-t", pid, "-n"]).arg(own.with_file_name("traffic"));
    command
}
