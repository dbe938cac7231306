//! Where verdicts go: standard output, nowhere, or a file that a later run can continue.
//!
//! One line of verdict per line of input, in order: so the number of complete lines in the file says how many lines of
//! input are done, and nothing else has to be remembered. A last line without its line end was cut short and is removed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};

use serde_json::Value;

use crate::failure::Failure;

/// A place for verdicts.
pub(super) enum Output {
    /// A file.
    File(File),
    /// They are only counted.
    Nowhere,
    /// Standard output.
    Stdout(io::Stdout),
}

impl Output {
    /// Writes whole lines. What it takes is out: nothing is held back. `false` if nobody reads any more.
    pub(super) fn write(&mut self, text: &str) -> io::Result<bool> {
        let written = match self {
            Self::File(file) => file.write_all(text.as_bytes()),
            Self::Nowhere => Ok(()),
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            }
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Makes the file of verdicts. One that is there already is never overwritten.
pub(super) fn create(path: &str) -> Result<File, Failure> {
    File::create_new(path).map_err(|error| {
        Failure::Usage(if error.kind() == ErrorKind::AlreadyExists {
            format!("{path} is already there; --resume continues it, or remove it")
        } else {
            format!("cannot make {path}: {error}; correct --output")
        })
    })
}

/// Opens the file of verdicts where an earlier run stopped, and says how many lines it had done. Makes it if there was
/// no earlier run.
pub(super) fn resume(path: &str) -> Result<(File, u64), Failure> {
    let cannot = |error: io::Error| Failure::Usage(format!("cannot continue {path}: {error}; correct --output"));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(cannot)?;
    let ends = line_ends(&file).map_err(cannot)?;
    if ends.count > 0 && !is_verdict(&file, &ends).map_err(cannot)? {
        return Err(Failure::Usage(format!(
            "{path} does not end with the verdict of line {}; it is no output of verify, or a damaged one: remove it",
            ends.count
        )));
    }
    file.set_len(ends.last).map_err(cannot)?;
    (&file).seek(SeekFrom::Start(ends.last)).map_err(cannot)?;
    Ok((file, ends.count))
}

/// The line ends of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct LineEnds {
    count: u64,
    /// Offset after the last one.
    last: u64,
    /// Offset after the one before.
    before: u64,
}

fn line_ends(file: &File) -> io::Result<LineEnds> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut ends = LineEnds::default();
    let mut offset = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(ends),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for at in memchr::memchr_iter(b'\n', &buffer[..count]) {
            ends.count += 1;
            (ends.before, ends.last) = (ends.last, offset + at as u64 + 1);
        }
        offset += count as u64;
    }
}

/// Whether the last complete line is the verdict that stands there after as many lines.
fn is_verdict(mut file: &File, ends: &LineEnds) -> io::Result<bool> {
    file.seek(SeekFrom::Start(ends.before))?;
    let mut line = Vec::new();
    // A verdict quotes a `kid` of at most two kilobytes, each byte of which takes up to six.
    file.take((ends.last - ends.before).min(64 << 10)).read_to_end(&mut line)?;
    let verdict: Value = serde_json::from_slice(&line).unwrap_or_default();
    Ok(verdict["line"].as_u64() == Some(ends.count) && verdict["valid"].is_boolean())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_earlier_run_stopped() {
        fn check(text: &str, expected: Option<(u64, &str)>) {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("writable");
            let path = file.path().to_str().expect("a plain name");
            let resumed = resume(path).map(|(mut file, count)| {
                file.write_all(b"+").expect("writable");
                count
            });
            let left = std::fs::read_to_string(file.path()).expect("readable");
            let expected = expected.map(|(count, left)| (count, format!("{left}+")));
            assert_eq!(resumed.ok().map(|count| (count, left)), expected, "{text:?}");
        }
        let one = "{\"line\":1,\"valid\":true}\n";
        let two = "{\"line\":1,\"valid\":true}\n{\"line\":2,\"valid\":false,\"reason\":\"empty_line\"}\n";
        check("", Some((0, "")));
        check("{\"line\":1,\"val", Some((0, "")));
        check(one, Some((1, one)));
        check(&format!("{one}{{\"line\":2"), Some((1, one)));
        check(two, Some((2, two)));
        check(&format!("{two}{{"), Some((2, two)));
        // Other people's files stay as they are.
        for foreign in ["hello\n", "{\"line\":2,\"valid\":true}\n", "{\"line\":1}\n", "a.b.c\nd.e.f\ng"] {
            check(foreign, None);
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let said = create(file.path().to_str().expect("a plain name")).unwrap_err().to_string();
        assert!(said.contains("--resume"), "{said}");
    }
}
