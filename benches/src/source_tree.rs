//! The source tree that a record was started in. The servers of a record are built from it just before, whatever commit
//! this program itself comes from.

use std::process::Command;

use assay_tools::host::Host;
use serde::Serialize;

/// A machine, and what was built on it.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltHost {
    /// The machine; compiler and commit are those of the source tree.
    #[serde(flatten)]
    pub host: Host,
    /// The work tree held changes that are in no commit.
    pub uncommitted_changes: bool,
}

impl BuiltHost {
    /// Asks this machine and the source tree it stands in.
    #[must_use]
    pub fn read() -> BuiltHost {
        let compiler = said("rustc", &["--version"]);
        let commit = said("git", &["rev-parse", "HEAD"]);
        BuiltHost {
            host: Host { compiler, commit, ..Host::read() },
            uncommitted_changes: said("git", &["status", "--porcelain", "--untracked-files=no"]) != "unknown",
        }
    }
}

/// What a command printed, or `unknown` if it failed or printed nothing.
fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_said_nothing() {
        assert_eq!(said("false", &[]), "unknown");
    }
}
