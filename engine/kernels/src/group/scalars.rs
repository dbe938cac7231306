//! The scalars of ECDSA: u1 = z/s and u2 = r/s mod n for many signatures, with one inversion.

use std::marker::PhantomData;

use super::curve::Curve;
use super::lanes::{Lanes, Single, Task};
use super::tree::Steps;
#[cfg(target_arch = "x86_64")]
use crate::avx512::Ifma;
use crate::avx512::Plain;
#[cfg(target_arch = "x86_64")]
use crate::cpu::Avx512Ifma;
use crate::cpu::Width;
use crate::field::{Entry, Limbs, Modulus, Montgomery, from_be_bytes, is_below, is_zero, sub_borrow};

/// Signatures whose scalars are computed sooner in eight lanes than one after the other.
const LANES_TRIPLES_COUNT_MIN: usize = 4;

/// What one signature gives, r and s in 1..n. Pairs of numbers, because that is what lanes load.
struct Triple {
    z_and_r: Entry,
    s_and_s: Entry,
}

/// u1 = z/s and u2 = r/s for each (z, r, s); `None` where r or s is outside 1..n.
pub(super) fn ecdsa_scalars<'a, C: Curve>(
    width: Width,
    numbers: impl ExactSizeIterator<Item = [&'a [u8; 32]; 3]>,
) -> Vec<Option<(Limbs, Limbs)>> {
    let order = <C::Order as Modulus>::LIMBS;
    let nonzero = |bytes| {
        let number = from_be_bytes(bytes);
        (is_below(&number, &order) && !is_zero(&number)).then_some(number)
    };
    let mut scalars = Vec::with_capacity(numbers.len());
    let mut triples = Vec::with_capacity(numbers.len());
    for [z, r, s] in numbers {
        let triple = nonzero(r).zip(nonzero(s)).map(|(r, s)| Triple {
            z_and_r: Entry { x: reduced::<C>(from_be_bytes(z)), y: r },
            s_and_s: Entry { x: s, y: s },
        });
        // The place of what is filled in below.
        scalars.push(triple.as_ref().map(|_| ([0; 4], [0; 4])));
        triples.extend(triple);
    }
    if triples.is_empty() {
        return scalars;
    }
    let quotients = match width {
        // To merge eight lanes before the inversion, and part them after, takes as long as these.
        _ if triples.len() < LANES_TRIPLES_COUNT_MIN => quotients::<Single<Montgomery<C::Order>>>(&triples),
        Width::One => quotients::<Single<Montgomery<C::Order>>>(&triples),
        Width::EightPlain => quotients::<C::EightScalars<Plain>>(&triples),
        #[cfg(target_arch = "x86_64")]
        Width::Eight(witness) => quotients_avx512::<C>(witness, &triples),
        #[cfg(not(target_arch = "x86_64"))]
        Width::Eight(_) => unreachable!("only x86-64 mints the witness"),
    };
    for (scalars, quotients) in scalars.iter_mut().flatten().zip(quotients) {
        *scalars = quotients;
    }
    scalars
}

/// number mod n.
pub(super) fn reduced<C: Curve>(number: Limbs) -> Limbs {
    // n > 2^255.
    let (less, below) = sub_borrow(&number, &C::Order::LIMBS);
    if below { number } else { less }
}

/// [`quotients`] by the instructions, which the witness says are there.
#[cfg(target_arch = "x86_64")]
fn quotients_avx512<C: Curve>(_: Avx512Ifma, triples: &[Triple]) -> Vec<(Limbs, Limbs)> {
    quotients::<C::EightScalars<Ifma>>(triples)
}

/// z/s and r/s of each.
fn quotients<L: Lanes>(triples: &[Triple]) -> Vec<(Limbs, Limbs)> {
    L::enter(Quotients { triples, lanes: PhantomData::<L> })
}

struct Quotients<'a, L> {
    triples: &'a [Triple],
    lanes: PhantomData<L>,
}

