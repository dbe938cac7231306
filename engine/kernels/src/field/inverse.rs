//! The inverse mod an odd number, in variable time, by division steps.
//!
//! Source: D. J. Bernstein, B.-Y. Yang, "Fast constant-time gcd computation and modular inversion" (2019), §8, and the
//! variable-time form with signed 62-bit limbs that libsecp256k1's `doc/safegcd_implementation.md` derives. 62 steps
//! look only at the lowest words of f and g; their product is a 2×2 matrix, applied to f, g (exactly divisible by
//! 2^62) and to d, e (made divisible by adding multiples of m). Throughout d·x ≡ f and e·x ≡ g mod m.

use super::limbs::Limbs;

/// 310 bits, two's complement in limbs of 62: value = Σ limb·2^(62·i), low four in 0..2^62, the top one signed.
type Signed62 = [i64; 5];

const MASK: i64 = (1 << 62) - 1;

/// An odd modulus, prepared for [`inverse_vartime`].
pub(super) struct InverseModulus {
    m: Signed62,
    /// m^−1 mod 2^62.
    m_inverse: i64,
}

impl InverseModulus {
    /// `m` is odd.
    pub(super) const fn new(m: &Limbs) -> Self {
        // Newton: each round doubles the number of correct bits, starting from 3 (m·m ≡ 1 mod 8).
        let mut inverse = m[0];
        let mut round = 0;
        while round < 5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(m[0].wrapping_mul(inverse)));
            round += 1;
        }
        Self { m: to_signed62(m), m_inverse: inverse as i64 & MASK }
    }
}

const fn to_signed62(a: &Limbs) -> Signed62 {
    [
        a[0] as i64 & MASK,
        (a[0] >> 62 | a[1] << 2) as i64 & MASK,
        (a[1] >> 60 | a[2] << 4) as i64 & MASK,
        (a[2] >> 58 | a[3] << 6) as i64 & MASK,
        (a[3] >> 56) as i64,
    ]
}

/// The number, which is in 0..2^256.
fn to_limbs(a: &Signed62) -> Limbs {
    let limb = a.map(i64::cast_unsigned);
    [limb[0] | limb[1] << 62, limb[1] >> 2 | limb[2] << 60, limb[2] >> 4 | limb[3] << 58, limb[3] >> 6 | limb[4] << 56]
}

/// Sixty-two division steps: (f, g)·2^62 = ((u, v), (q, r)) · (f, g) before; |u| + |v| ≤ 2^62, likewise q and r.
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// x^−1 mod m for x < m; 0 for x = 0. m is prime here, so nothing else lacks an inverse.
pub(super) fn inverse_vartime(x: &Limbs, modulus: &InverseModulus) -> Limbs {
    let (mut d, mut e) = ([0; 5], [1, 0, 0, 0, 0]);
    let (mut f, mut g) = (modulus.m, to_signed62(x));
    let mut eta = -1;
    while g != [0; 5] {
        let steps = divsteps(&mut eta, f[0], g[0]);
        update_de(&mut d, &mut e, &steps, modulus);
        update_fg(&mut f, &mut g, &steps);
    }
    // f = ±gcd. d in (−2m, m); the sign of f moves it to (−m, 2m).
    if f[4] < 0 {
        d = combine(&d, -1, &[0; 5], 0);
    }
    while d[4] < 0 {
        d = combine(&d, 1, &modulus.m, 1);
    }
    loop {
        let less = combine(&d, 1, &modulus.m, -1);
        if less[4] < 0 {
            return to_limbs(&d);
        }
        d = less;
    }
}

