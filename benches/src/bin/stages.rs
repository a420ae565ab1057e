//! What each primitive adds to the start of a program, and what the whole costs beside a C program of the same calls.
//!
//! `cargo run --release -p benches --bin stages [RUNS]`, as root. Prints a table, and writes benches/results/stages.json
//! and the table of benches/README.md. `stages once ROOTFS BASE` makes one container as the C program does, for
//! strace(1) to look at.
#![forbid(unsafe_code)]

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use benches::{
    ladder::{self, FIRST, Place, Rung},
    median,
};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the C program makes.
const WHOLE: Rung = Rung { upto: "20", quiet: true };

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [once, rootfs, base] = &arguments[..]
        && once == "once"
    {
        WHOLE.run(&Place { rootfs: rootfs.as_ref(), base: base.as_ref() })?;
        return Ok(());
    }
    // Bridges and rules are nobody's but ours.
    unshare(CloneFlags::CLONE_NEWNET)?;
    ladder::prepare_network()?;
    let count = arguments.first().map_or(Ok(300), |count| count.parse())?;
    let rungs = Rung::all();
    let (directory, rootfs) = somewhere(rungs.last().ok_or("no stages")?)?;
    let base = directory.path().join("base");
    let place = Place { rootfs: &rootfs, base: &base };
    let mut times = vec![Vec::new(); rungs.len()];
    // In turns, so that whatever else the machine does falls on all alike.
    for turn in 0..count + 5 {
        for (rung, times) in rungs.iter().zip(&mut times) {
            let took = rung.run(&place).map_err(|e| format!("stages up to {}: {e}", rung.upto))?;
            if turn >= 5 {
                times.push((took.end.as_secs_f64() * 1e6, took.undone.as_secs_f64() * 1e6));
            }
        }
    }
    let measured = rungs.iter().zip(&times).map(|(rung, own)| {
        // The kernel takes its time to take a cable apart, and who starts does not wait for it.
        let took = |(end, undone): &(f64, f64)| if rung.upto >= "21" { *end } else { *undone };
        let below = rung.below(&rungs);
        let below = below.and_then(|below| rungs.iter().position(|other| other.upto == below.upto));
        // Of each turn: what slows both down is in neither difference.
        let mut steps: Vec<f64> = match below {
            Some(at) => own.iter().zip(&times[at]).map(|(own, below)| took(own) - took(below)).collect(),
            None => own.iter().map(took).collect(),
        };
        let mut own: Vec<f64> = own.iter().map(took).collect();
        (*rung, below.map(|at| rungs[at]), median(&mut own), median(&mut steps))
    });
    let measured: Vec<_> = measured.collect();
    let (ours, c) = beside_c(&place, directory.path(), count)?;
    report(&measured, ours, c, count)
}

/// A place in memory, where no disk is waited for; where tmpfs cannot be idmapped (before Linux 6.3), one on disk.
fn somewhere(whole: &Rung) -> Result<(TempDir, PathBuf)> {
    for parent in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        let Ok(directory) = TempDir::with_prefix_in("stages.", parent) else { continue };
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let (rootfs, base) = (rootfs(directory.path())?, directory.path().join("base"));
        match whole.run(&Place { rootfs: &rootfs, base: &base }) {
            Ok(_) => return Ok((directory, rootfs)),
            Err(e) => eprintln!("not in {}: {e}", parent.display()),
        }
    }
    Err("there is no place to measure at".into())
}

/// A root filesystem of one program, the smallest there is.
fn rootfs(place: &Path) -> Result<PathBuf> {
    let rootfs = place.join("rootfs");
    for name in ["", "proc", "sys", "dev"] {
        fs::create_dir(rootfs.join(name))?;
    }
    let source = place.join("true.c");
    fs::write(&source, "int main(void) { return 0; }\n")?;
    compile(&source, &rootfs.join("true"))?;
    Ok(rootfs)
}

fn compile(source: &Path, program: &Path) -> Result<()> {
    let status = Command::new("cc").args(["-O2", "-static", "-Wall", "-o"]).arg(program).arg(source).status();
    let compiled = status.map_err(|e| format!("cc: {e}: apt-get install gcc libc6-dev"))?.success();
    if compiled { Ok(()) } else { Err(format!("cc could not compile {}", source.display()).into()) }
}

/// The medians of the same container, with a session in place of a terminal: made by the stages, and by the C program.
fn beside_c(place: &Place, directory: &Path, count: usize) -> Result<(f64, f64)> {
    let program = directory.join("container");
    compile(&Path::new(HERE).join("c/container.c"), &program)?;
    let mut child: Child = Command::new(&program)
        .args([place.rootfs, place.base])
        .arg(FIRST.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..count + 5 {
        let start = Instant::now();
        WHOLE.run(place)?;
        let took = start.elapsed().as_secs_f64() * 1e6;
        let mut line = String::new();
        input.write_all(b"\n")?;
        output.read_line(&mut line)?;
        let c: f64 = line.trim().parse().map_err(|_| "the C program failed")?;
        if turn >= 5 {
            ours.push(took);
            theirs.push(c);
        }
    }
    drop(input);
    child.wait()?;
    Ok((median(&mut ours), median(&mut theirs)))
}

/// A rung, the one below, the median of its times and that of its steps above the one below.
type Measured = (Rung, Option<Rung>, f64, f64);

fn report(measured: &[Measured], ours: f64, c: f64, count: usize) -> Result<()> {
    let mut table = "| container of | median µs | the last stage adds µs |\n|---|---|---|\n".to_owned();
    let mut stages = serde_json::Map::new();
    for (rung, below, total, cost) in measured {
        let what = below.map_or_else(|| rung.upto.to_owned(), |below| format!("{} and {}", below.upto, rung.upto));
        writeln!(table, "| {what} | {total:.0} | {cost:.0} |")?;
        stages.insert(rung.upto.to_owned(), json!({ "total_us": round(*total), "cost_us": round(*cost) }));
    }
    let ratio = ours / c;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
    let processors = std::thread::available_parallelism()?.get();
    let date = jiff::Timestamp::now().strftime("%F").to_string();
    writeln!(
        table,
        "\nThe whole with a session in place of a terminal: {ours:.0} µs, by the C program {c:.0} µs: ratio {ratio:.2}."
    )?;
    writeln!(table, "{count} runs each on {date}; Linux {kernel}, {processors} processors.")?;
    print!("{table}");
    if std::env::var_os("BENCHES_DRY").is_some() {
        return Ok(());
    }
    let results: Value = json!({
        "date": date, "machine": { "kernel": kernel, "processors": processors }, "runs": count, "stages": stages,
        "beside_c": { "stages_us": round(ours), "c_us": round(c), "ratio": (ratio * 100.0).round() / 100.0 },
    });
    let path = Path::new(HERE).join("results/stages.json");
    fs::create_dir_all(Path::new(HERE).join("results"))?;
    fs::write(path, serde_json::to_string_pretty(&results)? + "\n")?;
    benches::marked::replace(&Path::new(HERE).join("README.md"), "stages", &table)
}

fn round(us: f64) -> f64 {
    (us * 10.0).round() / 10.0
}