impl<L: Lanes> Task for Quotients<'_, L> {
    type Output = Vec<(Limbs, Limbs)>;

    #[inline(always)]
    fn run(self) -> Vec<(Limbs, Limbs)> {
        let Self { triples, .. } = self;
        // Idle lanes repeat the last triple.
        let at = |first: usize, lane: usize| &triples[(first + lane).min(triples.len() - 1)];
        // Numbers are taken as they stand, which lanes that keep x·2^256 read as so many 2^256ths: all alike, so that the
        // quotients are what they are.
        let mut steps = Steps::<L>::new(triples.len().div_ceil(L::COUNT));
        for first in (0..triples.len()).step_by(L::COUNT) {
            let (s, _) = L::load(
                #[inline(always)]
                |lane| &at(first, lane).s_and_s,
            );
            steps.push(s.factor(), 0);
        }
        steps.invert();
        let mut quotients = vec![([0; 4], [0; 4]); triples.len()];
        for (vector, quotients) in quotients.chunks_mut(L::COUNT).enumerate().rev() {
            let first = vector * L::COUNT;
            let inverse = steps.pop();
            let (z, r) = L::load(
                #[inline(always)]
                |lane| &at(first, lane).z_and_r,
            );
            let (u1, u2) = (z.mul(inverse).numbers(), r.mul(inverse).numbers());
            for (quotients, (u1, u2)) in quotients.iter_mut().zip(u1.as_ref().iter().zip(u2.as_ref())) {
                *quotients = (*u1, *u2);
            }
        }
        quotients
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::{P256, Secp256k1};
    use super::*;
    use crate::field::Field;

    /// A zero or an overlong number stays out of the shared inversion: its neighbours' scalars are what they are alone.
    fn check<C: Curve>(width: Width) {
        let order = C::Order::LIMBS;
        let bytes = |limbs: &Limbs| -> [u8; 32] {
            let reversed = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes());
            reversed.collect::<Vec<_>>().try_into().expect("32 bytes")
        };
        let scalar = |limbs: &[u8; 32]| Montgomery::<C::Order>::reduced(from_be_bytes(limbs));
        let bad = [[0; 32], bytes(&order), [0xff; 32]];
        let last = bytes(&sub_borrow(&order, &[1, 0, 0, 0]).0);
        let [a, b, z] = [[0x5a; 32], [0x33; 32], [0xff; 32]];
        let good = [[&z, &a, &b], [&bad[0], &b, &a], [&a, &last, &last], [&last, &b, &last], [&bad[1], &a, &a]];
        for count in 1..40 {
            let triples: Vec<_> = (0..count)
                .map(|index: usize| match index % 7 {
                    5 => [&z, &a, &bad[index % 3]],
                    6 => [&z, &bad[index % 3], &a],
                    place => good[place],
                })
                .collect();
            let scalars = ecdsa_scalars::<C>(width, triples.iter().copied());
            assert_eq!(scalars.len(), count);
            for (index, ([z, r, s], scalars)) in triples.into_iter().zip(scalars).enumerate() {
                assert_eq!(scalars.is_some(), index % 7 < 5, "{index} of {count}");
                if let Some((u1, u2)) = scalars {
                    let inverse = scalar(s).inverse_vartime();
                    assert_eq!(u1, scalar(z).mul(inverse).to_limbs(), "z/s, {index} of {count}");
                    assert_eq!(u2, scalar(r).mul(inverse).to_limbs(), "r/s, {index} of {count}");
                }
            }
        }
        assert!(ecdsa_scalars::<C>(width, std::iter::empty()).is_empty());
        assert!(ecdsa_scalars::<C>(width, bad.iter().map(|bad| [&z, bad, &a])).iter().all(Option::is_none));
    }

    #[test]
    fn malformed_numbers_leave_the_other_scalars_alone() {
        let wide = crate::cpu::detect().avx512_ifma.map(Width::Eight);
        for width in [Width::One, Width::EightPlain].into_iter().chain(wide) {
            check::<Secp256k1>(width);
            check::<P256>(width);
        }
    }
}
