//! Compose files, files of variables, and the numbers in them.

use std::path::Path;

use mini_docker::{
    compose::{dotenv, kubernetes::Manifests, service::Service, template},
    engine::{bytes, moment},
    fuzz,
};

use crate::{names_devices, one_line, text};

/// Bytes that one variable may have: more is a bomb.
const MOST: usize = 64 << 20;

/// YAML to the model, and what is made of the model.
pub(crate) fn target(data: &[u8]) {
    let Some(source) = text(data).filter(|source| !names_devices(source)) else { return };
    let variables = [("A", "1"), ("B", ""), ("HOME", "/root"), ("LONG", "a b $A ${B}")];
    let project = match fuzz::compose(source, Path::new("/nowhere/project"), &variables) {
        Ok(project) => project,
        Err(error) => return one_line(&error),
    };
    for (name, keys) in project.services() {
        let service = Service { project: &project, name, keys };
        service.hash();
        service.container_name(1);
        service.dependencies();
        service.networks().for_each(drop);
    }
    if let Err(error) = Manifests::of(&project) {
        one_line(&error.to_string());
    }
    // What `config` prints is a compose file of the same meaning.
    let printed = template::escape(&project.model).to_string();
    let again = fuzz::compose(&printed, Path::new("/nowhere/project"), &variables);
    if let Ok(again) = again {
        assert_eq!(again.model, project.model, "the model of {printed}");
    }
}

/// `.env` and `--env-file`, durations and sizes.
pub(crate) fn dotenv(data: &[u8]) {
    let Some(source) = text(data) else { return };
    let lookup = |name: &str| (name == "OUT").then(|| "side".to_owned());
    for parse in [dotenv::parse, dotenv::parse_raw] {
        let mut variables = dotenv::Variables::default();
        match parse(source, &mut variables, &lookup) {
            Ok(()) => {
                let bytes: usize = variables.into_iter().map(|(_, value)| value.len()).sum();
                assert!(bytes <= MOST + source.len(), "variables of {bytes} bytes");
            }
            Err(error) => one_line(&error),
        }
    }
    for line in source.lines() {
        if let Some((nanoseconds, written)) = fuzz::duration(line) {
            assert_eq!(fuzz::duration(&written).map(|(again, _)| again), Some(nanoseconds), "{line:?} is {written:?}");
        }
        let _ = bytes::parse(line);
        moment::duration(line);
        let _ = moment::parse(line, jiff::Timestamp::UNIX_EPOCH);
    }
}
