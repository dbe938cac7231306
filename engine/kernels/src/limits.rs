//! Every bound of the kernels, with its unit in the name.

/// Smallest modulus accepted, in bits (RFC 7518 §3.3).
pub const RSA_MODULUS_BITS_MIN: usize = 2048;
/// Largest modulus accepted, in bits: one verification with it costs about as much as an ECDSA one.
pub const RSA_MODULUS_BITS_MAX: usize = 8192;
/// Largest public exponent accepted, in bits; longer ones only make verification expensive.
pub const RSA_EXPONENT_BITS_MAX: usize = 33;

/// Bytes of tables kept for keys seen often, per curve: 256 keys of 256 KiB.
pub const KEY_TABLES_BYTES_MAX: usize = 64 << 20;

/// Bytes of the second, wider tables of busy keys, per curve: five keys of 2.75 MiB.
pub const WIDE_TABLES_BYTES_MAX: usize = 16 << 20;

/// Eight lanes answer only where a sum takes them at most this part of one lane's time: AWS-LC, which verifies unseen keys
/// on P-256 otherwise, takes 0.8 of it.
pub const EIGHT_LANES_TIME_RATIO_MAX: f64 = 0.75;
