//! Many commands at once that want the same thing: one has it, or all share it, and nothing is left of the others.

use std::{process::Stdio, thread};

use tests::{
    engine::{Said, output, said},
    machine::Machine,
};

use crate::{sample::report, world::World};

const RACERS: usize = 50;

impl World {
    /// All at once; `{n}` is the number of each.
    fn race(&self, line: &str) -> Vec<Said> {
        thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|number| {
                    let command = self.command(&line.replace("{n}", &number.to_string()));
                    scope.spawn(move || {
                        let host = Machine::beside(&self.host);
                        said(&host.run(move || output(command, b"")))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        })
    }

    #[track_caller]
    fn one_wins(&self, line: &str, words: &str) {
        let all = self.race(line);
        let winners = all.iter().filter(|said| said.code == 0).count();
        let others: Vec<_> = all.iter().filter(|said| said.code != 0 && !said.err.contains(words)).collect();
        assert!(winners == 1 && others.is_empty(), "{line}: {winners} have it; {others:?}");
        report(&format!("race: {line}"), RACERS, RACERS, RACERS);
    }

    #[track_caller]
    fn all_win(&self, line: &str) {
        let all = self.race(line);
        let losers: Vec<_> = all.iter().filter(|said| said.code != 0).collect();
        assert!(losers.is_empty(), "{line}: {losers:?}");
        report(&format!("race: {line}"), RACERS, RACERS, RACERS);
    }
}

#[test]
fn fifty_race_for_a_name() {
    let world = World::new();
    world.one_wins("create --name box bb:latest true", "is already in use");
    assert_eq!(world.ok("ps -aq --filter name=box").lines().count(), 1);
    world.ok("rm box");
    // One that a dead container has left.
    std::fs::write(world.engine.root().join("names/box"), "d".repeat(64)).unwrap();
    world.one_wins("create --name box bb:latest true", "is already in use");
    world.ok("rm box");
    world.one_wins("network create blue", "already exists");
    world.ok("network rm blue");
    world.all_win("volume create data");
    assert_eq!(world.ok("volume ls -q --filter name=data"), "data\n");
    world.ok("volume rm data");
    world.whole().unwrap();
    world.assert_ends_empty("at the end");
}

#[test]
fn fifty_race_for_a_port() {
    let world = World::new();
    world.one_wins("run -d --name box{n} --label go=yes -p 8080:80 bb:latest sleep 1000", "8080");
    let running = world.ok("ps -q");
    assert_eq!(running.lines().count(), 1);
    world.ok(&format!("rm -f {}", running.trim_end()));
    world.ok("container prune -f --filter label=go");
    world.ok("run --rm -p 8080:80 bb:latest true");
    world.whole().unwrap();
    world.assert_ends_empty("at the end");
}

#[test]
fn fifty_race_for_a_layer() {
    let world = World::new();
    world.all_win("pull -q {registry}/small:1");
    world.whole().unwrap();
    // What removes it and what wants it, by turns.
    thread::scope(|scope| {
        for command in ["rmi -f {registry}/small:1", "pull -q {registry}/small:1", "tag {registry}/small:1 made:{n}"] {
            let world = &world;
            scope.spawn(move || {
                for number in 0..12 {
                    let mut command = world.command(&command.replace("{n}", &number.to_string()));
                    let host = Machine::beside(&world.host);
                    command.stdout(Stdio::null());
                    let said = said(&host.run(move || output(command, b"")));
                    let is_gone = said.err.contains("No such image") || said.err.contains("just been removed");
                    assert!(said.code == 0 || is_gone, "{said:?}");
                }
            });
        }
    });
    world.whole().unwrap();
    world.assert_ends_empty("at the end");
}
