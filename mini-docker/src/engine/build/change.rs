//! Changes to a configuration without a build: what `--change` of `commit` and `import` takes.

use super::{configure, dockerfile, expand::expand, scope};
use crate::engine::{
    error::{Error, Result},
    image::RunConfig,
};

/// Applies instructions, the lines of a Dockerfile without FROM. Their variables are the configuration's own.
///
/// # Errors
/// [`crate::engine::error::Kind::Invalid`] for what is no instruction, or writes files.
pub fn change(config: &mut RunConfig, instructions: &[String]) -> Result<()> {
    if instructions.is_empty() {
        return Ok(());
    }
    let (commands, escape) = dockerfile::changes(&instructions.join("\n"))
        .map_err(|e| Error::invalid(format!("invalid change: {}", e.message)))?;
    let mut command_set = false;
    let expander = dockerfile::Expander::new(escape);
    for command in commands {
        let invalid = |e: Error| Error::invalid(format!("invalid change {:?}: {e}", command.source));
        let lookup = |name: &str| scope::get(config.env.as_deref().unwrap_or_default(), name);
        let instruction = expand(&command.instruction, lookup, &expander).map_err(invalid)?;
        configure::apply(config, &instruction, &mut command_set).map_err(invalid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(instructions: &[&str]) -> Result<serde_json::Value> {
        let mut config = RunConfig {
            working_dir: "/a".to_owned(),
            cmd: Some(vec!["old".to_owned()]),
            env: Some(vec!["B=bee".to_owned()]),
            ..RunConfig::default()
        };
        change(&mut config, &instructions.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())?;
        Ok(serde_json::to_value(config).unwrap())
    }

    #[test]
    fn each_instruction_changes_its_field() {
        for (instruction, field, value) in [
            (r#"CMD ["a", "b"]"#, "Cmd", json!(["a", "b"])),
            ("cmd a b", "Cmd", json!(["/bin/sh", "-c", "a b"])),
            ("CMD echo $B", "Cmd", json!(["/bin/sh", "-c", "echo $B"])),
            (r#"ENTRYPOINT ["e"]"#, "Entrypoint", json!(["e"])),
            (r#"ENV A=$B B="x y" C=z\ w"#, "Env", json!(["B=x y", "A=bee", "C=z w"])),
            ("ENV A 1 2", "Env", json!(["B=bee", "A=1 2"])),
            ("LABEL k='v w' l=${B}s", "Labels", json!({"k": "v w", "l": "bees"})),
            ("EXPOSE 80 90-91/udp", "ExposedPorts", json!({"80/tcp": {}, "90/udp": {}, "91/udp": {}})),
            (r#"VOLUME ["/v"]"#, "Volumes", json!({"/v": {}})),
            ("USER $B:www", "User", json!("bee:www")),
            ("WORKDIR b/../$B", "WorkingDir", json!("/a/bee")),
            ("STOPSIGNAL SIGINT", "StopSignal", json!("SIGINT")),
            ("ONBUILD RUN $x", "OnBuild", json!(["RUN $x"])),
            ("HEALTHCHECK NONE", "Healthcheck", json!({"Test": ["NONE"]})),
            (
                "HEALTHCHECK --interval=1m30s --retries=2 CMD true",
                "Healthcheck",
                json!({"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000_i64, "Retries": 2}),
            ),
            ("ENV A=1 \\\n C=2", "Env", json!(["B=bee", "A=1", "C=2"])),
        ] {
            assert_eq!(changed(&[instruction]).unwrap()[field], value, "{instruction}");
        }
        // An entry point of its own makes what was to be run with another one meaningless.
        assert_eq!(changed(&[r#"ENTRYPOINT ["e"]"#]).unwrap()["Cmd"], json!(null));
        assert_eq!(changed(&[r#"CMD ["c"]"#, r#"ENTRYPOINT ["e"]"#]).unwrap()["Cmd"], json!(["c"]));
        assert_eq!(changed(&["ENV X=1", "ENV Y=$X"]).unwrap()["Env"], json!(["B=bee", "X=1", "Y=1"]));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for (bad, said) in [
            ("RUN x", "run is not a valid change command"),
            ("FROM x", "from is not a valid change command"),
            ("SHELL [\"x\"]", "shell is not a valid change command"),
            ("ENV A=1\nCOPY a b", "copy is not a valid change command"),
            ("BOGUS x", "bogus is not a valid change command"),
            ("", "no instructions"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV =1", "ENV names can not be blank"),
            ("EXPOSE $B", "containerPort"),
            ("EXPOSE 9-8", "invalid range"),
            ("STOPSIGNAL NO", "NO"),
            ("HEALTHCHECK CMD", "Missing command"),
        ] {
            let error = changed(&[bad]).unwrap_err().to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
