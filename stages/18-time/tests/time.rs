//! Clocks that differ from the host's by what was asked for.

use std::{ffi::CString, path::Path};

use nix::{
    time::{ClockId, clock_gettime},
    unistd::write,
};
use pid::PidNamespace;
use process::{Errno, Inside, Primitive};
use tests::container::{List, image, namespace, own_namespace, run, script_as_nobody, sh, shell, start, with_init};
use time::Time;
use user::{IdRange, User};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-18-time");
const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

fn now(clock: ClockId) -> i128 {
    let now = clock_gettime(clock).unwrap();
    i128::from(now.tv_sec()) * SECOND + i128::from(now.tv_nsec())
}

/// Writes what the clocks say inside, as the C library reads them, into standard output.
struct Says;

impl Primitive for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        for clock in [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_REALTIME] {
            let time = clock_gettime(clock)?;
            let mut digits = [b' '; 24];
            let mut rest = i128::from(time.tv_sec()) * SECOND + i128::from(time.tv_nsec());
            for digit in digits[..23].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            let (_, out) = OUT.get().ok_or(Errno::EBADF)?;
            write(out, &digits)?;
        }
        Ok(())
    }
}

static OUT: std::sync::OnceLock<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> = std::sync::OnceLock::new();

/// What the three clocks say inside, between what they say outside before and after.
fn clocks(time: Option<Time>) -> [(i128, i128, i128); 3] {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let (ours, _) = OUT.get_or_init(|| nix::unistd::pipe().unwrap());
    let mut list: List = time.into_iter().map(|time| Box::new(time) as Box<dyn Primitive>).collect();
    list.push(Box::new(Says));
    let all = [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_REALTIME];
    let before = all.map(now);
    assert_eq!(run(list, shell("exit 0")).code, 0);
    let after = all.map(now);
    let mut text = [0; 72];
    assert_eq!(nix::unistd::read(ours, &mut text), Ok(72));
    let text = String::from_utf8_lossy(&text).into_owned();
    let said: Vec<i128> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    [0, 1, 2].map(|n| (before[n], said[n], after[n]))
}

#[test]
fn clocks_differ_by_the_offsets_and_the_time_of_day_does_not() {
    let offsets = [(DAY, 2 * DAY), (-(now(ClockId::CLOCK_MONOTONIC) / 2), DAY + 1), (0, -SECOND / 2)];
    for (monotonic, boottime) in offsets {
        let all = clocks(Some(Time::new(monotonic, boottime)));
        for ((before, inside, after), offset) in all.into_iter().zip([monotonic, boottime, 0]) {
            assert!((before + offset..=after + offset).contains(&inside), "{before} + {offset}: {inside}, {after}");
        }
    }
    for (before, inside, after) in clocks(None) {
        assert!((before..=after).contains(&inside));
    }
}

#[test]
fn clocks_may_begin_at_zero() {
    let [monotonic, boottime, _] = clocks(Some(Time::from_zero()));
    for (before, inside, after) in [monotonic, boottime] {
        assert!((0..=after - before).contains(&inside), "{inside} after {} ns", after - before);
    }
}

#[test]
fn the_program_and_init_are_in_the_namespace() {
    let ways = |user: Option<User>| -> List {
        let user = user.into_iter().map(|user| Box::new(user) as Box<dyn Primitive>);
        user.chain([Box::new(PidNamespace) as Box<dyn Primitive>, Box::new(Time::new(DAY, DAY))]).collect()
    };
    let far = || vec![IdRange { inside: 0, outside: 100_000, count: 65536 }];
    let users = [None, Some(User::single()), Some(User::ranges(far(), far()))];
    for user in users {
        for init in [false, true] {
            let user = match &user {
                None => None,
                // A primitive is used once.
                Some(user) if format!("{user:?}").contains("100000") => Some(User::ranges(far(), far())),
                Some(_) => Some(User::single()),
            };
            let process = shell("readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime; echo ready; exec sleep 20");
            let process = if init { with_init(process) } else { process };
            let mut running = start(ways(user), process).unwrap();
            running.wait_for("ready");
            let pid = running.child.pid;
            assert_ne!(namespace(pid, "time"), own_namespace("time"), "init: {init}");
            assert_eq!(namespace(pid, "time"), namespace(pid, "time_for_children"));
            running.signal(nix::libc::SIGKILL);
            let said = running.finish().out;
            let uptime: i128 = said.lines().nth(1).unwrap().parse().unwrap();
            assert!(uptime * SECOND >= DAY && !said.contains(&own_namespace("time")), "{said}");
        }
    }
}

#[test]
fn the_starter_stays_where_it_was() {
    let (own, children) = (own_namespace("time"), own_namespace("time_for_children"));
    assert_eq!(run(vec![Box::new(Time::new(DAY, DAY))], shell("exit 0")).code, 0);
    assert_eq!((own_namespace("time"), own_namespace("time_for_children")), (own, children));
}

#[test]
fn what_the_kernel_would_refuse_is_refused_with_the_range() {
    let up = now(ClockId::CLOCK_BOOTTIME);
    for (monotonic, boottime) in [(-up - DAY, 0), (0, -up - DAY), (i128::MAX, 0), (0, 200 * 366 * DAY), (i128::MIN, 0)]
    {
        let error = start(vec![Box::new(Time::new(monotonic, boottime))], shell("true")).err().unwrap();
        assert!(error.errno == Errno::ERANGE && error.hint.is_some(), "{error}");
    }
    // The rule is the kernel's: what passes here it takes too, to the last second.
    let most = i128::from(i64::MAX / 1_000_000_000 / 2) * SECOND - up - 60 * SECOND;
    assert_eq!(run(vec![Box::new(Time::new(most, most))], shell("exit 0")).code, 0);
}

/// Writes an offset by itself.
struct Raw(CString);

impl Primitive for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
        let file = nix::fcntl::open(c"/proc/self/timens_offsets", flags, nix::sys::stat::Mode::empty())?;
        write(file, self.0.to_bytes()).map(drop)
    }
}

#[test]
fn offsets_are_fixed_once_a_process_is_in() {
    let list: List = vec![Box::new(Time::new(DAY, DAY)), Box::new(Raw(c"monotonic 0 0\n".to_owned()))];
    let error = start(list, shell("true")).err().unwrap();
    assert_eq!((error.primitive, error.errno), ("raw", Errno::EACCES));
}

#[test]
fn the_binary_starts_the_clock_anew_without_root() {
    let image = image();
    let ran = script_as_nobody(STAGE, image.path(), "cut -d. -f1 /proc/uptime");
    let uptime: u64 = ran.out.trim().parse().unwrap_or_else(|_| panic!("{ran:?}"));
    assert!(uptime < 20, "{ran:?}");
    let host = sh(List::new(), "cut -d. -f1 /proc/uptime");
    assert!(host.trim().parse::<u64>().unwrap() > uptime || uptime == 0);
    let missing = script_as_nobody(STAGE, Path::new("/nonexistent"), "true");
    assert_eq!(missing.code, 125);
}
