//! What a template makes, against what Go makes of it (docker 28's own words).

use serde_json::json;

use super::{Data, Template};

fn render(template: &str) -> String {
    let document = json!({
        "Name": "web",
        "N": 3,
        "Big": 1_234_567_890_123_i64,
        "Half": 0.5,
        "On": true,
        "Off": false,
        "Gone": null,
        "Labels": { "b": "2", "a": "1" },
        "Config": { "Env": ["A=1", "B=2"], "Cmd": null, "Labels": {} },
        "Ports": { "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }], "443/tcp": null },
        "State": { "Status": "running", "Pid": 7 },
    });
    let render = |template: Template| template.render(&Data::document(&document));
    Template::parse(template).and_then(render).unwrap_or_else(|e| e.to_string())
}

fn check(cases: &[(&str, &str)]) {
    for (template, text) in cases {
        assert_eq!(render(template), *text, "{template}");
    }
}

#[test]
fn values_print_as_in_go() {
    check(&[
        ("{{.Name}} {{.N}} {{.Half}} {{.On}}", "web 3 0.5 true"),
        ("{{.Labels}} {{.Labels.a}} {{.Labels.zz}}", "map[a:1 b:2] 1 <no value>"),
        ("{{.Config.Env}} {{.Config.Cmd}} {{.State.Health}}", "[A=1 B=2] [] <nil>"),
        ("{{.State}} {{$.State.Pid}}", "{running 7} 7"),
        (
            "{{json .Labels}} {{json .State}} {{json .Config.Cmd}}",
            r#"{"a":"1","b":"2"} {"Status":"running","Pid":7} null"#,
        ),
        ("{{index .Labels \"zz\"}}|{{index .Ports \"443/tcp\"}}|{{len .Config.Cmd}}", "|[]|0"),
        ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
        ("{{index .Ports \"80/tcp\" 0}}", "{0.0.0.0 8080}"),
    ]);
}

#[test]
fn actions_work_as_in_go() {
    check(&[
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{else}}none{{end}}", "a=1;b=2;"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$e}}{{end}}", "A=1, B=2"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Config.Env}}{{if eq . \"B=2\"}}{{continue}}{{end}}{{.}}{{end}}", "A=1"),
        ("{{range .Config.Env}}{{.}}{{break}}{{end}}", "A=1"),
        ("{{if .Off}}a{{else if .On}}b{{else}}c{{end}}", "b"),
        ("{{with .State}}{{.Status}}{{end}}{{with .Config.Cmd}}x{{else}}y{{end}}", "runningy"),
        ("{{with .Config.Cmd}}x{{else with .Name}}{{.}}{{end}}", "web"),
        ("{{$x := 1}}{{if .On}}{{$x = 2}}{{$y := 5}}{{end}}{{$x}}", "2"),
        ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .Name}}{{block \"b\" .N}}{{.}}{{end}}", "<web>3"),
        ("a {{- /* nothing */ -}} b{{/* c */}} {{- 1 -}}\n {{2}}", "ab12"),
        ("{{.Name | printf \"%s-%s\" \"x\" | upper}}", "X-WEB"),
        ("{{and 1 0}} {{or 0 \"x\"}} {{not 0}} {{and .On .Name}}", "0 x true web"),
        ("{{'a'}} {{0x1F}} {{1_000}} {{-2.5e3}} {{`raw\\n`}} {{\"q\\t\\u00e9\"}}", "97 31 1000 -2500 raw\\n q\té"),
    ]);
}

#[test]
fn functions_work_as_in_go_and_docker() {
    check(&[
        ("{{join .Config.Env \",\"}} {{index (split \"a:b\" \":\") 1}}", "A=1,B=2 b"),
        (
            "{{title \"ab cd\"}} {{upper \"a\"}} {{lower \"A\"}} {{truncate \"abcdef\" 3}} [{{pad \"x\" 1 2}}]",
            "Ab Cd A a abc [ x  ]",
        ),
        ("{{slice .Name 1}} {{slice .Name 1 2}} {{len .Name}} {{slice .Config.Env 1}}", "eb e 3 [B=2]"),
        ("{{eq .N 3}} {{eq .N 1 2 3}} {{ne .Name \"x\"}} {{lt 1 2}} {{ge \"b\" \"a\"}}", "true true true true true"),
        ("{{print 1 2 \"a\" 3}}|{{println \"a\" 1}}", "1 2a3|a 1\n"),
        ("{{html \"<a&b>\"}} {{urlquery \"a b/c\"}} {{js \"it's\"}}", "&lt;a&amp;b&gt; a+b%2Fc it\\'s"),
    ]);
}

