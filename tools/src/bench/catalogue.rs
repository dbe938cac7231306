//! Every operation, who competes in it, and which of them a filter asks for.

use super::group::{Group, Key, Pool};
use super::{jws_schemes, jwt_decode, secp256k1_schemes};
use crate::failure::Failure;

/// One row: an operation with cold or hot keys.
pub(crate) struct Entry {
    /// As `--json` names it.
    pub(crate) operation: &'static str,
    /// Whether the engine may know the key.
    pub(crate) key: Key,
    /// Who competes, ours first.
    pub(crate) backends: &'static [&'static str],
    /// A shortcoming or a peculiarity that a reader of the figures must know.
    pub(crate) note: &'static str,
    /// Makes the signatures.
    pub(crate) build: fn(&Pool) -> Group,
}

const SECP256K1: &[&str] = &["assay", "libsecp256k1", "k256"];
const JWT: &[&str] = &["assay", "jsonwebtoken"];
const JWS: &[&str] = &["assay", "aws-lc-rs", "ring"];

const fn entry(
    operation: &'static str,
    key: Key,
    backends: &'static [&'static str],
    build: fn(&Pool) -> Group,
) -> Entry {
    Entry { operation, key, backends, note: "", build }
}

/// In the order they are measured.
pub(crate) static ALL: [Entry; 21] = [
    entry("ecdsa-secp256k1-verify", Key::Cold, SECP256K1, secp256k1_schemes::ecdsa),
    entry("ecdsa-secp256k1-verify", Key::Hot, SECP256K1, secp256k1_schemes::ecdsa),
    entry("ecdsa-secp256k1-verify-parse33", Key::Cold, SECP256K1, secp256k1_schemes::ecdsa_parse33),
    entry("ecdsa-secp256k1-verify-parse33", Key::Hot, SECP256K1, secp256k1_schemes::ecdsa_parse33),
    entry("ecdsa-secp256k1-recover", Key::Any, SECP256K1, secp256k1_schemes::recover),
    entry("bip340-verify", Key::Cold, SECP256K1, secp256k1_schemes::bip340),
    entry("bip340-verify", Key::Hot, SECP256K1, secp256k1_schemes::bip340),
    entry("bsm-verify", Key::Cold, SECP256K1, secp256k1_schemes::bsm),
    entry("bsm-verify", Key::Hot, SECP256K1, secp256k1_schemes::bsm),
    entry("brc77-verify", Key::Cold, SECP256K1, secp256k1_schemes::brc77),
    entry("brc77-verify", Key::Hot, SECP256K1, secp256k1_schemes::brc77),
    entry("es256-verify", Key::Cold, &["assay", "aws-lc-rs", "ring", "p256"], jws_schemes::es256),
    entry("es256-verify", Key::Hot, &["assay", "aws-lc-rs", "ring", "p256"], jws_schemes::es256),
    entry("es256k-verify", Key::Hot, &["assay", "libsecp256k1", "aws-lc-rs", "k256"], jws_schemes::es256k),
    entry("eddsa-verify", Key::Any, JWS, jws_schemes::eddsa),
    entry("rs256-verify", Key::Any, JWS, jws_schemes::rs256),
    entry("hs256-verify", Key::Any, JWS, jws_schemes::hs256),
    entry("jwt-es256-decode", Key::Hot, JWT, jwt_decode::es256),
    entry("jwt-rs256-decode", Key::Any, JWT, jwt_decode::rs256),
    entry("jwt-eddsa-decode", Key::Any, JWT, jwt_decode::eddsa),
    Entry {
        note: "the server takes no HS256 tokens: this is its path put together for them",
        ..entry("jwt-hs256-decode", Key::Any, JWT, jwt_decode::hs256)
    },
];

/// A row with the backends that were asked for.
pub(crate) struct Chosen {
    /// Its place in [`ALL`].
    pub(crate) index: usize,
    /// In the order of [`ALL`].
    pub(crate) backends: Vec<&'static str>,
}

impl Chosen {
    /// The row.
    pub(crate) fn entry(&self) -> &'static Entry {
        &ALL[self.index]
    }
}

/// What a filter matches: every backend of an operation whose name holds the text, or else the backends whose name does.
/// A cold or hot row is asked for with a slash: `es256-verify/hot`.
pub(crate) fn choose(filter: Option<&str>) -> Result<Vec<Chosen>, Failure> {
    let filter = filter.unwrap_or_default();
    let choose = |(index, entry): (usize, &'static Entry)| {
        let is_operation = format!("{}/{}", entry.operation, entry.key.name()).contains(filter);
        let backends: Vec<_> =
            entry.backends.iter().copied().filter(|backend| is_operation || backend.contains(filter)).collect();
        (!backends.is_empty()).then_some(Chosen { index, backends })
    };
    let chosen: Vec<Chosen> = ALL.iter().enumerate().filter_map(choose).collect();
    if chosen.is_empty() {
        let names = |names: &mut dyn Iterator<Item = &'static str>| {
            let mut unique: Vec<&str> = Vec::new();
            names.for_each(|name| {
                if !unique.contains(&name) {
                    unique.push(name)
                }
            });
            unique.join(", ")
        };
        return Err(Failure::Usage(format!(
            "--filter {filter:?} matches nothing; operations: {}; backends: {}",
            names(&mut ALL.iter().map(|entry| entry.operation)),
            names(&mut ALL.iter().flat_map(|entry| entry.backends.iter().copied())),
        )));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every contestant of every operation, on a small pool, valid and broken: each verdict is right.
    #[test]
    fn everybody_judges_rightly() {
        for (index, entry) in ALL.iter().enumerate() {
            let domain = u32::try_from(index).expect("a few");
            let group = (entry.build)(&Pool { seed: 1, domain, count: 24, key: entry.key });
            let names: Vec<_> = group.contestants.iter().map(|contestant| contestant.backend).collect();
            assert_eq!(names, entry.backends, "{}", entry.operation);
            assert!(group.expected.contains(&true) && group.expected.contains(&false));
            for contestant in &group.contestants {
                let mut verdicts = Vec::new();
                contestant.judge(0..1, &mut verdicts);
                contestant.judge(1..24, &mut verdicts);
                assert_eq!(verdicts, group.expected, "{} {}", entry.operation, contestant.backend);
            }
        }
    }

    #[test]
    fn filters_match_operations_or_backends() {
        let check = |filter, rows: usize, backends: usize| {
            let chosen = choose(Some(filter)).expect("it matches");
            let counted: usize = chosen.iter().map(|chosen| chosen.backends.len()).sum();
            assert_eq!((chosen.len(), counted), (rows, backends), "{filter}");
        };
        check("", ALL.len(), ALL.iter().map(|entry| entry.backends.len()).sum());
        check("es256-verify", 2, 8);
        check("es256-verify/hot", 1, 4);
        check("jwt-", 4, 8);
        check("jsonwebtoken", 4, 4);
        let Err(failure) = choose(Some("nonsense")) else { panic!("it matched") };
        assert!(failure.to_string().contains("brc77-verify") && failure.to_string().contains("ring"));
    }
}
