//! SHA-256 (FIPS 180-4) of many messages, two of them at a time where the CPU has instructions for it.
//!
//! A block takes 64 rounds, two in each `sha256rnds2`, which needs the result of the one before. On Zen 3 and 4 that takes
//! four cycles (128 for a block), though the unit could begin another every two: one message leaves it idle for half of
//! the time, and a second fills the gaps. Measured on Zen 3, a block in company takes 0.56 of the time it takes alone.
//!
//! Messages need not be equally long. Two stand side by side, and when one has ended the next takes its place, so that
//! only the end of the very last is hashed alone. A digest that is hashed in turn keeps its place.

mod two;

use sha2::block_api::compress256;
use zeroize::Zeroize;

use crate::cpu::{ShaInstructions, detect};

pub(crate) const BLOCK_BYTES: usize = 64;

type Block = [u8; BLOCK_BYTES];
type State = [u32; 8];

/// SHA-256 after whole blocks.
#[derive(Clone)]
pub(crate) struct Midstate {
    state: State,
    bytes: u64,
}

impl Midstate {
    /// Nothing hashed yet (FIPS 180-4 §5.3.3).
    pub(crate) const EMPTY: Self = Self {
        state: [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19],
        bytes: 0,
    };

    /// A first block hashed.
    pub(crate) fn after(block: &Block) -> Self {
        let Self { mut state, .. } = Self::EMPTY;
        compress256(&mut state, std::slice::from_ref(block));
        Self { state, bytes: BLOCK_BYTES as u64 }
    }
}

impl Zeroize for Midstate {
    fn zeroize(&mut self) {
        self.state.zeroize();
    }
}

/// Bytes to hash.
#[derive(Clone)]
pub struct Message<'a> {
    midstate: &'a Midstate,
    head: Block,
    head_bytes: usize,
    body: &'a [u8],
    /// Where to hash the digest in turn.
    then: Option<&'a Midstate>,
}

impl<'a> Message<'a> {
    /// `body` and nothing else.
    #[inline]
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self::after(&Midstate::EMPTY, body)
    }

    /// `body` after what `midstate` has seen.
    #[inline]
    pub(crate) fn after(midstate: &'a Midstate, body: &'a [u8]) -> Self {
        Self { midstate, head: [0; BLOCK_BYTES], head_bytes: 0, body, then: None }
    }

    /// Puts `head` before the body, as if they stood in one place.
    ///
    /// # Panics
    /// If `head` has more than 64 bytes.
    #[must_use]
    pub fn with_head(mut self, head: &[u8]) -> Self {
        self.head[..head.len()].copy_from_slice(head);
        self.head_bytes = head.len();
        self
    }

    /// The digest will be the digest of the digest.
    #[inline]
    #[must_use]
    pub fn twice(self) -> Self {
        self.then(&Midstate::EMPTY)
    }

    /// The digest will be hashed after `midstate`.
    #[inline]
    pub(crate) fn then(self, midstate: &'a Midstate) -> Self {
        Self { then: Some(midstate), ..self }
    }

    /// The digest of this message alone.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        if self.head_bytes > 0 {
            let mut lane = Lane::IDLE;
            lane.start(self);
            return lane.finish();
        }
        // As short as it can be: this is what a lone job waits for.
        let digest = digest_after(self.midstate, self.body);
        self.then.map_or(digest, |midstate| digest_after(midstate, &digest))
    }
}

fn digest_after(midstate: &Midstate, body: &[u8]) -> [u8; 32] {
    let Midstate { mut state, bytes } = *midstate;
    let (blocks, end) = body.as_chunks();
    compress256(&mut state, blocks);
    let mut padded = [[0; BLOCK_BYTES]; 2];
    let padded_count = pad(&mut padded, &[], end, bytes + body.len() as u64);
    compress256(&mut state, &padded[2 - padded_count..]);
    to_bytes(state)
}

