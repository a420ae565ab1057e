//! What is mounted in containers: `-v`, `--mount`, `--tmpfs` and their kin, by the kernel's effect.

use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn a_read_only_root_is_read_only_and_what_the_program_needs_is_not() {
    let engine = engine();
    let script = "for d in / /etc /sys /dev /dev/shm /proc; do touch $d/x 2>/dev/null && echo $d; done; pwd; touch x";
    let said = engine.run(&["run", "--rm", "--read-only", "-w", "/made/for/it", "bb", "sh", "-c", script]);
    assert_eq!(said.out, "/dev\n/dev/shm\n/made/for/it\n", "{said:?}");
    assert!(said.err.contains("Read-only file system"), "{said:?}");
    let options = "grep ' / ' /proc/self/mountinfo";
    let line = engine.run(&["run", "--rm", "--read-only", "bb", "sh", "-c", options]).ok();
    assert!(line.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{line}");
}

#[test]
fn shared_memory_is_as_large_as_asked_for() {
    let engine = engine();
    for (flag, kilobytes) in [("--shm-size=1m", "1024"), ("--shm-size=0", "65536"), ("--shm-size=128k", "128")] {
        let script = "df -k /dev/shm | tail -n 1 | awk '{print $2}'";
        assert_eq!(engine.run(&["run", "--rm", flag, "bb", "sh", "-c", script]).ok().trim_end(), kilobytes);
    }
    engine.run(&["run", "--rm", "--shm-size=much", "bb", "true"]).refused(125);
}
