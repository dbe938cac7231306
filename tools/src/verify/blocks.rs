//! Cuts a stream of bytes into blocks of whole lines, in bounded memory whatever the stream holds: a line that is too long
//! is noted and passed over without being kept.

use std::io::{self, ErrorKind, Read};

use bytes::BytesMut;

use super::judge::Block;
use crate::interrupt::Interrupt;
use crate::limits::{BLOCK_LINES_MAX, LINE_BYTES_MAX};

/// A block is full from here on: some hundred tokens, so that the engine's batches are, and small enough for a core's
/// cache.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes asked for at a time, as much as a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// A stream of lines.
pub(super) struct Blocks<R> {
    reader: R,
    /// Whether a read that gives little means that the writer waits for answers: then blocks are not filled up.
    is_live: bool,
    interrupt: Interrupt,
    /// Read and not yet given away.
    carry: Vec<u8>,
    next_line: u64,
    /// Inside a line that is too long, whose verdict is already given.
    in_long_line: bool,
    state: State,
}

/// How far the stream is.
enum State {
    Open,
    /// Read to its end.
    Ended,
    /// Somebody asked to stop.
    Interrupted,
    /// It could not be read further.
    Broken(io::Error),
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// With its last line.
    Complete,
    /// Because somebody asked to stop.
    Interrupted,
    /// Because it could not be read further.
    Broken(io::Error),
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R, is_live: bool, interrupt: Interrupt) -> Self {
        Self { reader, is_live, interrupt, carry: Vec::new(), next_line: 1, in_long_line: false, state: State::Open }
    }

    /// Passes over `count` lines, or as many as there are; returns how many there were.
    pub(super) fn skip_lines(&mut self, count: u64) -> u64 {
        let (mut skipped, mut is_mid_line) = (0, false);
        let mut buffer = BytesMut::new();
        while skipped < count {
            buffer.clear();
            self.read(&mut buffer);
            if buffer.is_empty() {
                // The last line may do without a line end.
                skipped += u64::from(is_mid_line && matches!(self.state, State::Ended));
                break;
            }
            let mut end = 0;
            for at in memchr::memchr_iter(b'\n', &buffer) {
                skipped += 1;
                end = at + 1;
                if skipped == count {
                    self.carry.extend_from_slice(&buffer[end..]);
                    break;
                }
            }
            is_mid_line = end < buffer.len();
        }
        self.next_line += skipped;
        skipped
    }

    /// The next block, in memory that is handed in; `None` at the end.
    pub(super) fn next(&mut self, mut buffer: BytesMut) -> Option<Block> {
        buffer.clear();
        buffer.extend_from_slice(&self.carry);
        self.carry.clear();
        let (mut lines_count, mut end, mut scanned) = (0, 0, 0);
        let mut long_line_follows = false;
        let mut is_short = false;
        loop {
            if self.in_long_line {
                match memchr::memchr(b'\n', &buffer) {
                    Some(at) => {
                        let rest = buffer[at + 1..].to_vec();
                        buffer.clear();
                        buffer.extend_from_slice(&rest);
                        self.in_long_line = false;
                    }
                    None => buffer.clear(),
                }
            }
            for at in memchr::memchr_iter(b'\n', &buffer[scanned..]).take(BLOCK_LINES_MAX - lines_count) {
                lines_count += 1;
                end = scanned + at + 1;
            }
            scanned = buffer.len();
            let is_full =
                lines_count == BLOCK_LINES_MAX || lines_count > 0 && (is_short || buffer.len() >= BLOCK_BYTES);
            if is_full {
                break;
            }
            if buffer.len() - end > LINE_BYTES_MAX {
                buffer.truncate(end);
                (self.in_long_line, long_line_follows) = (true, true);
                break;
            }
            if !matches!(self.state, State::Open) {
                if matches!(self.state, State::Ended) && end < buffer.len() {
                    lines_count += 1;
                    end = buffer.len();
                }
                // What a broken or interrupted stream left of a line is no line.
                buffer.truncate(end);
                break;
            }
            is_short = self.read(&mut buffer) < READ_BYTES && self.is_live;
        }
        self.carry.extend_from_slice(&buffer[end..]);
        buffer.truncate(end);
        if lines_count == 0 && !long_line_follows {
            return None;
        }
        let first_line = self.next_line;
        self.next_line += lines_count as u64 + u64::from(long_line_follows);
        Some(Block { first_line, data: buffer.freeze(), long_line_follows })
    }

    /// Appends what one read gives and says how much that is. The end, an error and an interruption show in the state.
    fn read(&mut self, buffer: &mut BytesMut) -> usize {
        let start = buffer.len();
        while matches!(self.state, State::Open) {
            if self.interrupt.is_set() {
                self.state = State::Interrupted;
                break;
            }
            buffer.resize(start + READ_BYTES, 0);
            let read = self.reader.read(&mut buffer[start..]);
            buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.state = State::Ended,
                Ok(count) => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.state = State::Broken(error),
            }
        }
        0
    }

    pub(super) fn ending(self) -> Ending {
        match self.state {
            State::Ended => Ending::Complete,
            State::Open | State::Interrupted => Ending::Interrupted,
            State::Broken(error) => Ending::Broken(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a text in pieces of the sizes listed, over and over; then the error, if there is one.
    struct Pieces<'a> {
        text: &'a [u8],
        sizes: Vec<usize>,
        turn: usize,
        breaks: bool,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.text.is_empty() && self.breaks {
                return Err(io::Error::other("broken"));
            }
            self.turn += 1;
            let size = self.sizes[self.turn % self.sizes.len()].min(self.text.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.text[..size]);
            self.text = &self.text[size..];
            Ok(size)
        }
    }

    fn blocks<R: Read>(reader: R) -> Blocks<R> {
        Blocks::new(reader, true, Interrupt::default())
    }

    /// Every line as the judge would see it, too long ones as `None`.
    fn lines<R: Read>(blocks: &mut Blocks<R>) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        while let Some(block) = blocks.next(BytesMut::new()) {
            assert_eq!(block.first_line, blocks.next_line - count(&block));
            let text = block.data.strip_suffix(b"\n").unwrap_or(&block.data);
            if !block.data.is_empty() {
                lines.extend(text.split(|byte| *byte == b'\n').map(|line| Some(line.to_vec())));
            }
            if block.long_line_follows {
                lines.push(None);
            }
        }
        lines
    }

    fn count(block: &Block) -> u64 {
        let ends = memchr::memchr_iter(b'\n', &block.data).count();
        (ends + usize::from(block.data.last().is_some_and(|last| *last != b'\n'))) as u64
            + u64::from(block.long_line_follows)
    }

    #[test]
    fn a_line_that_is_too_long_is_noted_and_not_kept() {
        let long = vec![b'x'; 3 * LINE_BYTES_MAX];
        let text = [b"a\n", &long[..], b"\nb\n", &long, b"\n\nc"].concat();
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let expected = vec![some("a"), None, some("b"), None, some(""), some("c")];
        for size in [1 << 20, 60_000] {
            let pieces = Pieces { text: &text, sizes: vec![size], turn: 0, breaks: false };
            let mut blocks = blocks(pieces);
            assert_eq!(lines(&mut blocks), expected);
            assert!(matches!(blocks.ending(), Ending::Complete));
        }
        let at_bound = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(lines(&mut blocks(&at_bound[..])), [Some(at_bound.clone())]);
    }

    /// The endless line: memory stays where it is, however much of it comes.
    #[test]
    fn an_endless_line_fills_no_memory() {
        let mut blocks = Blocks::new(io::repeat(b'x').take(200 << 20), false, Interrupt::default());
        let mut buffer = BytesMut::new();
        let mut seen = 0;
        while let Some(block) = blocks.next(buffer) {
            seen += 1;
            assert!(block.long_line_follows && block.data.is_empty());
            assert!(blocks.carry.capacity() <= LINE_BYTES_MAX);
            buffer = block.data.try_into_mut().unwrap_or_default();
            assert!(buffer.capacity() <= 2 * (LINE_BYTES_MAX + BLOCK_BYTES), "{}", buffer.capacity());
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_broken_stream_gives_its_whole_lines() {
        let mut blocks = blocks(Pieces { text: b"a\nb\nhalf", sizes: vec![3], turn: 0, breaks: true });
        assert_eq!(lines(&mut blocks), [Some(b"a".to_vec()), Some(b"b".to_vec())]);
        assert!(matches!(blocks.ending(), Ending::Broken(_)));
    }

    #[test]
    fn an_interrupted_stream_stops() {
        let interrupt = Interrupt::default();
        let mut blocks = Blocks::new(io::repeat(b'\n'), false, interrupt.clone());
        assert!(blocks.next(BytesMut::new()).is_some());
        interrupt.set();
        while blocks.next(BytesMut::new()).is_some() {}
        assert!(matches!(blocks.ending(), Ending::Interrupted));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[a\n]{0,300}|(\n){0,9000}", sizes in proptest::collection::vec(1usize..50, 1..6), skip in 0u64..400) {
            let pieces = || Pieces { text: text.as_bytes(), sizes: sizes.clone(), turn: 0, breaks: false };
            let mut expected: Vec<_> = text.split('\n').map(|line| Some(line.as_bytes().to_vec())).collect();
            if text.is_empty() || text.ends_with('\n') {
                expected.pop();
            }
            prop_assert_eq!(&lines(&mut blocks(pieces())), &expected);
            let mut blocks = blocks(pieces());
            let skipped = blocks.skip_lines(skip);
            prop_assert_eq!(skipped, skip.min(expected.len() as u64));
            prop_assert_eq!(blocks.next_line, skipped + 1);
            prop_assert_eq!(&lines(&mut blocks), &expected[skipped as usize..]);
        }
    }
}
