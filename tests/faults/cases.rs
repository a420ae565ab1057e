//! The commands that change something.

/// A command, and what is around it. `{dir}` and `{registry}` are the world's.
pub(crate) struct Case {
    /// What brings it about that the command has something to do.
    pub(crate) before: &'static [&'static str],
    /// The command.
    pub(crate) command: &'static str,
    /// By these words the command says, made once more, that it was done.
    pub(crate) done: &'static str,
    /// What takes away what it made, and what was before it.
    pub(crate) after: &'static [&'static str],
    /// What succeeds when the command has succeeded.
    pub(crate) proof: &'static str,
}

const RUN: &str = "run -d --name box --network kept -p 8080:80 -v data:/data bb:latest sleep 1000";
const CREATE: &str = "create --name box -v data:/data bb:latest true";
const REMOVE: &[&str] = &["rm -f box", "volume rm data"];
const NO_MADE: &[&str] = &["rmi made:1"];
const LINKED: &str = "run -d --name linked --network kept --link box:db bb:latest sleep 1000";
const LOGIN: &str = "--config {dir}/docker login -u somebody -p word {registry}";
const LOGOUT: &str = "--config {dir}/docker logout {registry}";
const UP: &str = "compose -p shop --project-directory {dir}/context up -d -t 0";
const DOWN: &[&str] = &["compose -p shop --project-directory {dir}/context down -v -t 0"];

const fn case(
    before: &'static [&'static str],
    command: &'static str,
    done: &'static str,
    proof: &'static str,
    after: &'static [&'static str],
) -> Case {
    Case { before, command, done, after, proof }
}

/// Words that no error has.
const NEVER: &str = "\n\n";

/// Those that are about containers.
pub(crate) const CONTAINERS: &[Case] = &[
    case(&[], CREATE, "is already in use", "inspect box", REMOVE),
    case(&[], RUN, "is already in use", "inspect box", REMOVE),
    case(&[], "run --rm --name box --network kept -p 8080:80 bb:latest true", "is already in use", "ps", REMOVE),
    case(&[CREATE], "start box", NEVER, "inspect box", REMOVE),
    case(&[RUN], "stop -t 0 box", NEVER, "rm box", REMOVE),
    case(&[RUN], "kill box", "is not running", "rm -f box", REMOVE),
    case(&[CREATE], "rm box", "No such container", CREATE, REMOVE),
    case(&[RUN], "rm -f box", NEVER, "volume rm data", REMOVE),
    case(&["create --name old bb:latest true"], "rename old box", "No such container", "rm box", &["rm -f box old"]),
    case(&[RUN], "restart -t 0 box", NEVER, "exec box true", REMOVE),
    case(&[RUN], "pause box", "is already paused", "unpause box", REMOVE),
    case(&[RUN, "pause box"], "unpause box", "is not paused", "exec box true", REMOVE),
    case(&[RUN], "update --pids-limit 50 box", NEVER, "inspect box", REMOVE),
    case(&[RUN], "update --restart always box", NEVER, "inspect box", REMOVE),
    case(&[RUN], "exec box true", NEVER, "exec box true", REMOVE),
    case(&[RUN], "exec -d box sleep 1000", NEVER, "exec box true", REMOVE),
    case(&[RUN], LINKED, "is already in use", "exec linked nslookup db", &["rm -f linked box", "volume rm data"]),
    case(
        &["run -d --name box bb:latest sleep 1000", "run -d --name linked --link box:db bb:latest sleep 1000"],
        "rm --link linked/db",
        "could not find link",
        "exec linked true",
        &["rm -f linked box"],
    ),
    case(
        &["run -d --name box --network kept --restart always -v data:/data bb:latest sleep 1000"],
        "stop -t 0 box",
        NEVER,
        "rm box",
        REMOVE,
    ),
    case(&[RUN], "cp {dir}/saved.tar box:/there", NEVER, "exec box test -s /there", REMOVE),
    case(&[RUN], "cp box:/bin/busybox {dir}/out", NEVER, "ps", REMOVE),
    case(
        &["create --name box --label go=yes bb:latest true"],
        "container prune -f --filter label=go",
        NEVER,
        "create --name box bb:latest true",
        REMOVE,
    ),
];