fn to_bytes(state: State) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// The padding of FIPS 180-4 §5.1.1 for a message of `bytes`, whose last are `head` and `end`, less than a block: one bit,
/// zeros, and the length in bits. Takes one block or two from the end of `padded`, which is zeros, and says how many.
#[inline]
fn pad(padded: &mut [Block; 2], head: &[u8], end: &[u8], bytes: u64) -> usize {
    let used = head.len() + end.len();
    let count = if used + 1 + size_of::<u64>() <= BLOCK_BYTES { 1 } else { 2 };
    let padded = padded[2 - count..].as_flattened_mut();
    if !head.is_empty() {
        padded[..head.len()].copy_from_slice(head);
    }
    padded[head.len()..used].copy_from_slice(end);
    padded[used] = 0x80;
    *padded.last_chunk_mut().expect("a block has more than 8 bytes") = (bytes << 3).to_be_bytes();
    count
}

/// Gives each message's digest to `take`, with the label that came with the message. Not in the order of the messages:
/// a short one has ended before a long one.
pub fn for_each_digest<'a, L>(messages: impl IntoIterator<Item = (L, Message<'a>)>, take: impl FnMut(L, [u8; 32])) {
    let messages = messages.into_iter().fuse();
    match detect().sha {
        Some(instructions) => two_at_a_time(instructions, messages, take),
        None => one_at_a_time(messages, take),
    }
}

fn one_at_a_time<'a, L>(messages: impl Iterator<Item = (L, Message<'a>)>, mut take: impl FnMut(L, [u8; 32])) {
    for (label, message) in messages {
        take(label, message.digest());
    }
}

fn two_at_a_time<'a, L>(
    instructions: ShaInstructions,
    mut messages: impl Iterator<Item = (L, Message<'a>)>,
    mut take: impl FnMut(L, [u8; 32]),
) {
    let mut fill = |lane: &mut Lane<'a>| {
        let (label, message) = messages.next()?;
        lane.clear();
        lane.start(&message);
        Some(label)
    };
    let (mut a, mut b) = (Lane::IDLE, Lane::IDLE);
    let (mut label_a, mut label_b) = (fill(&mut a), fill(&mut b));
    while label_a.is_some() && label_b.is_some() {
        let ((state_a, blocks_a), (state_b, blocks_b)) = (a.next(), b.next());
        let count = blocks_a.len().min(blocks_b.len());
        two::compress(instructions, [state_a, state_b], [&blocks_a[..count], &blocks_b[..count]]);
        for (lane, label) in [(&mut a, &mut label_a), (&mut b, &mut label_b)] {
            if let Some(digest) = lane.advance(count)
                && let Some(label) = std::mem::replace(label, fill(lane))
            {
                take(label, digest);
            }
        }
    }
    for (mut lane, label) in [(a, label_a), (b, label_b)] {
        if let Some(label) = label {
            take(label, lane.finish());
        }
    }
}

/// Blocks of a lane that are not borrowed: one that a head begins, and two with padding.
const OWN_BLOCKS: usize = 3;

/// Where a message becomes a digest.
struct Lane<'a> {
    state: State,
    /// The first block, if a head begins it; the one or two with padding stand at the end.
    own: [Block; OWN_BLOCKS],
    head_blocks: usize,
    body: &'a [Block],
    blocks_done: usize,
    blocks_count: usize,
    then: Option<&'a Midstate>,
}

impl<'a> Lane<'a> {
    const IDLE: Self = Self {
        state: [0; 8],
        own: [[0; BLOCK_BYTES]; OWN_BLOCKS],
        head_blocks: 0,
        body: &[],
        blocks_done: 0,
        blocks_count: 0,
        then: None,
    };

    /// Makes room for padding.
    fn clear(&mut self) {
        self.own[1..].fill([0; BLOCK_BYTES]);
    }

    /// Into a lane that is idle or cleared.
    fn start(&mut self, message: &Message<'a>) {
        self.load(message.midstate, &message.head[..message.head_bytes], message.body);
        self.then = message.then;
    }

