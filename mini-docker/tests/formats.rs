//! What `--format` and its kin print, as the user sees it.

use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn ps_prints_what_the_format_says() {
    let engine = engine();
    let id =
        engine.run(&["create", "--name", "c1", "-l", "a.b=1", "bb", "echo", "a long argument, and a longer one"]).ok();
    let ps = |format: &str| engine.run(&["ps", "-a", "--format", format]).ok();
    assert_eq!(ps("{{.Names}}|{{.Image}}|{{.State}}|{{.Status}}"), "c1|bb|created|Created\n");
    assert_eq!(ps("{{.Command}}"), "\"echo 'a long argume…\"\n", "20 characters of it");
    assert_eq!(ps("{{.Label \"a.b\"}} {{.Labels}}"), "1 a.b=1\n");
    assert_eq!(ps("table {{.Names}}\\t{{.Image}}"), "NAMES     IMAGE\nc1        bb\n");
    let row: serde_json::Value = serde_json::from_str(&ps("json")).expect("a line of JSON");
    assert_eq!((row["Names"].as_str(), row["ID"].as_str()), (Some("c1"), Some(&id[..12])));
    assert!(
        engine
            .run(&["ps", "--format", "{{"])
            .refused(1)
            .contains("template parsing error: template: :1: unclosed action")
    );
    assert!(engine.run(&["ps", "-a", "--format", "{{.Nope}}"]).refused(1).contains("Nope"));
}

#[test]
fn inspect_prints_what_is_there_and_complains_of_the_rest() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "-e", "T=<a&b>", "bb", "true"]).ok();
    let inspect = |arguments: &[&str]| engine.run(&[&["inspect"], arguments].concat());
    assert_eq!(inspect(&["-f", "{{index .Config.Env 0}} {{.Config.Labels.none}}", "c1"]).ok(), "T=<a&b> <no value>\n");
    assert!(inspect(&["c1"]).ok().starts_with("[\n    {\n        \"Id\": "), "indented by four");
    let json = inspect(&["-f", "json", "c1", "bb"]).ok();
    assert_eq!((json.lines().count(), &json[..7]), (1, "[{\"Id\":"));

    // Go's names of fields that JSON writes otherwise.
    let written = inspect(&["-f", "{{.Id}} {{.HostConfig.CpuShares}} {{.HostConfig.NanoCpus}}", "c1"]).ok();
    assert_eq!(inspect(&["-f", "{{.ID}} {{.HostConfig.CPUShares}} {{.HostConfig.NanoCPUs}}", "c1"]).ok(), written);
    for api in ["{{.Server.APIVersion}}", "{{.Client.APIVersion}}", "{{.Server.MinAPIVersion}}"] {
        assert!(engine.run(&["version", "-f", api]).ok().starts_with("1."), "{api}");
    }
    assert_eq!(engine.run(&["info", "-f", "{{.HTTPProxy}}{{.Isolation}}"]).ok(), "\n");

    let missing = inspect(&["nosuch"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "[]\n"));
    assert!(missing.err.contains("No such object: nosuch"), "{missing:?}");
    let missing = inspect(&["-f", "{{.Name}}", "c1", "nosuch"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "/c1\n"));
    let missing = inspect(&["-f", "{{.Nope}}", "c1"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "\n"));
    assert!(missing.err.contains("map has no entry for key \"Nope\""), "{missing:?}");
    inspect(&["-f", "{{", "c1"]).refused(64);
    assert!(inspect(&["--type", "image", "c1"]).err.contains("No such image"));
    assert_eq!(inspect(&["--type", "container", "-f", "{{.Name}}", "c1"]).ok(), "/c1\n");
}

