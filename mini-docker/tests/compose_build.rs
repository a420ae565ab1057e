//! Images of compose services: built, pulled, and removed.

use tests::compose::Shop;

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

#[test]
fn what_has_no_image_is_built_and_again_only_when_asked() {
    let shop = shop("built", "services:\n  a:\n    build: .\n");
    let dockerfile =
        |value: &str| shop.write("Dockerfile", &format!("FROM bb\nRUN echo {value} > /v\nCMD [\"cat\", \"/v\"]\n"));
    let up = |arguments: &[&str]| shop.compose(&[&["up", "--no-log-prefix"], arguments].concat()).ok();
    dockerfile("1");
    let error = shop.refused(&["up", "--no-build"]);
    assert!(error.contains("No such image"), "{error}");
    assert!(up(&[]).contains("\n1\n"));
    dockerfile("2");
    assert!(up(&[]).contains("\n1\n"));
    assert!(up(&["--build"]).contains("\n2\n"));
    let image = format!("{}-a", shop.name);
    assert_eq!(shop.engine.inspect(&image)["Config"]["Labels"]["com.docker.compose.service"], "a");
    shop.compose(&["down", "--rmi", "local"]).ok();
    assert_ne!(shop.engine.run(&["image", "inspect", &image]).code, 0);
    // What does not build is nobody's container.
    shop.write("Dockerfile", "FROM bb\nRUN exit 3\n");
    let said = shop.compose(&["up", "-d"]);
    assert!(said.code == 1 && said.err.contains("exit code: 3"), "{said:?}");
    assert_eq!(shop.compose(&["ps", "-aq"]).ok(), "");
}

#[test]
fn the_keys_of_build_are_its_flags() {
    let name = format!("keys{}", std::process::id());
    let file = "services:\n  base:\n    build:\n      dockerfile_inline: |\n        FROM bb\n        RUN echo base > /base\n  a:\n    image: IMAGE:v1\n    build:\n      context: w\n      dockerfile: My.df\n      target: one\n      args: {WORD: hello, FROM_ENV: }\n      labels: {own: label}\n      tags: [IMAGE:v2]\n      secrets: [token, {source: word, target: other}]\n      extra_hosts: ['there:192.0.2.7']\n      shm_size: 3m\n      network: none\n      additional_contexts: {base: 'service:base'}\nsecrets:\n  token: {environment: TOKEN}\n  word: {file: ./word}\n";
    let shop = shop("keys", &file.replace("IMAGE", &name));
    std::fs::create_dir(shop.engine.path("shop").join("w")).unwrap();
    shop.write(".env", "TOKEN=t0ken\nFROM_ENV=env\n");
    shop.write("word", "w0rd");
    shop.write(
        "w/My.df",
        "FROM bb AS one\nARG WORD\nARG FROM_ENV\nCOPY --from=base /base /base\nRUN --mount=type=secret,id=token --mount=type=secret,id=other (cat /base /run/secrets/token /run/secrets/other; echo; echo $WORD $FROM_ENV; grep there /etc/hosts; grep -o size=3072k /proc/mounts; ls /sys/class/net) > /all\nFROM bb\nRUN exit 1\n",
    );
    shop.compose(&["build", "a"]).ok();
    for tag in ["v1", "v2"] {
        let image = format!("{name}:{tag}");
        let all = shop.engine.run(&["run", "--rm", &image, "cat", "/all"]).ok();
        assert_eq!(all, "base\nt0kenw0rd\nhello env\n192.0.2.7\tthere\nsize=3072k\nlo\n");
        assert_eq!(shop.engine.inspect(&image)["Config"]["Labels"]["own"], "label");
    }
    shop.compose(&["down", "--rmi", "all"]).ok();
    assert_ne!(shop.engine.run(&["image", "inspect", &format!("{name}:v1")]).code, 0);
    // What a Dockerfile may ask for is for the description to say.
    shop.write("Dockerfile", "FROM bb\nRUN --network=host readlink /proc/self/ns/net > /net\n");
    shop.describe("services:\n  a:\n    build: .\n");
    assert!(shop.compose(&["build"]).err.contains("network.host is not allowed"));
    shop.describe("services:\n  a:\n    build: {context: ., entitlements: [network.host]}\n");
    shop.compose(&["build"]).ok();
    shop.compose(&["down", "--rmi", "all"]).ok();
    shop.describe("services:\n  a:\n    build: {context: ., privileged: true}\n");
    let error = shop.refused(&["build"]);
    assert!(error.contains("services.a.build.privileged"), "{error}");
}

#[test]
fn pull_policies_decide() {
    let shop = shop("policy", "services:\n  a:\n    image: 127.0.0.1:1/nosuch\n    pull_policy: never\n");
    let error = shop.refused(&["up", "-d"]);
    assert!(error.contains("No such image: 127.0.0.1:1/nosuch"), "{error}");
    let said = shop.compose(&["up", "-d", "--pull", "missing"]);
    assert!(said.code == 1 && said.err.contains("pull has failed"), "{said:?}");
    shop.compose(&["pull", "--ignore-pull-failures"]).ok();
    // Named and built: what cannot be pulled is built.
    shop.describe("services:\n  a:\n    image: 127.0.0.1:1/nosuch\n    pull_policy: always\n    build: {dockerfile_inline: FROM bb}\n    command: 'true'\n");
    shop.compose(&["up"]).ok();
}

#[test]
fn the_command_line_goes_over_the_description() {
    let shop = shop("over", "services:\n  a:\n    build: {context: ., args: {A: file, B: file}}\n");
    shop.write("Dockerfile", "FROM bb\nARG A\nARG B\nRUN echo $A $B > /v\nCMD [\"cat\", \"/v\"]\n");
    shop.compose(&["build", "--build-arg", "A=line"]).ok();
    assert_eq!(shop.compose(&["run", "--rm", "a"]).ok(), "line file\n");
}
