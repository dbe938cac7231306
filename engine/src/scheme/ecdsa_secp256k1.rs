//! Bare ECDSA over secp256k1 (SEC 1 §4.1.4), for callers that hash for themselves.
//!
//! Compact signatures are 64 bytes. DER is strict (X.690, as BIP-66 spells it out): short-form lengths, minimal
//! non-negative integers, no byte after the second one. Whether s > n/2 is acceptable is said by each job.

use assay_kernels::Backend;
use assay_kernels::job::EcdsaSecp256k1Job;

use super::{run, scalar, split_compact};
use crate::error::{Reject, Verdict};
use crate::job::{EcdsaSignature, HighS, Job};
use crate::key::Inner;

/// The order n of secp256k1 (SEC 2 §2.4.1).
pub(super) const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// (n − 1) / 2, the largest low S.
const ORDER_HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

pub(super) fn verify_batch(backend: Backend, jobs: &[&Job], verdicts: &mut [Verdict]) {
    run(jobs, verdicts, parse, |jobs, matches| {
        assay_kernels::verify_ecdsa_secp256k1_vartime(backend, jobs, matches);
    });
}

fn parse(job: &Job) -> Result<EcdsaSecp256k1Job, Reject> {
    let Job::EcdsaSecp256k1 { key, msg_hash, signature, high_s } = job else {
        return Err(Reject::Algorithm);
    };
    let Inner::Secp256k1(public_key) = key.inner() else {
        return Err(Reject::Algorithm);
    };
    let (r, s) = match signature {
        EcdsaSignature::Compact(compact) => split_compact(compact, &ORDER)?,
        EcdsaSignature::Der(der) => parse_der(der, SignPad::Required)?,
    };
    if *high_s == HighS::Refuse && s > ORDER_HALF {
        return Err(Reject::HighS);
    }
    Ok(EcdsaSecp256k1Job { public_key: *public_key, msg_hash: *msg_hash, r, s })
}

/// How an integer whose first bit is set must be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignPad {
    /// A missing zero octet is read as if it were there, as the npm signers' library does.
    Optional,
    /// A zero octet comes first, as DER says.
    Required,
}

/// Reads `SEQUENCE { INTEGER r, INTEGER s }` that fills `der` exactly.
///
/// Lengths are short form. A leading zero octet is allowed only where it keeps the number from looking negative.
pub(super) fn parse_der(der: &[u8], sign_pad: SignPad) -> Result<([u8; 32], [u8; 32]), Reject> {
    let [0x30, length, body @ ..] = der else {
        return Err(Reject::MalformedDer);
    };
    // Long form starts at 0x80, and no body that short-form bounds allow is longer than 0x7f.
    if *length >= 0x80 || usize::from(*length) != body.len() {
        return Err(Reject::MalformedDer);
    }
    let (r, rest) = split_integer(body, sign_pad)?;
    let (s, rest) = split_integer(rest, sign_pad)?;
    if !rest.is_empty() {
        return Err(Reject::MalformedDer);
    }
    Ok((magnitude(r)?, magnitude(s)?))
}

/// Splits one INTEGER off and returns its octets without the pad.
fn split_integer(input: &[u8], sign_pad: SignPad) -> Result<(&[u8], &[u8]), Reject> {
    let [0x02, length, rest @ ..] = input else {
        return Err(Reject::MalformedDer);
    };
    if *length >= 0x80 {
        return Err(Reject::MalformedDer);
    }
    let (octets, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Reject::MalformedDer)?;
    let magnitude = match octets {
        [] => return Err(Reject::MalformedDer),
        [0, second, ..] if *second & 0x80 != 0 => &octets[1..],
        // The integer 0 is well-formed DER; it fails the range check, not this one. Any other zero is excess pad.
        [0] if sign_pad == SignPad::Required => octets,
        [0, ..] => return Err(Reject::MalformedDer),
        [first, ..] if *first & 0x80 != 0 && sign_pad == SignPad::Required => {
            return Err(Reject::MalformedDer);
        }
        _ => octets,
    };
    Ok((magnitude, rest))
}

/// Right-aligns up to 32 octets and checks 1..n.
fn magnitude(octets: &[u8]) -> Result<[u8; 32], Reject> {
    let offset = 32_usize.checked_sub(octets.len()).ok_or(Reject::MalformedSignature)?;
    let mut bytes = [0; 32];
    bytes[offset..].copy_from_slice(octets);
    scalar(&bytes, &ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hex: &str, strict: Result<(), Reject>, lenient: Result<(), Reject>) {
        let der = hex::decode(hex).expect("hex");
        assert_eq!(parse_der(&der, SignPad::Required).map(drop), strict, "strict {hex}");
        assert_eq!(parse_der(&der, SignPad::Optional).map(drop), lenient, "lenient {hex}");
    }

    #[test]
    fn der_rules() {
        let bad = Err(Reject::MalformedDer);
        let range = Err(Reject::MalformedSignature);
        check("3006020101020101", Ok(()), Ok(()));
        // The pad is missing: only the lenient reading takes it.
        check("3006020181020101", bad, Ok(()));
        check("300702020081020101", Ok(()), Ok(()));
        // Over-padded, empty and zero integers.
        check("300702020001020101", bad, bad);
        check("30080203000081020101", bad, bad);
        check("30050200020101", bad, bad);
        check("3006020100020101", range, bad);
        check("3006020101020100", range, bad);
        // Long-form lengths, outside and inside.
        check("308106020101020101", bad, bad);
        check("300702810101020101", bad, bad);
        check("3080020101020101", bad, bad);
        // Trailing and missing bytes, wrong tags.
        check("300602010102010100", bad, bad);
        check("300702010102010100", bad, bad);
        check("3007020101020101", bad, bad);
        check("30060201010201", bad, bad);
        check("3106020101020101", bad, bad);
        check("3006030101020101", bad, bad);
        check("3006020101030101", bad, bad);
        check("3003020101", bad, bad);
        check("3000", bad, bad);
        check("30", bad, bad);
        check("", bad, bad);
        // 33 significant octets are well-formed and out of range.
        let long = format!("3026{}{}", format_args!("0221{}", "01".repeat(33)), "020101");
        check(&long, range, range);
    }

    #[test]
    fn half_the_order_is_half_the_order() {
        // 2 · ORDER_HALF + 1 = n.
        let mut carry = 1;
        let mut doubled = [0; 32];
        for index in (0..32).rev() {
            let sum = 2 * u16::from(ORDER_HALF[index]) + carry;
            doubled[index] = sum.to_be_bytes()[1];
            carry = sum >> 8;
        }
        assert_eq!((doubled, carry), (ORDER, 0));
    }
}
