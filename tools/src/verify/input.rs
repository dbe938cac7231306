//! Where lines come from: a file or standard input, plain or compressed, told apart by their first bytes.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::failure::Failure;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// An opened input.
pub(super) struct Input {
    pub(super) reader: Box<dyn Read + Send>,
    /// Bytes taken from it so far, before decompression.
    pub(super) consumed: Arc<AtomicU64>,
    /// Bytes there are, where that is known.
    pub(super) size: Option<u64>,
    /// Whether somebody may be waiting for the verdicts of what he has sent so far.
    pub(super) is_live: bool,
}

/// Opens `path`; `-` is standard input.
///
/// # Errors
/// One line saying why it cannot be read.
pub(super) fn open(path: &str) -> Result<Input, Failure> {
    let cannot =
        |error: io::Error| Failure::Usage(format!("cannot read {path}: {error}; name a file, or - for standard input"));
    if path == "-" {
        return sniff(io::stdin(), None).map_err(cannot);
    }
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!("{path} is a directory; name a file, or - for standard input")));
    }
    sniff(file, metadata.is_file().then_some(metadata.len())).map_err(cannot)
}

fn sniff(reader: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Input> {
    let consumed = Arc::new(AtomicU64::new(0));
    let mut reader = Counted { reader, consumed: Arc::clone(&consumed) };
    let mut head = [0; 4];
    let mut length = 0;
    // A line end in the head says that the text is plain, and there may be nothing more for a while.
    while length < head.len() && !head[..length].contains(&b'\n') {
        match reader.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let head = &head[..length];
    let (is_gzip, is_zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    let whole = Cursor::new(head.to_vec()).chain(reader);
    let reader: Box<dyn Read + Send> = if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else if is_zstd {
        Box::new(zstd::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    };
    Ok(Input { reader, consumed, size, is_live: size.is_none() && !is_gzip && !is_zstd })
}

struct Counted<R> {
    reader: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(bytes: Vec<u8>, expected: &[u8]) {
        let length = bytes.len() as u64;
        let mut input = sniff(Cursor::new(bytes), None).expect("it opens");
        let mut text = Vec::new();
        input.reader.read_to_end(&mut text).expect("it is whole");
        assert_eq!(text, expected);
        assert_eq!(input.consumed.load(Ordering::Relaxed), length);
    }

    #[test]
    fn plain_gzip_and_zstd_in_several_members() {
        for text in [&b""[..], b"\n", b"a\nb", b"\x1f\n", b"\x28\xb5\x2f\n"] {
            check(text.to_vec(), text);
        }
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).expect("a vector takes everything");
            encoder.finish().expect("a vector takes everything")
        };
        check([gzip(b"one\n"), gzip(b"two\n")].concat(), b"one\ntwo\n");
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).expect("a vector takes everything");
        check([zstd(b"one\n"), zstd(b"two\n")].concat(), b"one\ntwo\n");
    }

    #[test]
    fn torn_streams_are_errors() {
        let zstd = zstd::encode_all(&b"one\ntwo\n"[..], 1).expect("a vector takes everything");
        let mut input = sniff(Cursor::new(zstd[..zstd.len() - 3].to_vec()), None).expect("it opens");
        assert!(input.reader.read_to_end(&mut Vec::new()).is_err());
    }
}
