//! Arithmetic mod n, the order of secp256k1, on big-endian bytes: what protocols need before a batch starts.

use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, Scalar};

/// z + r·h mod n. Every input is reduced first.
#[must_use]
pub fn mul_add_mod_n_vartime(r: &[u8; 32], h: &[u8; 32], z: &[u8; 32]) -> [u8; 32] {
    let reduce = |bytes: &[u8; 32]| <Scalar as Reduce<FieldBytes>>::reduce(&(*bytes).into());
    (reduce(z) + reduce(r) * reduce(h)).to_repr().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[31] = value;
        bytes
    }

    #[test]
    fn small_numbers_and_the_wrap_around() {
        assert_eq!(mul_add_mod_n_vartime(&number(3), &number(5), &number(7)), number(22));
        let n_minus_one: [u8; 32] = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140")
            .expect("hex")
            .try_into()
            .expect("32 bytes");
        // (n − 1)² + 0 = 1, and n reduces to 0.
        assert_eq!(mul_add_mod_n_vartime(&n_minus_one, &n_minus_one, &number(0)), number(1));
        let mut n = n_minus_one;
        n[31] += 1;
        assert_eq!(mul_add_mod_n_vartime(&n, &number(9), &number(4)), number(4));
    }
}