    fn load(&mut self, midstate: &Midstate, head: &[u8], body: &'a [u8]) {
        let bytes = midstate.bytes + (head.len() + body.len()) as u64;
        let [first, padded @ ..] = &mut self.own;
        let (head_blocks, head, body) = match body.split_at_checked(BLOCK_BYTES - head.len()) {
            Some((start, rest)) if !head.is_empty() => {
                first[..head.len()].copy_from_slice(head);
                first[head.len()..].copy_from_slice(start);
                (1, &[][..], rest)
            }
            // Either there is no head, or all of it fits into the last block.
            _ => (0, head, body),
        };
        let (body, end) = body.as_chunks();
        let padded_count = pad(padded, head, end, bytes);
        self.state = midstate.state;
        self.head_blocks = head_blocks;
        self.body = body;
        self.blocks_done = 0;
        self.blocks_count = head_blocks + body.len() + padded_count;
    }

    /// The state, and the next blocks, as many as lie side by side: at least one.
    fn next(&mut self) -> (&mut State, &[Block]) {
        let done = self.blocks_done;
        let blocks = if done < self.head_blocks {
            &self.own[..1]
        } else if done < self.head_blocks + self.body.len() {
            &self.body[done - self.head_blocks..]
        } else {
            &self.own[OWN_BLOCKS - (self.blocks_count - done)..]
        };
        (&mut self.state, blocks)
    }

    /// Takes note that the state has seen `count` blocks more. If they were the last, gives the digest.
    fn advance(&mut self, count: usize) -> Option<[u8; 32]> {
        self.blocks_done += count;
        if self.blocks_done < self.blocks_count {
            return None;
        }
        let digest = to_bytes(self.state);
        let Some(midstate) = self.then.take() else {
            return Some(digest);
        };
        self.clear();
        self.load(midstate, &digest, &[]);
        None
    }