#[test]
fn ps_filters_containers() {
    let engine = engine();
    engine.run(&["run", "--name", "zero", "-l", "k=a", "bb", "true"]).ok();
    assert_eq!(engine.run(&["run", "--name", "three", "-l", "k=b", "bb", "sh", "-c", "exit 3"]).code, 3);
    engine.run(&["create", "--name", "made", "-l", "k=b", "bb", "true"]).ok();
    engine.run(&["run", "-d", "--name", "up", "bb", "sleep", "1000"]).ok();
    let ps = |arguments: &[&str]| {
        let said = engine.run(&[&["ps", "--format", "{{.Names}}"], arguments].concat()).ok();
        said.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    for (arguments, names) in [
        (&[][..], "up"),
        (&["-a"], "up made three zero"),
        (&["-n", "2"], "up made"),
        (&["-l"], "up"),
        (&["-n", "-1"], "up"),
        (&["-f", "status=exited"], "three zero"),
        (&["-f", "status=exited", "-f", "status=created"], "made three zero"),
        (&["-a", "-f", "exited=3"], "three"),
        (&["-a", "-f", "label=k=b"], "made three"),
        (&["-a", "-f", "label=k", "-f", "label=k=a"], "zero"),
        (&["-a", "-f", "name=^/?t.*e$"], "three"),
        (&["-a", "-f", "before=three"], "zero"),
        (&["-a", "-f", "since=three"], "up made"),
        (&["-a", "-f", "since=zero", "-f", "before=up", "-f", "status=exited"], "three"),
        (&["-a", "-f", "ancestor=bb", "-f", "name=zero"], "zero"),
        (&["-a", "-f", "ancestor=nosuch"], ""),
        (&["-a", "-f", "health=healthy"], ""),
        (&["-a", "-f", "is-task=true"], ""),
        (&["-f", "is-task=false", "-f", "isolation=default", "-f", "status=exited"], "three zero"),
        (&["-n", "1", "-f", "label=k=b"], "made"),
    ] {
        assert_eq!(ps(arguments), names, "{arguments:?}");
    }
    let id = engine.run(&["ps", "-aq", "--no-trunc", "-f", "name=zero"]).ok();
    assert_eq!(ps(&["-a", "-f", &format!("id={}", &id[..12])]), "zero");
    assert!(engine.run(&["ps", "-f", "status=rubbish"]).refused(1).contains("invalid filter 'status=rubbish'"));
    assert!(engine.run(&["ps", "-f", "nosuch=1"]).refused(1).contains("invalid filter 'nosuch'"));
    assert!(engine.run(&["ps", "-f", "name"]).refused(1).contains("bad format of filter"));
    assert!(engine.run(&["ps", "-f", "before=nosuch"]).refused(1).contains("No such container"));
}

#[test]
fn ps_shows_the_image_that_a_container_has() {
    let engine = engine();
    engine.run(&["tag", "bb", "other"]).ok();
    engine.run(&["create", "--name", "c1", "other", "true"]).ok();
    let shown = || engine.run(&["ps", "-a", "--format", "{{.Image}}"]).ok();
    assert_eq!(shown(), "other\n");
    let id = engine.inspect("c1")["Image"].as_str().unwrap()["sha256:".len()..][..12].to_owned();
    engine.run(&["rmi", "-f", "other"]).ok();
    assert_eq!(shown(), format!("{id}\n"), "the name means nothing now");
    let said = engine.run(&["ps", "-aq", "--format", "{{.Names}}"]);
    assert!(said.err.contains("Ignoring custom format"), "{}", said.err);
    assert_eq!(said.ok(), engine.inspect("c1")["Id"].as_str().unwrap()[..12].to_owned() + "\n");
}

#[test]
fn inspect_leaves_out_what_nobody_said() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "-v", "/tmp:/x", "bb", "true"]).ok();
    let config = &engine.inspect("c1")["Config"];
    for field in ["StopSignal", "StopTimeout", "Healthcheck"] {
        assert!(config.get(field).is_none(), "{field}: {config}");
    }
    assert_eq!(config["AttachStdout"], true, "as Docker, whoever starts it later");
    let fields = "{{.Config.StopSignal}}|{{.Config.StopTimeout}}|{{.Config.Healthcheck}}|{{range .Mounts}}{{.Driver}}{{.Name}}{{end}}";
    assert_eq!(engine.run(&["inspect", "-f", fields, "c1"]).ok(), "|<nil>|<nil>|\n");
    engine.run(&["create", "--name", "c2", "--stop-timeout", "10", "--stop-signal", "9", "bb", "true"]).ok();
    assert_eq!(engine.run(&["inspect", "-f", fields, "c2"]).ok(), "9|10|<nil>|\n");
}

#[test]
fn ps_counts_what_was_written() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "head -c 2000 /dev/zero > /x; ln /x /y; ln -s /x /z"]).ok();
    let size = engine.run(&["ps", "-as", "--format", "{{.Size}}"]).ok();
    assert!(size.starts_with("2kB (virtual "), "{size}");
    assert!(engine.run(&["ps", "-as"]).ok().lines().next().expect("a heading").ends_with("SIZE"));
}