fn divsteps(eta: &mut i64, f: i64, g: i64) -> Steps {
    let (mut f, mut g) = (f.cast_unsigned(), g.cast_unsigned());
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let mut left = 62;
    loop {
        // All steps on an even g are shifts. The mask stops the count at the steps that are left.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // Until eta turns negative the next steps add f to g or not, so up to 6 of them become one w·f. w is chosen so
        // that the low bits of g vanish: w = −g / f mod 2^bits, and f·(2 − f·f) inverts odd f mod 2^6.
        let bits = left.min(u32::try_from(*eta + 1).unwrap_or(u32::MAX)).min(6);
        let f_inverse = f.wrapping_mul(2_u64.wrapping_sub(f.wrapping_mul(f)));
        let w = f_inverse.wrapping_mul(g).wrapping_neg() & ((1 << bits) - 1);
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
    Steps { u: u.cast_signed(), v: v.cast_signed(), q: q.cast_signed(), r: r.cast_signed() }
}

/// a·x + b·y for |a|, |b| ≤ 2^62.
fn product(a: i64, x: i64, b: i64, y: i64) -> i128 {
    i128::from(a) * i128::from(x) + i128::from(b) * i128::from(y)
}

fn low(sum: i128) -> i64 {
    sum as i64 & MASK
}

/// a·x + b·y of small factors a and b.
fn combine(x: &Signed62, a: i64, y: &Signed62, b: i64) -> Signed62 {
    let mut result = [0; 5];
    let mut sum = 0;
    for i in 0..4 {
        sum += product(a, x[i], b, y[i]);
        result[i] = low(sum);
        sum >>= 62;
    }
    sum += product(a, x[4], b, y[4]);
    result[4] = i64::try_from(sum).expect("a few times the modulus");
    result
}

/// (f, g) ← (u·f + v·g, q·f + r·g) / 2^62.
fn update_fg(f: &mut Signed62, g: &mut Signed62, steps: &Steps) {
    let mut sum_f = product(steps.u, f[0], steps.v, g[0]);
    let mut sum_g = product(steps.q, f[0], steps.r, g[0]);
    debug_assert!(low(sum_f) == 0 && low(sum_g) == 0, "62 steps clear 62 bits");
    for i in 1..5 {
        sum_f = (sum_f >> 62) + product(steps.u, f[i], steps.v, g[i]);
        sum_g = (sum_g >> 62) + product(steps.q, f[i], steps.r, g[i]);
        f[i - 1] = low(sum_f);
        g[i - 1] = low(sum_g);
    }
    f[4] = (sum_f >> 62) as i64;
    g[4] = (sum_g >> 62) as i64;
}

/// (d, e) ← (u·d + v·e, q·d + r·e) / 2^62 mod m. Keeps d and e in (−2m, m).
fn update_de(d: &mut Signed62, e: &mut Signed62, steps: &Steps, modulus: &InverseModulus) {
    let m = &modulus.m;
    // m is added once for each negative factor, which holds the range, and then as often as clears the low limb.
    let (d_sign, e_sign) = (d[4] >> 63, e[4] >> 63);
    let mut d_multiple = (steps.u & d_sign) + (steps.v & e_sign);
    let mut e_multiple = (steps.q & d_sign) + (steps.r & e_sign);
    let mut sum_d = product(steps.u, d[0], steps.v, e[0]);
    let mut sum_e = product(steps.q, d[0], steps.r, e[0]);
    d_multiple -= modulus.m_inverse.wrapping_mul(sum_d as i64).wrapping_add(d_multiple) & MASK;
    e_multiple -= modulus.m_inverse.wrapping_mul(sum_e as i64).wrapping_add(e_multiple) & MASK;
    sum_d += i128::from(m[0]) * i128::from(d_multiple);
    sum_e += i128::from(m[0]) * i128::from(e_multiple);
    debug_assert!(low(sum_d) == 0 && low(sum_e) == 0, "the multiples were chosen for this");
    for i in 1..5 {
        sum_d = (sum_d >> 62) + product(steps.u, d[i], steps.v, e[i]) + i128::from(m[i]) * i128::from(d_multiple);
        sum_e = (sum_e >> 62) + product(steps.q, d[i], steps.r, e[i]) + i128::from(m[i]) * i128::from(e_multiple);
        d[i - 1] = low(sum_d);
        e[i - 1] = low(sum_e);
    }
    d[4] = (sum_d >> 62) as i64;
    e[4] = (sum_e >> 62) as i64;
}
