//! What a start and an answer cost in system calls, instructions and bytes, which unlike their time are the same on every machine.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};
use tests::{archive::Maker, compose::Shop, disk::Disk, engine::Engine, machine::Machine};

/// Calls of command, monitor, the container's first process and its program together, from start to end. There were 784
/// when this was written, and a user namespace with idmapped layers takes some 100; what comes on top of each start has to be
/// worth it: of late, that the monitor is not called by the command's words.
const MOST: u64 = 955;
/// Bytes that a start may read and write more for each neighbour that runs: lists of names alone, of which each is some
/// hundred bytes long. It was more than 1,500.
const EACH: u64 = 800;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// What strace says of a command and all its processes.
fn traced(engine: &Engine, options: &[&str], arguments: &[&str]) -> String {
    let (trace, mut traced) = tracing(engine, options, arguments);
    assert!(traced.status().expect("strace of the package strace").success());
    fs::read_to_string(&trace).expect("what strace has written")
}

fn tracing(engine: &Engine, options: &[&str], arguments: &[&str]) -> (PathBuf, Command) {
    let (trace, command) = (engine.path("trace"), engine.command(arguments));
    let mut traced = Command::new("strace");
    traced.arg("-f").args(options).arg("-o").arg(&trace).arg(command.get_program()).args(command.get_args());
    traced.env("MINI_DOCKER_ROOT", engine.root());
    (trace, traced)
}

/// The sum of a table of strace's.
fn calls(table: &str) -> u64 {
    let counts = table.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((calls.parse::<u64>().ok()?, name.trim()))
    });
    // Unoptimised, the standard library asks of each descriptor whether it is open.
    counts.filter(|(_, name)| !matches!(*name, "total" | "fcntl")).map(|(calls, _)| calls).sum()
}

#[test]
fn a_start_makes_no_more_system_calls_than_it_did() {
    let engine = engine();
    let run = ["run", "--rm", "--network", "none", "bb", "true"];
    // The first one makes what stays.
    engine.run(&run).ok();
    let table = traced(&engine, &["-c", "-U", "calls,name"], &run);
    let sum = calls(&table);
    println!("{sum} system calls");
    assert!((100..=MOST).contains(&sum), "{sum} system calls, at most {MOST} are allowed:\n{table}");
}

/// Of `exec`. There were 380 before who waits for it had a process of its own; two thirds of the rest are its signals.
#[test]
fn exec_makes_no_more_system_calls_than_it_did() {
    const MOST: u64 = 510;
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "--network", "none", "bb", "sleep", "1000"]).ok();
    let table = traced(&engine, &["-c", "-U", "calls,name"], &["exec", "c1", "true"]);
    let sum = calls(&table);
    println!("{sum} system calls");
    assert!((100..=MOST).contains(&sum), "{sum} system calls, at most {MOST} are allowed:\n{table}");
    engine.run(&["rm", "-f", "c1"]).ok();
}

/// Instructions that each process of a command executes by itself, the most first: valgrind's count, which differs from run to run
/// by some thousandths of a percent. It knows no open_tree(2), so that a container is made up to its layers. A process begins with
/// what the one that forked it has executed.
#[cfg(target_arch = "x86_64")]
fn instructions(engine: &Engine, arguments: &[&str]) -> Vec<u64> {
    let command = engine.command(arguments);
    let counted = Command::new("valgrind")
        // Not as words of its command line, which monitors write over.
        .env("VALGRIND_OPTS", "--cache-sim=no --cachegrind-out-file=/dev/null")
        .arg("--tool=cachegrind")
        .arg(command.get_program())
        .args(command.get_args())
        .env("MINI_DOCKER_ROOT", engine.root())
        .output()
        .expect("valgrind of the package valgrind");
    let said = String::from_utf8_lossy(&counted.stderr);
    let wanted = counted.status.success() || said.contains("MOUNT_ATTR_IDMAP): Function not implemented");
    assert!(wanted, "{arguments:?}: {said}");
    let count = |line: &str| line.split_once("I   refs:")?.1.trim().replace(',', "").parse().ok();
    let mut counts: Vec<u64> = said.lines().filter_map(count).collect();
    counts.sort_by(|one, other| other.cmp(one));
    counts
}

