//! What a command can end in besides success: one line for a person and an exit code for a script.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::process::ExitCode;

/// The table of exit codes as `--help` prints it.
pub const EXIT_CODES: &str = "Exit codes:\n  \
    0  done\n  \
    1  failure: the server refused, or something went wrong while running\n  \
    2  the command line, the environment or the configuration is wrong\n  \
    3  the server cannot be reached\n\n\
    Every option of `serve` is also a key of the configuration file and an environment variable ASSAY_…;\n\
    `assay check-config` lists them. Order: flag, environment, file, default.";

/// Why a command did not do what it was asked. The text says what is wrong and what to do, on one line.
#[derive(Debug)]
pub enum Failure {
    /// The server said no, or running failed.
    Failed(String),
    /// Nobody answers.
    Unreachable(String),
    /// What the operator wrote is wrong.
    Usage(String),
}

impl Failure {
    /// What a script sees.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(text) | Self::Unreachable(text) | Self::Usage(text)) = self;
        // Texts quote servers and operating systems, and neither promises to stay on one line or to send no escapes.
        for character in text.chars() {
            f.write_char(if character.is_control() { ' ' } else { character })?;
        }
        Ok(())
    }
}

/// An error and everything beneath it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        // Some errors already say what lies beneath them.
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    text
}

/// Prints to standard output. A reader that went away (`assay … | head`) is no failure of ours.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints JSON, indented.
pub fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::Usage("a\nb\r\x1b[31mc".to_owned());
        assert_eq!(failure.to_string(), "a b  [31mc");
    }

    #[test]
    fn a_chain_says_everything_once() {
        let inner = std::io::Error::other("disk");
        assert_eq!(chain(&inner), "disk");
        let outer = std::io::Error::other(Outer(inner));
        assert_eq!(chain(&outer), "outer: disk");
    }

    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
}
