//! Integers of four 64-bit limbs, little endian: carries, comparisons, full products.

/// A number below 2^256, least significant limb first.
pub(crate) type Limbs = [u64; 4];

/// The limbs of 32 big-endian bytes.
pub(crate) fn from_be_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
        *limb = u64::from_be_bytes(chunk.try_into().expect("chunks of 8"));
    }
    limbs
}

pub(crate) fn is_zero(a: &Limbs) -> bool {
    (a[0] | a[1] | a[2] | a[3]) == 0
}

/// a < b.
pub(crate) fn is_below(a: &Limbs, b: &Limbs) -> bool {
    sub_borrow(a, b).1
}

/// a + b mod 2^256, and whether 2^256 was reached.
#[inline(always)]
pub(crate) fn add_carry(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let (r0, c) = a[0].overflowing_add(b[0]);
    let (r1, c) = a[1].carrying_add(b[1], c);
    let (r2, c) = a[2].carrying_add(b[2], c);
    let (r3, c) = a[3].carrying_add(b[3], c);
    ([r0, r1, r2, r3], c)
}

/// a − b mod 2^256, and whether a < b.
#[inline(always)]
pub(crate) fn sub_borrow(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let (r0, c) = a[0].overflowing_sub(b[0]);
    let (r1, c) = a[1].borrowing_sub(b[1], c);
    let (r2, c) = a[2].borrowing_sub(b[2], c);
    let (r3, c) = a[3].borrowing_sub(b[3], c);
    ([r0, r1, r2, r3], c)
}

/// a + b·c + carry as (low, high); the largest value is 2^128 − 1.
#[inline(always)]
pub(crate) const fn mul_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let wide = a as u128 + b as u128 * c as u128 + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

/// a + b mod m for a, b < m.
#[inline(always)]
pub(crate) fn add_mod(a: &Limbs, b: &Limbs, m: &Limbs) -> Limbs {
    let (sum, carry) = add_carry(a, b);
    let (reduced, borrow) = sub_borrow(&sum, m);
    if carry || !borrow { reduced } else { sum }
}

/// a − b mod m for a, b < m.
#[inline(always)]
pub(crate) fn sub_mod(a: &Limbs, b: &Limbs, m: &Limbs) -> Limbs {
    let (difference, borrow) = sub_borrow(a, b);
    let mask = 0_u64.wrapping_sub(u64::from(borrow));
    add_carry(&difference, &[m[0] & mask, m[1] & mask, m[2] & mask, m[3] & mask]).0
}

/// a·b.
#[inline(always)]
pub(crate) fn mul_wide(a: &Limbs, b: &Limbs) -> [u64; 8] {
    let mut wide = [0; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            (wide[i + j], carry) = mul_add(wide[i + j], a[i], b[j], carry);
        }
        wide[i + 4] = carry;
    }
    wide
}

/// a²: the six mixed products once, doubled, and the four squares.
#[inline(always)]
pub(crate) fn sqr_wide(a: &Limbs) -> [u64; 8] {
    let mut w = [0; 8];
    let mut carry;
    (w[1], carry) = mul_add(0, a[0], a[1], 0);
    (w[2], carry) = mul_add(0, a[0], a[2], carry);
    (w[3], carry) = mul_add(0, a[0], a[3], carry);
    w[4] = carry;
    (w[3], carry) = mul_add(w[3], a[1], a[2], 0);
    (w[4], carry) = mul_add(w[4], a[1], a[3], carry);
    w[5] = carry;
    (w[5], carry) = mul_add(w[5], a[2], a[3], 0);
    w[6] = carry;
    w[7] = w[6] >> 63;
    for i in (2..7).rev() {
        w[i] = w[i] << 1 | w[i - 1] >> 63;
    }
    w[1] <<= 1;
    let mut overflow = false;
    for i in 0..4 {
        let (low, high) = mul_add(0, a[i], a[i], 0);
        (w[2 * i], overflow) = w[2 * i].carrying_add(low, overflow);
        (w[2 * i + 1], overflow) = w[2 * i + 1].carrying_add(high, overflow);
    }
    w
}

/// (k + 2^`bits` − 1) / 2 for odd k < min(2^`bits`, 2^256) and `bits` ≤ 319, as 319 bits: the numerator is even.
pub(crate) fn half_sum(k: &Limbs, bits: usize) -> [u64; 5] {
    debug_assert!(k[0] & 1 == 1 && (1..320).contains(&bits));
    // k − 1 is even and 2^bits is even, so both can be halved alone.
    let mut half = [0; 5];
    for i in 0..4 {
        half[i] = k[i] >> 1 | k.get(i + 1).map_or(0, |next| next << 63);
    }
    let (top, carry) = half[(bits - 1) / 64].overflowing_add(1 << ((bits - 1) % 64));
    half[(bits - 1) / 64] = top;
    debug_assert!(!carry, "k / 2 < 2^255 leaves the added bit free");
    half
}

/// (m + 1) / 4 for m ≡ 3 mod 4.
pub(super) fn quarter_of_successor(m: &Limbs) -> Limbs {
    debug_assert!(m[0] & 3 == 3);
    // m = 4q + 3, so the quotient is q + 1.
    let q = [m[0] >> 2 | m[1] << 62, m[1] >> 2 | m[2] << 62, m[2] >> 2 | m[3] << 62, m[3] >> 2];
    add_carry(&q, &[1, 0, 0, 0]).0
}