    /// What is left, without another.
    fn finish(&mut self) -> [u8; 32] {
        loop {
            let (state, blocks) = self.next();
            let count = blocks.len();
            compress256(state, blocks);
            if let Some(digest) = self.advance(count) {
                return digest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Bytes that differ from one message to the next.
    fn bytes(seed: u8, length: usize) -> Vec<u8> {
        (0..length).map(|i| (i as u8).wrapping_mul(167).wrapping_add(seed.wrapping_mul(59)) ^ (i >> 8) as u8).collect()
    }

    /// The digests of `messages` in their order, each given once.
    fn digests(instructions: Option<ShaInstructions>, messages: &[Message<'_>]) -> Vec<[u8; 32]> {
        let mut digests = vec![None; messages.len()];
        let labelled = messages.iter().cloned().enumerate();
        let take = |i: usize, digest| assert_eq!(digests[i].replace(digest), None, "{i} twice");
        match instructions {
            Some(instructions) => two_at_a_time(instructions, labelled, take),
            None => one_at_a_time(labelled, take),
        }
        digests.into_iter().map(|digest| digest.expect("one digest per message")).collect()
    }

    /// Each message's digest is what `sha2` says, by the instructions if this CPU has them, and without.
    fn check(messages: &[Vec<u8>]) {
        let expected: Vec<[u8; 32]> = messages.iter().map(|message| Sha256::digest(message).into()).collect();
        let lengths: Vec<_> = messages.iter().map(Vec::len).collect();
        let messages: Vec<_> = messages.iter().map(|message| Message::new(message)).collect();
        for instructions in [detect().sha, None] {
            assert_eq!(digests(instructions, &messages), expected, "{instructions:?} {lengths:?}");
        }
    }

    /// FIPS 180-4's examples, and the digest of nothing.
    #[test]
    fn examples() {
        let examples: [(&[u8], &str); 3] = [
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ];
        let messages = examples.map(|(message, _)| Message::new(message));
        for instructions in [detect().sha, None] {
            let digests: Vec<_> = digests(instructions, &messages).iter().map(hex::encode).collect();
            assert_eq!(digests, examples.map(|(_, digest)| digest));
        }
    }

    /// Each length twice over, beside itself and beside its neighbours, so that every edge of a block meets every other.
    #[test]
    fn lengths() {
        for length in 0..=300 {
            check(&[bytes(1, length)]);
            check(&[bytes(1, length), bytes(2, length)]);
            check(&[bytes(1, length), bytes(2, length + 1), bytes(3, length / 2)]);
        }
        check(&(0..=300).map(|length| bytes(length as u8, length)).collect::<Vec<_>>());
    }

    #[test]
    fn pairs_of_block_counts() {
        let edges = [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 183, 184, 247, 248, 311, 312, 375, 376, 384];
        for a in edges {
            for b in edges {
                check(&[bytes(1, a), bytes(2, b)]);
                check(&[bytes(1, a), bytes(2, b), bytes(3, a)]);
            }
        }
    }

    #[test]
    fn batches() {
        let lengths = [520, 3, 1000, 64, 519, 0, 511, 520, 56];
        for count in 0..=lengths.len() {
            for turn in 0..lengths.len() {
                let mut lengths = lengths;
                lengths.rotate_left(turn);
                check(&lengths[..count].iter().enumerate().map(|(i, &l)| bytes(i as u8, l)).collect::<Vec<_>>());
            }
        }
    }

    /// Whatever stands beside it, before it and behind it.
    #[test]
    fn neighbours_do_not_matter() {
        let message = bytes(1, 200);
        for neighbour in [vec![0; 200], vec![0xff; 200], vec![0x80; 64], vec![0xa5; 5000], message.clone()] {
            for position in 0..4 {
                let mut messages = vec![neighbour.clone(); 4];
                messages[position].clone_from(&message);
                check(&messages);
            }
        }
    }

    /// Heads of every length before bodies around the edges of a block, hashed once and twice, alone and together.
    #[test]
    fn heads_and_second_passes() {
        let whole = bytes(7, 64 + 200);
        for head in 0..=64 {
            let (mut messages, mut expected) = (Vec::new(), Vec::new());
            for body in [0, 1, 63 - head.min(63), 64 - head, 65 - head, 119, 120, 127, 128, 200] {
                let (first, second) = whole[..head + body].split_at(head);
                let once = Sha256::digest(&whole[..head + body]);
                messages.extend([Message::new(second).with_head(first), Message::new(second).with_head(first).twice()]);
                expected.extend([<[u8; 32]>::from(once), Sha256::digest(once).into()]);
            }
            for instructions in [detect().sha, None] {
                assert_eq!(digests(instructions, &messages), expected, "{instructions:?} {head}");
            }
        }
    }

    /// Whether there is one message or many, and whether their number is known or not.
    #[test]
    fn any_iterator() {
        let expected: [u8; 32] = Sha256::digest(b"abc").into();
        for count in 0..5 {
            let mut taken = 0;
            let mut take = |(), digest| {
                assert_eq!(digest, expected);
                taken += 1;
            };
            for_each_digest((0..count).map(|_| ((), Message::new(b"abc"))), &mut take);
            for_each_digest((0..9).filter(|i| *i < count).map(|_| ((), Message::new(b"abc"))), &mut take);
            assert_eq!(taken, 2 * count);
        }
    }

    #[test]
    fn midstates_are_where_a_block_has_led() {
        let whole = bytes(9, 64 + 33 + 70);
        let (block, rest) = whole.split_first_chunk().expect("more than 64");
        let (head, body) = rest.split_at(33);
        let midstate = Midstate::after(block);
        let message = Message::after(&midstate, body).with_head(head);
        assert_eq!(message.digest(), *Sha256::digest(&whole));
    }

    #[test]
    #[should_panic(expected = "65")]
    fn a_head_longer_than_a_block_is_refused() {
        let _ = Message::new(b"body").with_head(&[0; 65]);
    }
}