/// Those that are about images.
pub(crate) const IMAGES: &[Case] = &[
    case(&[], "commit keeper made:1", NEVER, "image inspect made:1", NO_MADE),
    case(&[], "tag bb:latest made:1", NEVER, "image inspect made:1", NO_MADE),
    case(&["import {dir}/context/tree.tar made:1"], "rmi made:1", "No such image", "ps", NO_MADE),
    case(&[], "pull -q {registry}/small:1", NEVER, "image inspect {registry}/small:1", &["rmi {registry}/small:1"]),
    case(&["tag bb:latest {registry}/made:1"], "push -q {registry}/made:1", NEVER, "ps", &["rmi {registry}/made:1"]),
    case(&[], "save -o {dir}/out.tar bb:latest", NEVER, "load -q -i {dir}/out.tar", &[]),
    case(&[], "load -q -i {dir}/saved.tar", NEVER, "image inspect saved:1", &["rmi saved:1"]),
    case(&[], "import {dir}/context/tree.tar made:1", NEVER, "image inspect made:1", NO_MADE),
    case(&[], "build -q -t made:1 {dir}/context", NEVER, "image inspect made:1", &["rmi made:1", "builder prune -af"]),
    case(&["import {dir}/context/tree.tar"], "image prune -f", NEVER, "ps", &[]),
    case(
        &["build -q -t made:1 {dir}/context"],
        "builder prune -af",
        NEVER,
        "run --rm made:1 cat /two",
        &["rmi made:1", "builder prune -af"],
    ),
    case(&[], LOGIN, NEVER, LOGOUT, &[LOGOUT]),
    case(&[LOGIN], LOGOUT, NEVER, "ps", &[LOGOUT]),
];

/// Those that are about volumes, networks, and many things at once.
pub(crate) const OTHERS: &[Case] = &[
    case(&[], "volume create data", NEVER, "volume inspect data", &["volume rm data"]),
    case(&["volume create data"], "volume rm data", "no such volume", "ps", &["volume rm data"]),
    case(
        &["volume create --label go=yes data"],
        "volume prune -af --filter label=go",
        NEVER,
        "ps",
        &["volume rm data"],
    ),
    case(&[], "network create blue", "already exists", "network inspect blue", &["network rm blue"]),
    case(&["network create blue"], "network rm blue", "not found", "network create blue", &["network rm blue"]),
    case(
        &[RUN, "network create blue"],
        "network connect blue box",
        "already exists",
        "network disconnect blue box",
        &["rm -f box", "network rm blue", "volume rm data"],
    ),
    case(&[RUN], "network disconnect kept box", "is not connected", "network connect kept box", REMOVE),
    case(
        &[
            "create --name box --label go=yes bb:latest true",
            "volume create --label go=yes data",
            "network create --label go=yes blue",
        ],
        "system prune -f --volumes --filter label=go",
        NEVER,
        "ps",
        &["rm -f box", "network rm blue", "volume rm data"],
    ),
    case(
        &[RUN, "network create blue", "run -d --name linked --network blue bb:latest sleep 1000"],
        "network connect --link linked:other blue box",
        "already exists",
        "exec box nslookup other",
        &["rm -f box linked", "network rm blue", "volume rm data"],
    ),
    case(
        &["network create --label go=yes blue"],
        "network prune -f --filter label=go",
        NEVER,
        "ps",
        &["network rm blue"],
    ),
    case(&[], UP, NEVER, "exec shop-web-1 true", DOWN),
    case(
        &[UP],
        "compose -p shop --project-directory {dir}/context up -d -t 0 --scale web=2",
        NEVER,
        "exec shop-web-2 true",
        DOWN,
    ),
    case(
        &[UP],
        "compose -p shop --project-directory {dir}/context up -d -t 0 --force-recreate",
        NEVER,
        "exec shop-web-1 true",
        DOWN,
    ),
    case(&[UP], "compose -p shop --project-directory {dir}/context restart -t 0", NEVER, "exec shop-web-1 true", DOWN),
    case(&[UP], "compose -p shop --project-directory {dir}/context stop -t 0", NEVER, "rm shop-web-1", DOWN),
    case(&[UP], "compose -p shop --project-directory {dir}/context rm -fsv", NEVER, "ps", DOWN),
    case(
        &[UP],
        "compose -p shop --project-directory {dir}/context run --rm web true",
        NEVER,
        "exec shop-web-1 true",
        DOWN,
    ),
    case(&[UP], "compose -p shop --project-directory {dir}/context down -v -t 0", NEVER, "ps", DOWN),
];
