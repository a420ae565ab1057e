//! What the rules are about, and where that is explained: in BuildKit's words, by which programs know them.

use super::Warning;

/// The rule that counts only where it is asked for.
pub(super) const EXPERIMENTAL: &str = "InvalidDefinitionDescription";

const RULES: [(&str, &str); 21] = [
    (
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    ),
    ("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore"),
    ("DuplicateStageName", "Stage names should be unique"),
    (
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    ),
    ("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase"),
    ("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value"),
    ("InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name"),
    (
        EXPERIMENTAL,
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    ),
    (
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    ),
    ("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used"),
    ("MaintainerDeprecated", "The MAINTAINER instruction is deprecated, use a label instead to define an image author"),
    ("MultipleInstructionsDisallowed", "Multiple instructions of the same type should not be used in the same stage"),
    ("NoEmptyContinuation", "Empty continuation lines will become errors in a future release"),
    (
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    ("ReservedStageName", "Reserved words should not be used as stage names"),
    ("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands"),
    ("StageNameCasing", "Stage names should be lowercase"),
    ("UndefinedArgInFrom", "FROM command must use declared ARGs"),
    ("UndefinedVar", "Variables should be defined before their use"),
    (
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    ),
];

impl Warning {
    /// What its rule is about.
    pub fn description(&self) -> &'static str {
        RULES.iter().find(|(rule, _)| *rule == self.rule).map_or("", |(_, description)| description)
    }

    /// Where its rule is explained.
    pub fn url(&self) -> String {
        let mut words = String::new();
        let mut last = '-';
        for c in self.rule.replace("JSONArgs", "JsonArgs").chars() {
            if c.is_uppercase() && last != '-' {
                words.push('-');
            }
            last = c;
            words.extend(c.to_lowercase());
        }
        format!("https://docs.docker.com/go/dockerfile/rule/{}/", words.trim_start_matches('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::build::dockerfile::Lines;

    #[test]
    fn a_rule_has_an_address() {
        for (rule, end) in [("JSONArgsRecommended", "json-args-recommended"), ("FromAsCasing", "from-as-casing")] {
            let warning = Warning { rule, text: String::new(), lines: Lines::default() };
            assert_eq!(warning.url(), format!("https://docs.docker.com/go/dockerfile/rule/{end}/"));
        }
    }
}
