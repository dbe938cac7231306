//! SHA-256's compression of two messages in step, with the instructions that x86-64 has for it.

use super::{Block, State};
use crate::cpu::ShaInstructions;

/// Puts into each of two states its own of two equally long runs of blocks.
#[cfg(target_arch = "x86_64")]
pub(super) fn compress(_: ShaInstructions, states: [&mut State; 2], blocks: [&[Block]; 2]) {
    // SAFETY: `ShaInstructions` values come only from `cpu::detect`, so this core has what is enabled.
    unsafe { x86_64::compress(states, blocks) };
}

/// Never called: there is no witness to call it with.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn compress(_: ShaInstructions, states: [&mut State; 2], blocks: [&[Block]; 2]) {
    for (state, blocks) in states.into_iter().zip(blocks) {
        sha2::block_api::compress256(state, blocks);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{Block, State};

    /// The constants of FIPS 180-4 §4.2.2, by the four rounds that one word of a register serves.
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    #[target_feature(enable = "sha,sse4.1")]
    pub(super) fn compress([state_a, state_b]: [&mut State; 2], [blocks_a, blocks_b]: [&[Block]; 2]) {
        let (mut a, mut b) = (Stream::new(state_a), Stream::new(state_b));
        for (block_a, block_b) in blocks_a.iter().zip(blocks_b) {
            let (before_a, before_b) = (a, b);
            let (mut words_a, mut words_b) = (words(block_a), words(block_b));
            // Sixteen rounds, each four of them followed by their words' successors; the last have none that are used.
            for k in K.as_chunks::<4>().0 {
                for i in 0..4 {
                    let k = vector(&k[i]);
                    a.rounds(words_a[i], k);
                    schedule(&mut words_a, i);
                    b.rounds(words_b[i], k);
                    schedule(&mut words_b, i);
                }
            }
            a = a.plus(before_a);
            b = b.plus(before_b);
        }
        (*state_a, *state_b) = (a.state(), b.state());
    }

    /// A state in the order that the instructions want, where the first of (A, B, E, F) is the highest.
    #[derive(Clone, Copy)]
    struct Stream {
        abef: __m128i,
        cdgh: __m128i,
    }

    impl Stream {
        #[inline]
        #[target_feature(enable = "sse4.1")]
        fn new(state: &State) -> Self {
            let (halves, _) = state.as_chunks();
            let badc = _mm_shuffle_epi32::<0b10_11_00_01>(vector(&halves[0]));
            let hgfe = _mm_shuffle_epi32::<0b00_01_10_11>(vector(&halves[1]));
            Self { abef: _mm_alignr_epi8::<8>(badc, hgfe), cdgh: _mm_blend_epi16::<0b1111_0000>(hgfe, badc) }
        }

        #[inline]
        #[target_feature(enable = "sse4.1")]
        fn state(self) -> State {
            let feba = _mm_shuffle_epi32::<0b00_01_10_11>(self.abef);
            let dchg = _mm_shuffle_epi32::<0b10_11_00_01>(self.cdgh);
            let [a, b, c, d] = array(_mm_blend_epi16::<0b1111_0000>(feba, dchg));
            let [e, f, g, h] = array(_mm_alignr_epi8::<8>(dchg, feba));
            [a, b, c, d, e, f, g, h]
        }

        #[inline]
        #[target_feature(enable = "sse2")]
        fn plus(self, other: Self) -> Self {
            Self { abef: _mm_add_epi32(self.abef, other.abef), cdgh: _mm_add_epi32(self.cdgh, other.cdgh) }
        }

        /// Four rounds.
        #[inline]
        #[target_feature(enable = "sha")]
        fn rounds(&mut self, words: __m128i, k: __m128i) {
            let sum = _mm_add_epi32(words, k);
            // After two rounds, what was (A, B, E, F) is (C, D, G, H).
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, sum);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32::<0b1110>(sum));
        }
    }

    /// Replaces words 4i to 4i + 3 of the last sixteen by those that come after the sixteen (§6.2.2).
    #[inline]
    #[target_feature(enable = "sha,ssse3")]
    fn schedule(words: &mut [__m128i; 4], i: usize) {
        let [oldest, second, third, newest] = std::array::from_fn(|offset| words[(i + offset) % 4]);
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, second), _mm_alignr_epi8::<4>(newest, third));
        words[i] = _mm_sha256msg2_epu32(sum, newest);
    }

    /// The sixteen big-endian words of a block.
    #[inline]
    #[target_feature(enable = "ssse3")]
    fn words(block: &Block) -> [__m128i; 4] {
        let big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
        let (quarters, _) = block.as_chunks::<16>();
        std::array::from_fn(|i| {
            let (halves, _) = quarters[i].as_chunks();
            let [low, high] = [i64::from_le_bytes(halves[0]), i64::from_le_bytes(halves[1])];
            _mm_shuffle_epi8(_mm_set_epi64x(high, low), big_endian)
        })
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn vector(words: &[u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_setr_epi32(a, b, c, d)
    }

    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn array(words: __m128i) -> [u32; 4] {
        [
            _mm_extract_epi32::<0>(words),
            _mm_extract_epi32::<1>(words),
            _mm_extract_epi32::<2>(words),
            _mm_extract_epi32::<3>(words),
        ]
        .map(i32::cast_unsigned)
    }
}
