//! Eight 64-bit words and the few operations the digits need.

use crate::group::{LaneMask, Task};

/// Eight 64-bit words. Arithmetic wraps.
pub(crate) trait Words: Copy {
    /// Whether residues of these words are worth inlining: instructions are, and have to be, because only the outermost
    /// function enables them; eight of everything in plain integers would keep the compiler busy for ten minutes.
    const INLINED: bool;

    /// See [`crate::group::Lanes::enter`].
    fn enter<T: Task>(task: T) -> T::Output;
    fn splat(word: u64) -> Self;
    fn from_array(words: [u64; 8]) -> Self;
    fn to_array(self) -> [u64; 8];
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Shifts in copies of the top bit.
    fn shift_right<const BITS: u32>(self) -> Self;
    /// Shifts in zeros.
    fn shift_right_logical<const BITS: u32>(self) -> Self;
    /// Shifts in zeros.
    fn shift_left<const BITS: u32>(self) -> Self;
    /// self + the low 52 bits of the product of the low 52 bits of a and b.
    fn add_low(self, a: Self, b: Self) -> Self;
    /// self + the upper 52 bits of the product of the low 52 bits of a and b.
    fn add_high(self, a: Self, b: Self) -> Self;
    /// Word j of row i becomes word i of row j.
    fn transpose(rows: [Self; 8]) -> [Self; 8];
    /// Word i is what was word `from[i]`, for numbers below 8.
    fn permute(self, from: [u64; 8]) -> Self;
    /// The words that are 0.
    fn zeros(self) -> LaneMask;
    /// The words that are this one.
    fn equal(self, word: u64) -> LaneMask;
    /// `other` in the words of the mask.
    fn replace(self, mask: LaneMask, other: Self) -> Self;
}

/// Readable and slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plain([u64; 8]);

impl Plain {
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

/// A machine that computes wrongly, for those who have to notice: one product of this thread loses a bit in lane 0.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;

    thread_local!(static PRODUCTS_LEFT: Cell<u64> = const { Cell::new(u64::MAX) });

    /// Which product, counted from here. It is forgotten once it happened.
    pub(crate) fn at_product(count: u64) {
        PRODUCTS_LEFT.set(count);
    }

    /// Whether a product is still to come out wrong.
    pub(crate) fn is_pending() -> bool {
        PRODUCTS_LEFT.get() != u64::MAX
    }

    /// Products computed since `at_product(count)`, where it has not happened.
    pub(crate) fn products_since(count: u64) -> u64 {
        count - PRODUCTS_LEFT.replace(u64::MAX)
    }

    pub(super) fn strike(mut high: [u64; 8]) -> [u64; 8] {
        match PRODUCTS_LEFT.get() {
            u64::MAX => {}
            0 => {
                high[0] ^= 1;
                PRODUCTS_LEFT.set(u64::MAX);
            }
            left => PRODUCTS_LEFT.set(left - 1),
        }
        high
    }
}

fn product52(a: u64, b: u64) -> u128 {
    const MASK: u64 = (1 << 52) - 1;
    u128::from(a & MASK) * u128::from(b & MASK)
}

impl Words for Plain {
    const INLINED: bool = false;

    #[inline(never)]
    fn enter<T: Task>(task: T) -> T::Output {
        task.run()
    }

    fn splat(word: u64) -> Self {
        Self([word; 8])
    }

    fn from_array(words: [u64; 8]) -> Self {
        Self(words)
    }