/// In millions, of the unoptimised program. There were 10.7, 13.0, and 20.7 of the monitor with those of the command before
/// it forked, when this was written; nearly as many has the process that ends at once, of which it has the layers' user
/// namespace. What comes on top is on top of each command's time.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_start_executes_no_more_instructions_than_it_did() {
    const MOST: [(&[&str], &[u64]); 2] = [
        (&["create", "--network", "none", "bb", "true"], &[12_500_000]),
        (&["run", "--rm", "--network", "none", "bb", "true"], &[22_000_000, 22_000_000, 15_000_000]),
    ];
    let engine = engine();
    // The first one makes what stays.
    engine.run(&["run", "--rm", "--network", "none", "bb", "true"]).ok();
    for (command, most) in MOST {
        let counts = instructions(&engine, command);
        println!("{command:?}: {counts:?} instructions");
        let is_enough = |(count, most): (&u64, &u64)| (most / 10..=*most).contains(count);
        let are_enough = counts.len() == most.len() && counts.iter().zip(most).all(is_enough);
        assert!(are_enough, "{command:?}: {counts:?} instructions, at most {most:?} are allowed");
    }
    let ids = engine.run(&["ps", "-aq"]).ok();
    engine.run(&[&["rm"], &ids.lines().collect::<Vec<_>>()[..]].concat()).ok();
}

/// Calls that `ps` may make for each container that runs: its two files, and whether its monitor holds its lock.
const EACH_LISTED: u64 = 13;
/// Instructions of the unoptimised program for each row of the usual columns, in which 3 KB of JSON are read. It was 3.2 million
/// as long as each row was chosen from all that `inspect` says.
const EACH_ROW: u64 = 700_000;

#[test]
fn a_listing_costs_little_for_each_container_that_runs() {
    const MORE: u64 = 20;
    let engine = engine();
    let start = || drop(engine.run(&["run", "-d", "--network", "none", "bb", "sleep", "1000"]).ok());
    let cost = || {
        let calls = calls(&traced(&engine, &["-c", "-U", "calls,name"], &["ps"]));
        #[cfg(target_arch = "x86_64")]
        return (calls, instructions(&engine, &["ps"]).iter().sum());
        #[cfg(not(target_arch = "x86_64"))]
        (calls, 0)
    };
    start();
    let one: (u64, u64) = cost();
    (0..MORE).for_each(|_| start());
    let more: (u64, u64) = cost();
    let each = ((more.0 - one.0) / MORE, more.1.saturating_sub(one.1) / MORE);
    println!("{} system calls and {} instructions for each container", each.0, each.1);
    assert!((1..=EACH_LISTED).contains(&each.0) && each.1 <= EACH_ROW, "{each:?} for each container");
    let ids = engine.run(&["ps", "-q"]).ok();
    engine.run(&[&["rm", "-f"], &ids.lines().collect::<Vec<_>>()[..]].concat()).ok();
}

/// The disk has its part to do while there is still something to unpack, and the wait at the end is for the rest.
#[test]
fn the_disk_begins_on_large_files_before_the_last_one_is_unpacked() {
    const LARGE: usize = 100 << 10;
    let engine = engine();
    let (file, random) = (engine.path("layer.tar"), vec![b'x'; LARGE]);
    let archive = Maker::default().file("one", &random).file("small", b"x").file("two", &random);
    fs::write(&file, archive.end()).unwrap();
    let import = ["import", file.to_str().unwrap(), "layer"];
    let trace = traced(&engine, &["-e", "trace=sync_file_range,syncfs"], &import);
    let names: Vec<_> = trace.lines().filter_map(|line| line.split_once(' ')?.1.trim().split_once('(')).collect();
    let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["sync_file_range", "sync_file_range", "syncfs"], "{trace}");
}