#[test]
fn the_system_tells_what_it_is_and_what_it_takes() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "head -c 5000 /dev/zero > /x"]).ok();
    engine.run(&["run", "-d", "--name", "up", "bb", "sleep", "1000"]).ok();
    let version = engine.run(&["version", "--format", "{{.Client.Version}} {{.Server.Os}}"]).ok();
    assert_eq!(version, format!("{} linux\n", env!("CARGO_PKG_VERSION")));
    assert!(engine.run(&["version"]).ok().contains("Server:\n Engine:\n"));
    engine.run(&["version", "-f", "{{"]).refused(64);
    let info = engine.run(&["info", "-f", "{{.Containers}} {{.ContainersRunning}} {{.Images}} {{.OSType}}"]).ok();
    assert_eq!(info, "2 1 1 linux\n");
    assert!(engine.run(&["system", "info"]).ok().contains("\n Containers: 2\n  Running: 1\n"));
    let df = engine
        .run(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}"])
        .ok();
    let lines: Vec<_> = df.lines().collect();
    assert!(lines[0].starts_with("Images 1 1 ") && lines[0].ends_with(" 0B (0%)"), "{df}");
    assert_eq!(lines[1..], ["Containers 2 1 5kB 5kB (100%)", "Local Volumes 0 0 0B 0B", "Build Cache 0 0 0B 0B"]);
    let all = "{{range .Images}}{{.Repository}} {{end}}{{len .Containers}} {{len .Volumes}} {{len .BuildCache}}";
    let said = engine.run(&["system", "df", "-v", "--format", all]).ok();
    assert!(said.starts_with("bb ") && said.split(' ').count() >= 4, "{said}");
    let json = engine.run(&["system", "df", "-v", "--format", "json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(["Images", "Containers", "Volumes", "BuildCache"].iter().all(|part| json[part].is_array()), "{json}");
    assert!(engine.run(&["system", "df", "-v"]).ok().contains("Containers space usage:\n\nCONTAINER ID   IMAGE"));
    assert!(engine.run(&["-H", "tcp://x", "ps"]).refused(1).contains("no daemon"));
}

#[test]
fn prune_removes_what_does_not_run() {
    let engine = engine();
    engine.run(&["run", "--name", "old", "-l", "keep", "bb", "true"]).ok();
    let id = engine.run(&["create", "--name", "made", "bb", "true"]).ok();
    engine.run(&["run", "-d", "--name", "up", "bb", "sleep", "1000"]).ok();
    let asked = engine.run_with(&["container", "prune"], b"n\n").ok();
    assert!(asked.ends_with("[y/N] "), "{asked}");
    assert!(
        engine
            .run(&["container", "prune", "-f", "--filter", "until=24h"])
            .ok()
            .ends_with("Total reclaimed space: 0B\n")
    );
    let said = engine.run(&["container", "prune", "-f", "--filter", "label!=keep"]).ok();
    assert_eq!(said, format!("Deleted Containers:\n{}\n\nTotal reclaimed space: 0B\n", id.trim()));
    assert!(engine.run(&["container", "prune", "-f", "--filter", "nosuch=1"]).refused(1).contains("invalid filter"));
    let said = engine.run(&["system", "prune", "-f"]).ok();
    assert!(said.starts_with("Deleted Containers:\n") && said.contains("Total reclaimed space: "), "{said}");
    assert_eq!(engine.run(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "up\n");
}

#[test]
fn shells_and_man_get_what_is_generated() {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef mini-docker"), ("fish", "complete -c mini-docker")]
    {
        let script = engine.run(&["completion", shell]).ok();
        assert!(script.contains(says) && script.contains("no-trunc"), "{shell}");
    }
    let pages = engine.path("man");
    engine.run(&["man", pages.to_str().expect("a UTF-8 path")]).ok();
    assert!(pages.join("mini-docker.1").exists() && pages.join("mini-docker-container-prune.1").exists());
    assert_eq!(engine.run(&["nosuch"]).code, 1);
    assert_eq!(engine.run(&["ps", "--nosuch"]).code, 125);
}

#[test]
fn the_doctor_names_what_is_there() {
    let engine = engine();
    let said = engine.run(&["doctor", "--json"]).ok();
    let findings: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let of = |name: &str| {
        let mut all = findings.as_array().into_iter().flatten();
        all.find(|finding| finding["name"] == name).cloned().unwrap_or_else(|| panic!("no {name}: {said}"))
    };
    // The tests make containers on this machine.
    for name in ["root", "kernel", "cgroups", "overlayfs", "seccomp"] {
        assert_eq!((of(name)["verdict"].as_str(), of(name)["fix"].as_str()), (Some("good"), Some("")), "{name}");
    }
    // This one has a store.
    assert!(of("containers' ids")["found"].as_str().is_some_and(|found| !found.is_empty()), "{said}");
    let forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl").trim() == "1";
    assert_eq!(of("forwarding")["verdict"] == "good", forwards);
    let lines = engine.run(&["doctor"]).ok();
    assert_eq!(lines.lines().count(), findings.as_array().map_or(0, Vec::len));
    let fixed = lines.lines().filter(|line| !line.starts_with("ok ")).all(|line| line.contains("; "));
    assert!(fixed, "each lack has its remedy: {lines}");
}

#[test]
fn each_kind_is_inspected_by_its_own_command() {
    let engine = engine();
    engine.run(&["create", "--name", "web", "bb", "true"]).ok();
    assert_eq!(engine.run(&["container", "inspect", "-f", "{{.Name}}", "web"]).ok(), "/web\n");
    // Words that no id begins with.
    assert_eq!(engine.run(&["container", "inspect", "bb:latest"]).code, 1);
    assert_eq!(engine.run(&["image", "inspect", "web"]).code, 1);
    for arguments in [&["inspect"][..], &["inspect", "--type", "network"]] {
        assert_eq!(
            engine.run(&[arguments, &["-f", "{{.Name}} {{.Driver}}", "bridge"]].concat()).ok(),
            "bridge bridge\n"
        );
    }
    assert_eq!(engine.run(&["inspect", "--type", "network", "web"]).code, 1);
    let events = engine.run(&["system", "events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]).ok();
    assert!(events.contains("create"), "{events}");
}
