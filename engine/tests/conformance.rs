//! Every scheme, on every backend this machine has, in every batch size, beside good and bad neighbours.
#![allow(missing_docs, reason = "a test")]

mod support;

use assay_engine::scheme;
use assay_engine::{Backend, Job, JwsAlgorithm, Reject, SchemeId, Verdict, verify_now_with};
use support::{Case, Rng, Signer, cases, check, mutate, verdict};

#[test]
fn every_scheme_judges_its_own_cases() {
    let mut rng = Rng::from_env("every_scheme_judges_its_own_cases");
    for row in &scheme::ALL {
        let cases = cases(row.id, &mut rng, 48);
        let signed = Signer::random(row.id, &mut rng).sign(&mut rng, b"neighbour??");
        let (bad, _) = mutate(&mut rng, &signed);
        check(&cases, &bad);
    }
}

/// Attack 31, 32 and 39 at the level of the engine: a mixed batch comes back in order.
#[test]
fn attack_31_mixed_schemes_keep_their_order_and_one_bad_job_stays_alone() {
    let mut rng = Rng::from_env("attack_31");
    let mut mixed: Vec<Case> = scheme::ALL.iter().flat_map(|row| cases(row.id, &mut rng, 40)).collect();
    for _ in 0..3 {
        for index in (1..mixed.len()).rev() {
            mixed.swap(index, rng.below(index + 1));
        }
        let jobs: Vec<_> = mixed.iter().map(|case| case.job.clone()).collect();
        for &backend in Backend::available() {
            let mut out = Vec::new();
            verify_now_with(backend, &jobs, &mut out);
            assert_eq!(out.len(), mixed.len());
            for (case, verdict) in mixed.iter().zip(&out) {
                assert_eq!(verdict.is_valid(), case.valid, "{}", case.what);
            }
        }
    }
    // 999 good jobs and a bad one at a random place.
    let signer = Signer::random(SchemeId::Hs256, &mut rng);
    let mut jobs: Vec<_> = (0..1_000).map(|_| signer.sign(&mut rng, b"the same token")).collect();
    let bad = rng.below(jobs.len());
    jobs[bad] = mutate(&mut rng, &jobs[bad]).0;
    let mut out = Vec::new();
    assay_engine::verify_now(&jobs, &mut out);
    for (position, verdict) in out.iter().enumerate() {
        assert_eq!(verdict.is_valid(), position != bad, "{position}");
    }
}

#[test]
fn an_empty_slice_gives_no_verdicts_and_clears_the_old_ones() {
    let mut out = vec![Verdict::Valid];
    assay_engine::verify_now(&[], &mut out);
    assert!(out.is_empty());
}

/// Attacks 2 and 3: a key works with its own algorithm only, whatever the header says.
#[test]
fn attack_2_and_3_algorithm_and_key_must_fit() {
    let mut rng = Rng::from_env("attack_2_and_3");
    let algorithms =
        [JwsAlgorithm::EdDsa, JwsAlgorithm::Es256, JwsAlgorithm::Es256k, JwsAlgorithm::Hs256, JwsAlgorithm::Rs256];
    for row in &scheme::ALL {
        let signed = Signer::random(row.id, &mut rng).sign(&mut rng, b"message");
        let Job::Jws { alg: own, key, signing_input, signature } = signed else {
            continue;
        };
        for alg in algorithms {
            let job =
                Job::Jws { alg, key: key.clone(), signing_input: signing_input.clone(), signature: signature.clone() };
            let expected = if alg == own { Verdict::Valid } else { Verdict::Invalid(Reject::Algorithm) };
            assert_eq!(verdict(Backend::detect(), &job), expected, "{own:?} as {alg:?}");
            assert_eq!(JwsAlgorithm::from_name(alg.name()), Some(alg));
        }
    }
    for name in ["none", "None", "es256", "ES384", "HS512", "RS384", "PS256", "Ed25519", ""] {
        assert_eq!(JwsAlgorithm::from_name(name), None, "{name}");
    }
}

/// The pool gives the verdicts `verify_now` gives, in the same order.
#[test]
fn the_pool_agrees_with_this_thread() {
    let mut rng = Rng::from_env("the_pool_agrees_with_this_thread");
    let pool = assay_engine::Pool::new(2).expect("threads");
    let mixed: Vec<Case> = scheme::ALL.iter().flat_map(|row| cases(row.id, &mut rng, 60)).collect();
    let jobs: Vec<_> = mixed.iter().map(|case| case.job.clone()).collect();
    let mut here = Vec::new();
    assay_engine::verify_now(&jobs, &mut here);
    let (sender, receiver) = std::sync::mpsc::channel();
    pool.verify(jobs, move |verdicts| {
        sender.send(verdicts).expect("the test waits");
    })
    .expect("room");
    assert_eq!(receiver.recv().expect("an answer"), here);
}

/// Nothing that could be replayed shows in debug output.
#[test]
fn debug_output_shows_no_bytes() {
    let mut rng = Rng::from_env("debug_output_shows_no_bytes");
    for row in &scheme::ALL {
        let job = Signer::random(row.id, &mut rng).sign(&mut rng, b"canary");
        let shown = format!("{job:?}");
        assert_eq!(shown, format!("Job({})", row.name));
        if let Job::Jws { key, .. } = &job {
            assert!(format!("{key:?}").starts_with("VerifyKey("));
        }
    }
}
