//! Real programs, from Debian's packages, keep their data in volumes and serve a client: `make test-programs`.

use tests::engine::{Engine, eventually};

/// An engine with the image `programs`: Debian with nginx, redis and PostgreSQL.
fn engine() -> Engine {
    let archive = std::env::var("MINI_DOCKER_PROGRAMS").expect("MINI_DOCKER_PROGRAMS: see the Makefile");
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["import", &archive, "programs"]).ok();
    engine
}

/// Starts a server that a client in the same container talks to, and returns what they say up to `done`.
fn serve(engine: &Engine, name: &str, flags: &[&str], script: &str) -> String {
    engine.run(&[&["run", "-d", "--name", name], flags, &["programs", "bash", "-c", script]].concat()).ok();
    let mut said = String::new();
    eventually("the client is served", || {
        let logs = engine.run(&["logs", name]);
        said = logs.out + &logs.err;
        said.lines().any(|line| line == "done")
    });
    said
}

/// Ends it without a warning, as a power cut would.
fn kill(engine: &Engine, name: &str) {
    engine.run(&["kill", name]).ok();
    engine.run(&["rm", "-f", name]).ok();
}

#[test]
#[ignore = "needs an image of Debian's packages: make test-programs"]
fn postgresql_keeps_what_it_committed() {
    let engine = engine();
    let flags = ["-u", "postgres", "-v", "database:/var/lib/postgresql", "--shm-size", "128m"];
    let server = |sql: &str| {
        format!(
            "cd; bin=$(echo /usr/lib/postgresql/*/bin); data=$(echo /var/lib/postgresql/*/main)
             config=$(echo /etc/postgresql/*/main/postgresql.conf)
             $bin/postgres -D $data -c config_file=$config -c unix_socket_directories=/tmp -c ssl=off &
             until $bin/pg_isready -q -h /tmp; do sleep 0.1; done
             $bin/psql -h /tmp -Atc \"{sql}\" && echo done; wait"
        )
    };
    // The image's own cluster, with its owners and modes, or the server would refuse it.
    serve(&engine, "db", &flags, &server("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"));
    kill(&engine, "db");
    let said = serve(&engine, "db", &flags, &server("INSERT INTO t VALUES (1001) RETURNING n"));
    assert!(said.lines().any(|line| line == "1001"), "{said}");
    kill(&engine, "db");
    let said = serve(&engine, "db", &flags, &server("SELECT count(*), max(n) FROM t"));
    assert!(said.lines().any(|line| line == "1001|1001"), "{said}");
    engine.run(&["stop", "db"]).ok();
}

#[test]
#[ignore = "needs an image of Debian's packages: make test-programs"]
fn redis_keeps_what_it_acknowledged() {
    let engine = engine();
    let flags = ["-u", "redis", "-v", "cache:/var/lib/redis"];
    let server = |command: &str| {
        format!(
            "redis-server --dir /var/lib/redis --appendonly yes --appendfsync always --bind 127.0.0.1 >/dev/null &
             until [ \"$(redis-cli ping 2>/dev/null)\" = PONG ]; do sleep 0.1; done
             redis-cli {command} && echo done; wait"
        )
    };
    assert!(serve(&engine, "r1", &flags, &server("incrby n 41")).contains("41"));
    kill(&engine, "r1");
    assert!(serve(&engine, "r2", &flags, &server("incr n")).contains("42"));
    kill(&engine, "r2");
    assert!(serve(&engine, "r3", &flags, &server("get n")).contains("42"));
    engine.run(&["stop", "r3"]).ok();
}

#[test]
#[ignore = "needs an image of Debian's packages: make test-programs"]
fn nginx_serves_pages_of_a_volume() {
    let engine = engine();
    let flags = [
        "-v",
        "www:/var/www/html",
        "-v",
        "log:/var/log/nginx",
        "--tmpfs",
        "/run",
        "--read-only",
        "--tmpfs",
        "/var/lib/nginx",
    ];
    let server = |before: &str, path: &str| {
        format!(
            "{before}
             nginx -g 'daemon off;' &
             until exec 3<>/dev/tcp/127.0.0.1/80; do sleep 0.1; done 2>/dev/null
             printf 'GET {path} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' >&3; cat <&3; echo; echo done; wait"
        )
    };
    let said = serve(&engine, "w1", &flags, &server("", "/index.nginx-debian.html"));
    assert!(
        said.contains("200 OK") && said.contains("Welcome to nginx!"),
        "the volume is filled from the image: {said}"
    );
    kill(&engine, "w1");
    let said = serve(&engine, "w2", &flags, &server("echo mine > /var/www/html/mine.txt", "/mine.txt"));
    assert!(said.contains("200 OK") && said.contains("mine"), "{said}");
    kill(&engine, "w2");
    let said = serve(&engine, "w3", &flags, &server("", "/mine.txt"));
    assert!(said.contains("200 OK") && said.contains("mine"), "{said}");
    kill(&engine, "w3");
    let log = engine.run(&["run", "--rm", "-v", "log:/l", "programs", "cat", "/l/access.log"]).ok();
    assert_eq!(log.lines().filter(|line| line.contains("\" 200 ")).count(), 3, "{log}");
}
