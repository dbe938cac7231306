//! The token cache against a model: a map that forgets nothing until told.
#![allow(missing_docs, reason = "a test")]

use std::collections::HashMap;

use assay_engine::token_cache::{KeyTag, TokenCache};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    DropKey(u64),
    Get(u8),
    Insert { token: u8, value: u32, lifetime: u64, key: u64, value_bytes: usize },
    Pass(u64),
    Sweep(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..4_u64).prop_map(Step::DropKey),
        12 => any::<u8>().prop_map(Step::Get),
        12 => (any::<u8>(), any::<u32>(), 0..60_u64, 0..4_u64, 0..300_usize).prop_map(
            |(token, value, lifetime, key, value_bytes)| Step::Insert {
                token,
                value,
                lifetime,
                key,
                value_bytes,
            }
        ),
        4 => (0..10_u64).prop_map(Step::Pass),
        1 => (0..40_usize).prop_map(Step::Sweep),
    ]
}

/// Tokens that are prefixes of one another and differ in the last byte only.
fn token(number: u8) -> Vec<u8> {
    let mut token = vec![b'.'; usize::from(number >> 4) * 20];
    token.push(number);
    token
}

struct Known {
    value: u32,
    expires_at: u64,
    key: u64,
}

fn run(steps: &[Step], bytes_max: usize, forgets: bool) -> Result<(), TestCaseError> {
    let mut cache = TokenCache::new(bytes_max);
    let mut model: HashMap<Vec<u8>, Known> = HashMap::new();
    let mut now = 1_000;
    for step in steps {
        match *step {
            Step::DropKey(key) => {
                cache.drop_key(KeyTag(key));
                model.retain(|_, known| known.key != key);
            }
            Step::Get(number) => {
                let token = token(number);
                let expected = model.get(&token).filter(|known| now < known.expires_at).map(|known| known.value);
                let given = cache.get(&token, now).copied();
                if forgets {
                    prop_assert!(given.is_none() || given == expected);
                } else {
                    prop_assert_eq!(given, expected);
                }
            }
            Step::Insert { token: number, value, lifetime, key, value_bytes } => {
                let token = token(number);
                let expires_at = now + lifetime;
                let taken = cache.insert(&token, value, expires_at, KeyTag(key), value_bytes, now);
                if taken {
                    model.insert(token, Known { value, expires_at, key });
                } else {
                    prop_assert!(forgets || lifetime == 0);
                    model.remove(&token);
                }
            }
            Step::Pass(seconds) => now += seconds,
            Step::Sweep(slots) => cache.sweep(now, slots),
        }
        prop_assert!(cache.bytes() <= bytes_max);
        prop_assert!(forgets || cache.len() <= model.len());
    }
    Ok(())
}

proptest! {
    /// With room for everything the cache is the model.
    #[test]
    fn with_room_it_is_the_model(steps in proptest::collection::vec(step(), 1..400)) {
        run(&steps, 16 << 20, false)?;
    }

    /// Without room it may forget and never invents, outlives or overflows.
    #[test]
    fn without_room_it_only_forgets(
        steps in proptest::collection::vec(step(), 1..400),
        bytes_max in 0..40_000_usize,
    ) {
        run(&steps, bytes_max, true)?;
    }
}