    fn to_array(self) -> [u64; 8] {
        self.0
    }

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }

    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_sub)
    }

    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    fn shift_right<const BITS: u32>(self) -> Self {
        Self(self.0.map(|word| (word.cast_signed() >> BITS).cast_unsigned()))
    }

    fn shift_right_logical<const BITS: u32>(self) -> Self {
        Self(self.0.map(|word| word >> BITS))
    }

    fn shift_left<const BITS: u32>(self) -> Self {
        Self(self.0.map(|word| word << BITS))
    }

    #[inline(never)]
    fn transpose(rows: [Self; 8]) -> [Self; 8] {
        std::array::from_fn(|j| Self(std::array::from_fn(|i| rows[i].0[j])))
    }

    #[inline(never)]
    fn permute(self, from: [u64; 8]) -> Self {
        Self(from.map(|i| self.0[i as usize]))
    }

    fn add_low(self, a: Self, b: Self) -> Self {
        let low = a.zip(b, |a, b| product52(a, b) as u64 & ((1 << 52) - 1));
        self.add(low)
    }

    fn add_high(self, a: Self, b: Self) -> Self {
        let high = a.zip(b, |a, b| (product52(a, b) >> 52) as u64);
        #[cfg(test)]
        let high = Self(fault::strike(high.0));
        self.add(high)
    }

    #[inline(never)]
    fn zeros(self) -> LaneMask {
        (0..8).fold(0, |mask, i| mask | LaneMask::from(self.0[i] == 0) << i)
    }

    #[inline(never)]
    fn equal(self, word: u64) -> LaneMask {
        self.xor(Self::splat(word)).zeros()
    }

    #[inline(never)]
    fn replace(self, mask: LaneMask, other: Self) -> Self {
        Self(std::array::from_fn(|i| if mask >> i & 1 == 1 { other.0[i] } else { self.0[i] }))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use ifma::Ifma;

#[cfg(target_arch = "x86_64")]
mod ifma {
    use std::arch::x86_64::*;

    use super::{LaneMask, Task, Words};

    /// One 512-bit register. Private field: only the functions of [`Words`] make one. This type is named as a type argument
    /// in four functions, `sums_avx512`, `build_avx512`, `roots_avx512` and `quotients_avx512` in `group`, which take the CPU's
    /// witness `cpu::Avx512Ifma`; a fifth has to as well.
    #[derive(Clone, Copy)]
    pub(crate) struct Ifma(__m512i);

    /// Every method is one instruction, inlined into a function that enables it.
    macro_rules! instruction {
        ($name:ident($($argument:ident),*) $intrinsic:expr) => {
            #[inline(always)]
            fn $name(self, $($argument: Self),*) -> Self {
                // SAFETY: whoever names `Ifma` holds the CPU's witness, so the instruction exists.
                Self(unsafe { $intrinsic(self.0, $($argument.0),*) })
            }
        };
    }

    impl Words for Ifma {
        const INLINED: bool = true;

        #[inline(always)]
        fn enter<T: Task>(task: T) -> T::Output {
            #[inline(never)]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
            fn enabled<T: Task>(task: T) -> T::Output {
                task.run()
            }
            // SAFETY: as below: whoever names `Ifma` holds the CPU's witness.
            unsafe { enabled(task) }
        }

        #[inline(always)]
        fn splat(word: u64) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_set1_epi64(word.cast_signed()) })
        }

        #[inline(always)]
        fn from_array(words: [u64; 8]) -> Self {
            // SAFETY: as above; the load is unaligned and inside the array.
            Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
        }

        #[inline(always)]
        fn to_array(self) -> [u64; 8] {
            let mut words = [0; 8];
            // SAFETY: as above; the store is unaligned and inside the array.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) };
            words
        }

        instruction!(add(other) _mm512_add_epi64);
        instruction!(sub(other) _mm512_sub_epi64);
        instruction!(and(other) _mm512_and_si512);
        instruction!(or(other) _mm512_or_si512);
        instruction!(xor(other) _mm512_xor_si512);
        instruction!(add_low(a, b) _mm512_madd52lo_epu64);
        instruction!(add_high(a, b) _mm512_madd52hi_epu64);

        #[inline(always)]
        fn shift_right<const BITS: u32>(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_srai_epi64::<BITS>(self.0) })
        }

        #[inline(always)]
        fn shift_right_logical<const BITS: u32>(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_srli_epi64::<BITS>(self.0) })
        }

        #[inline(always)]
        fn shift_left<const BITS: u32>(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_slli_epi64::<BITS>(self.0) })
        }

        #[inline(always)]
        fn transpose([r0, r1, r2, r3, r4, r5, r6, r7]: [Self; 8]) -> [Self; 8] {
            // Which 128-bit pairs of words a shuffle takes of either operand.
            const EVEN: i32 = 0b10_00_10_00;
            const ODD: i32 = 0b11_01_11_01;
            // SAFETY: as above.
            unsafe {
                // Row pairs, interleaved: pair k of the first holds word 2k of both rows, of the second word 2k + 1.
                let (a0, a1) = (_mm512_unpacklo_epi64(r0.0, r1.0), _mm512_unpackhi_epi64(r0.0, r1.0));
                let (a2, a3) = (_mm512_unpacklo_epi64(r2.0, r3.0), _mm512_unpackhi_epi64(r2.0, r3.0));
                let (a4, a5) = (_mm512_unpacklo_epi64(r4.0, r5.0), _mm512_unpackhi_epi64(r4.0, r5.0));
                let (a6, a7) = (_mm512_unpacklo_epi64(r6.0, r7.0), _mm512_unpackhi_epi64(r6.0, r7.0));
                // Words 0 and 4 of four rows, then 2 and 6, 1 and 5, 3 and 7.
                let (b0, c0) = (_mm512_shuffle_i64x2::<EVEN>(a0, a2), _mm512_shuffle_i64x2::<EVEN>(a4, a6));
                let (b2, c2) = (_mm512_shuffle_i64x2::<ODD>(a0, a2), _mm512_shuffle_i64x2::<ODD>(a4, a6));
                let (b1, c1) = (_mm512_shuffle_i64x2::<EVEN>(a1, a3), _mm512_shuffle_i64x2::<EVEN>(a5, a7));
                let (b3, c3) = (_mm512_shuffle_i64x2::<ODD>(a1, a3), _mm512_shuffle_i64x2::<ODD>(a5, a7));
                [
                    Self(_mm512_shuffle_i64x2::<EVEN>(b0, c0)),
                    Self(_mm512_shuffle_i64x2::<EVEN>(b1, c1)),
                    Self(_mm512_shuffle_i64x2::<EVEN>(b2, c2)),
                    Self(_mm512_shuffle_i64x2::<EVEN>(b3, c3)),
                    Self(_mm512_shuffle_i64x2::<ODD>(b0, c0)),
                    Self(_mm512_shuffle_i64x2::<ODD>(b1, c1)),
                    Self(_mm512_shuffle_i64x2::<ODD>(b2, c2)),
                    Self(_mm512_shuffle_i64x2::<ODD>(b3, c3)),
                ]
            }
        }

        #[inline(always)]
        fn permute(self, from: [u64; 8]) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_permutexvar_epi64(Self::from_array(from).0, self.0) })
        }

        #[inline(always)]
        fn zeros(self) -> LaneMask {
            // SAFETY: as above.
            unsafe { _mm512_testn_epi64_mask(self.0, self.0) }
        }

        #[inline(always)]
        fn equal(self, word: u64) -> LaneMask {
            // SAFETY: as above.
            unsafe { _mm512_cmpeq_epi64_mask(self.0, Self::splat(word).0) }
        }

        #[inline(always)]
        fn replace(self, mask: LaneMask, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_mask_blend_epi64(mask, self.0, other.0) })
        }
    }
}