/// The neighbours' addresses, names and ports are nothing that a start reads or writes.
#[test]
fn a_start_reads_and_writes_no_more_beside_many_neighbours() {
    const NEIGHBOURS: u64 = 25;
    const CALLS: &str = "trace=read,write,pread64,pwrite64,sendto,recvfrom,sendmsg,recvmsg,getdents64";
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    let bytes = || {
        let run = ["run", "--rm", "--network", "blue", "-p", "80", "bb", "true"];
        // This one sweeps up after those before.
        engine.run(&run).ok();
        let trace = traced(&engine, &["-e", CALLS], &run);
        // A call that failed says -1 and why.
        trace.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse::<u64>().ok()).sum::<u64>()
    };
    let alone = bytes();
    for _ in 0..NEIGHBOURS {
        engine.run(&["run", "-d", "--network", "blue", "-p", "80", "bb", "sleep", "1000"]).ok();
    }
    let among = bytes();
    println!("{alone} bytes alone, {among} bytes beside {NEIGHBOURS} neighbours");
    assert!(alone > 1000 && among <= alone + NEIGHBOURS * EACH, "{alone} bytes, beside {NEIGHBOURS} others {among}");
    let ids = engine.run(&["ps", "-q"]).ok();
    engine.run(&[&["rm", "-f"], &ids.lines().collect::<Vec<_>>()[..]].concat()).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

/// A port takes a socket in each family and an element, of which a thousand have room in a message.
#[test]
fn a_published_port_costs_a_start_little_and_a_thousand_cost_no_more_messages() {
    let (engine, host) = (engine(), Machine::new());
    engine.run_on(&host, &["network", "create", "blue"]).ok();
    let count = |publish: &[&str]| {
        let run = [&["run", "--rm", "--network", "blue"], publish, &["bb", "true"]].concat();
        engine.run_on(&host, &run).ok();
        let (trace, mut command) = tracing(&engine, &["-c", "-U", "calls,name"], &run);
        assert!(host.run(move || command.status().unwrap()).success());
        let table = fs::read_to_string(&trace).unwrap();
        let messages = table.lines().find(|line| line.ends_with(" sendto")).unwrap().trim();
        println!("{publish:?}: {} system calls, {messages}", calls(&table));
        (calls(&table), messages.split_once(' ').unwrap().0.parse::<u64>().unwrap())
    };
    let (none, one) = (count(&[]), count(&["-p", "8080:80"]));
    let (kept, moved) = (count(&["-p", "8000-8999:8000-8999"]), count(&["-p", "8000-8999:9000-9999"]));
    assert!(one.0 <= none.0 + 110 && one.1 <= none.1 + 8, "{none:?}, with a port {one:?}");
    assert!(kept.0 <= one.0 + 14_500 && kept.1 <= one.1 + 12, "{one:?}, with a thousand {kept:?}");
    assert!(moved.0 <= one.0 + 14_500 && moved.1 <= one.1 + 12, "{one:?}, with a thousand that move {moved:?}");
    engine.run_on(&host, &["network", "prune", "-f"]).ok();
}

/// A file of a context that nobody has touched is looked at once, and not opened: a build that finds all in the cache.
#[test]
fn a_cached_build_makes_one_call_for_each_file() {
    const MORE: u64 = 1000;
    let engine = engine();
    let Some(disk) = Disk::new(64) else { return };
    let count = |files: u64| {
        let context = disk.path().join(files.to_string());
        fs::create_dir_all(context.join("files")).unwrap();
        fs::write(context.join("Dockerfile"), "FROM bb\nCOPY files /files\n").unwrap();
        for file in 0..files {
            fs::write(context.join(format!("files/{file}")), "x").unwrap();
        }
        let build = ["build", "-q", context.to_str().unwrap()];
        let known = engine.root().join("build/contents");
        let records = || fs::read_dir(&known).into_iter().flatten().count();
        let before = records();
        nix::unistd::syncfs(fs::File::open(disk.path()).unwrap()).unwrap();
        tests::engine::eventually("the files are known", || {
            engine.run(&build).ok();
            records() > before
        });
        calls(&traced(&engine, &["-c", "-U", "calls,name"], &build))
    };
    let (few, many) = (count(100), count(100 + MORE));
    println!("{few} system calls with 100 files, {many} with {MORE} more");
    assert!(many > few + MORE && many <= few + MORE + MORE / 20, "{few} with 100 files, {many} with {MORE} more");
}