#[test]
fn printf_prints_as_in_go() {
    check(&[
        ("{{printf \"%s|%5s|%-5s|%.1s\" .Name .Name .Name .Name}}", "web|  web|web  |w"),
        (
            "{{printf \"%d %5d %-5d| %05d %+d %x %X %o %b %c %U\" 3 3 3 3 3 255 255 8 5 65 65}}",
            "3     3 3    | 00003 +3 ff FF 10 101 A U+0041",
        ),
        (
            "{{printf \"%q %v %t %f %.2f %8.3f %e %g\" .Name .On .On .Half .Half .Half .Half .Half}}",
            "\"web\" true true 0.500000 0.50    0.500 5.000000e-01 0.5",
        ),
        ("{{printf \"%v %d %s\" .Config.Env .Name .N}}", "[A=1 B=2] %!d(string=web) %!s(int=3)"),
        (
            "{{printf \"%d\"}} {{printf \"x\" 1}} {{printf \"%\"}} {{printf \"%%\"}} {{printf \"%[2]d %[1]d\" 1 2}}",
            "%!d(MISSING) x%!(EXTRA int=1) %!(NOVERB) % 2 1",
        ),
        ("{{printf \"%*d|%T|%#v|%x\" 4 1 .Name .Name .Name}}", "   1|string|\"web\"|776562"),
        ("{{printf \"%v %v %v\" 1e20 1e21 .Big}}", "1e+20 1e+21 1234567890123"),
    ]);
}

#[test]
fn errors_are_gos() {
    check(&[
        ("{{", "template: :1: unclosed action"),
        ("\n{{end}}", "template: :2: unexpected {{end}}"),
        ("{{foo}}", "template: :1: function \"foo\" not defined"),
        ("{{$x}}", "template: :1: undefined variable \"$x\""),
        ("{{if}}{{end}}", "template: :1: missing value for if"),
        ("{{if .On}}", "template: :1: unexpected EOF"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{.Nope}}", "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""),
        ("{{.State.Nope}}", "template: :1:8: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\""),
        ("{{.Name.X}}", "template: :1:7: executing \"\" at <.Name.X>: can't evaluate field X in type string"),
        (
            "{{index .Config.Env 5}}",
            "template: :1:2: executing \"\" at <index .Config.Env 5>: error calling index: index out of range: 5",
        ),
        ("{{template \"x\"}}", "template: :1:11: executing \"\" at <{{template \"x\"}}>: template \"x\" not defined"),
    ]);
}

#[test]
fn no_template_runs_for_ever() {
    for template in [
        "{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}",
        "{{range 100000}}{{range 100000}}{{end}}{{end}}",
        "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 100}}{{$x = print $x $x}}{{end}}",
        "{{range 100000}}{{printf \"%1000000s\" `a`}}{{end}}",
        &format!("{}1{}", "{{(".repeat(5000), ")}}".repeat(5000)),
        &format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000)),
        &"{{if 1}}".repeat(100_000),
        &format!("{{{{if 1}}}}{}{{{{end}}}}", "{{else if 1}}".repeat(100_000)),
    ] {
        assert!(render(template).starts_with("template: :1"), "{}", &template[..40.min(template.len())]);
    }
}

/// Thousands of templates that are nearly right: whatever they make, it is text or an error of one line.
#[test]
fn no_template_panics() {
    let seeds = [
        "{{range $k, $v := .Labels}}{{$k}}={{printf \"%-10s|%[1]q\" $v}}{{else}}{{break}}{{end}}",
        "{{if and .On (eq .N 3)}}{{index .Config.Env 0 | upper}}{{else if .Off}}{{slice .Name 1 2}}{{end}}",
        "{{- /* c */ -}}{{define \"t\"}}{{with .}}{{.}}{{else}}{{json $}}{{end}}{{end}}{{template \"t\" .State}}",
        "{{$x := 'a'}}{{$x = 0x1p4}}{{printf \"%+08.3f %#x %*d %v\" $x \"é\" 5 .Ports}}{{(index .Ports \"80/tcp\").A}}",
        "{{title (truncate \"éa\" 1)}}{{pad .Name -1 3}}{{join .Config.Cmd \"\"}}{{split \"\" \"\"}}{{js \"\\\"\"}}",
    ];
    let pieces = [
        "{{",
        "}}",
        " -}}",
        "{{- ",
        "(",
        ")",
        "|",
        "\"",
        "`",
        "'",
        "%",
        ".",
        "$",
        ":=",
        ",",
        "-1",
        "9999999999",
        "end",
        "é",
        "\\",
        "\0",
        "nil",
        "*",
        "[",
        "e",
        "_",
    ];
    // A generator of our own, so that a failure comes again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for _ in 0..20_000 {
        let mut chars: Vec<char> = seeds[random(seeds.len())].chars().collect();
        for _ in 0..=random(4) {
            let at = random(chars.len());
            let end = (at + random(6)).min(chars.len());
            match random(3) {
                0 => drop(chars.drain(at..end)),
                1 => drop(chars.splice(at..at, pieces[random(pieces.len())].chars())),
                _ => {
                    let copied = chars[at..end].to_vec();
                    let to = random(chars.len());
                    drop(chars.splice(to..to, copied));
                }
            }
        }
        let template: String = chars.into_iter().collect();
        if let Err(e) = Template::parse(&template).and_then(|t| t.render(&Data::document(&json!({ "N": 1 })))) {
            assert!(e.to_string().starts_with("template: :"), "{template}: {e}");
        }
        render(&template);
    }
}