/// KiB that a monitor has for itself of what it allocates. The command line and the start need 350.
const RESTING: u64 = 200;

#[test]
fn a_monitor_gives_back_what_it_needed_for_the_start() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["run", "-d", "--name", "web", "--network", "blue", "bb", "sleep", "1000"]).ok();
    let monitor = tests::leaks::monitors(&engine.root().canonicalize().unwrap())[0];
    let heap = || {
        let maps = fs::read_to_string(format!("/proc/{monitor}/smaps")).unwrap();
        let mut heap = maps.lines().skip_while(|line| !line.ends_with("[heap]"));
        let dirty = heap.find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        dirty.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    };
    tests::engine::eventually("the monitor rests", || heap() <= RESTING);
    engine.run(&["rm", "-f", "web"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

/// What a monitor does for an answer: wait, receive, send. As long as nobody comes or goes it looks at no file.
#[test]
fn an_answer_of_the_resolver_takes_three_system_calls() {
    const QUESTIONS: u64 = 300;
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["run", "-d", "--name", "web", "--network", "blue", "bb", "sleep", "1000"]).ok();
    engine.run(&["run", "-d", "--name", "asker", "--network", "blue", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("asker")["State"]["Pid"].as_i64().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
    let trace = engine.path("trace");
    let mut strace = Command::new("strace")
        .args(["-c", "-U", "calls,name", "-p", monitor, "-o"])
        .arg(&trace)
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace of the package strace");
    let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
    assert!(said.next().is_some_and(|line| line.unwrap().contains("attached")));
    Machine::of_process(pid).run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
        let mut answer = [0; 512];
        for _ in 0..QUESTIONS {
            socket.send(question).unwrap();
            let length = socket.recv(&mut answer).unwrap();
            assert_eq!((answer[3] & 15, answer[7], length), (0, 1, 37), "one address, and no error");
        }
    });
    nix::sys::signal::kill(Pid::from_raw(strace.id().cast_signed()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    let table = fs::read_to_string(&trace).unwrap();
    let calls = calls(&table);
    println!("{calls} system calls for {QUESTIONS} answers");
    // At the beginning, and once a second, it looks at the files after all; and now and then at who else may have asked.
    assert!((2 * QUESTIONS..=3 * QUESTIONS + 150).contains(&calls), "{calls} calls for {QUESTIONS} answers:\n{table}");
    engine.run(&["rm", "-f", "web", "asker"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

/// Calls that an `up` with nothing to do may make for each service more: its container's files, read twice.
const EACH_SERVICE: u64 = 60;

#[test]
fn an_up_with_nothing_to_do_costs_little_for_each_service() {
    const SERVICES: u64 = 20;
    let service =
        |number: u64| format!("  s{number}:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n");
    let file = |count: u64| format!("services:\n{}", (0..count).map(service).collect::<String>());
    let shop = Shop::new(env!("CARGO_BIN_EXE_mini-docker"), "idle", &file(SERVICES));
    let up = |count: u64| {
        shop.describe(&file(count));
        shop.compose(&["up", "-d", "--remove-orphans"]).ok();
        let words = shop.arguments(&["up", "-d"]);
        let table =
            traced(&shop.engine, &["-c", "-U", "calls,name"], &words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!table.lines().any(|line| line.trim().ends_with(" clone3")), "something was started:\n{table}");
        calls(&table)
    };
    let (many, one) = (up(SERVICES), up(1));
    println!("{many} system calls for {SERVICES} services, {one} for one");
    assert!(one > 100 && many <= one + (SERVICES - 1) * EACH_SERVICE, "{many} system calls, for one service {one}");
}
