//! How much does the backend gain over the best library, per operation and batch size?
//!
//! `cargo bench -p assay-engine --bench kernels [-- --json] [--rounds N]`. One process, one pinned core; each round
//! times the library and the backend in turn, on signatures no other round of its row uses, and asserts every verdict.
//! The ratio is of medians: below 1 the backend is faster. Hot rows use 16 keys with tables, unseen rows a new key per
//! signature, busy ones 4 keys with wide tables. The last row of a curve is the price of one key's table beside one verification by the library.
//!
//! Every backend of this machine is measured. Under `scripts/avx512-emulated.sh bench` the clock counts instructions
//! instead of time.
#![allow(missing_docs, reason = "a program")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use assay_engine::Backend;
use assay_kernels::job::{
    Bip340Job, EcdsaP256Job, EcdsaSecp256k1CompressedJob, EcdsaSecp256k1Job, RecoverSecp256k1Job,
};
use assay_kernels::key::{P256PublicKey, Secp256k1PublicKey, XOnlyPublicKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use support::{Rng, Secp256k1};

// The binary's. With the system's, lists of this size go back to the system after every batch, and their pages have to be
// fetched anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keys of the hot rows.
const HOT_KEYS_COUNT: usize = 16;
/// Keys of the busy rows, which have wide tables.
const BUSY_KEYS_COUNT: usize = 4;
/// Largest batch: each round takes so many signatures of its own.
const BATCH_MAX: usize = 256;

struct Options {
    json: bool,
    rounds: usize,
}

struct Row {
    backend: &'static str,
    operation: &'static str,
    batch: usize,
    library: &'static str,
    library_ns: f64,
    backend_ns: f64,
}

/// Whether all jobs came out as they must.
type Run<'a, J> = &'a dyn Fn(Backend, &[J]) -> bool;

/// One way of answering `jobs`, and the library's way, which is the portable backend: one call each, key parsed unless
/// the operation says otherwise.
struct Question<'a, J> {
    operation: &'static str,
    library: &'static str,
    run: Run<'a, J>,
}

/// A batch function as a [`Run`].
fn all<J>(verify: impl Fn(Backend, &[J], &mut [bool])) -> impl Fn(Backend, &[J]) -> bool {
    move |backend, jobs| {
        let mut verdicts = vec![false; jobs.len()];
        verify(backend, jobs, &mut verdicts);
        verdicts.into_iter().all(|verdict| verdict)
    }
}

fn measure<J>(question: &Question<'_, J>, backend: Backend, batch: usize, jobs: &[J], rounds: usize) -> Row {
    let time = |backend, jobs: &[J]| {
        let started = Instant::now();
        let right = (question.run)(backend, black_box(jobs));
        let elapsed = started.elapsed();
        assert!(right, "{}", question.operation);
        elapsed.as_secs_f64() * 1e9 / jobs.len() as f64
    };
    let mut windows = jobs.chunks_exact(batch);
    let (mut library, mut own) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let window = windows.next().expect("a window per round");
        if round % 2 == 0 {
            library.push(time(Backend::Portable, window));
            own.push(time(backend, window));
        } else {
            own.push(time(backend, window));
            library.push(time(Backend::Portable, window));
        }
    }
    Row {
        backend: backend.name(),
        operation: question.operation,
        batch,
        library: question.library,
        library_ns: median(&mut library),
        backend_ns: median(&mut own),
    }
}

/// A table for each of `keys`, and a verification of each of `jobs` by the library.
fn measure_tables<K, J>(
    question: &Question<'_, J>,
    backend: Backend,
    keys: &[K],
    prepare: impl Fn(Backend, &K) -> bool,
    release: impl Fn(&K),
    jobs: &[J],
) -> Row {
    let (mut library, mut own) = (Vec::new(), Vec::new());
    for (key, job) in keys.iter().zip(jobs) {
        let started = Instant::now();
        assert!(prepare(backend, black_box(key)), "room for a table");
        own.push(started.elapsed().as_secs_f64() * 1e9);
        release(key);
        let started = Instant::now();
        black_box((question.run)(Backend::Portable, black_box(std::slice::from_ref(job))));
        library.push(started.elapsed().as_secs_f64() * 1e9);
    }
    Row {
        backend: backend.name(),
        operation: question.operation,
        batch: 1,
        library: question.library,
        library_ns: median(&mut library),
        backend_ns: median(&mut own),
    }
}

/// Uses each of these jobs' keys, which have tables, until it has a wide one.
fn make_busy<J: Copy>(question: &Question<'_, J>, backend: Backend, jobs: &[J]) {
    for &job in jobs {
        let mut widened = 0;
        for _ in 0..20 {
            for _ in 0..20 {
                assert!((question.run)(backend, &[job; BATCH_MAX]), "{}", question.operation);
            }
            widened = assay_kernels::widen_busiest_keys(backend);
            if widened > 0 {
                break;
            }
        }
        assert!(widened > 0, "{}", question.operation);
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn ecdsa_job(rng: &mut Rng, pair: &Secp256k1) -> EcdsaSecp256k1Job {
    let msg_hash = rng.bytes();
    let compact = pair.sign(msg_hash).serialize_compact();
    let (r, s) = halves(&compact);
    let public_key = Secp256k1PublicKey::from_compressed(&pair.public).expect("a derived key is a key");
    EcdsaSecp256k1Job { public_key, msg_hash, r, s }
}

fn halves(compact: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (r, s) = compact.split_first_chunk().expect("64 ≥ 32");
    (*r, s.try_into().expect("64 − 32 = 32"))
}

fn es256_job<'k>(rng: &mut Rng, pair: &p256::ecdsa::SigningKey, public_key: &'k P256PublicKey) -> EcdsaP256Job<'k> {
    let msg_hash: [u8; 32] = rng.bytes();
    let signature: p256::ecdsa::Signature = pair.sign_prehash(&msg_hash).expect("a prehash");
    let (r, s) = halves(&signature.to_bytes().into());
    EcdsaP256Job { public_key, msg_hash, r, s }
}

fn p256_public(pair: &p256::ecdsa::SigningKey) -> P256PublicKey {
    P256PublicKey::from_sec1(&pair.verifying_key().to_sec1_point(false).to_bytes()).expect("a derived key is a key")
}

fn secp256k1_rows(backend: Backend, rng: &mut Rng, rounds: usize, rows: &mut Vec<Row>) {
    let run: Run<'_, EcdsaSecp256k1Job> = &all(assay_kernels::verify_ecdsa_secp256k1_vartime);
    let pairs: Vec<_> = (0..HOT_KEYS_COUNT).map(|_| Secp256k1::random(rng)).collect();
    for pair in &pairs {
        let key = Secp256k1PublicKey::from_compressed(&pair.public).expect("a derived key is a key");
        assay_kernels::prepare_secp256k1_key(backend, &key);
    }
    let hot: Vec<_> = (0..rounds * BATCH_MAX).map(|i| ecdsa_job(rng, &pairs[i % HOT_KEYS_COUNT])).collect();
    let question = Question { operation: "secp256k1 ECDSA, hot key", library: "libsecp256k1", run };
    for batch in [256, 64, 16, 8, 4, 2, 1] {
        rows.push(measure(&question, backend, batch, &hot, rounds));
    }
    let busy: Vec<_> = (0..rounds * BATCH_MAX).map(|i| ecdsa_job(rng, &pairs[i % BUSY_KEYS_COUNT])).collect();
    let question = Question { operation: "secp256k1 ECDSA, busy key", library: "libsecp256k1", run };
    make_busy(&question, backend, &busy[..BUSY_KEYS_COUNT]);
    for batch in [256, 64, 8, 1] {
        rows.push(measure(&question, backend, batch, &busy, rounds));
    }
    // Three of four by busy keys.
    let key = |i: usize| {
        if i.is_multiple_of(4) { BUSY_KEYS_COUNT + i / 4 % (HOT_KEYS_COUNT - BUSY_KEYS_COUNT) } else { i % 4 }
    };
    let mixed: Vec<_> = (0..rounds * BATCH_MAX).map(|i| ecdsa_job(rng, &pairs[key(i)])).collect();
    let question = Question { operation: "secp256k1 ECDSA, busy keys and hot ones", library: "libsecp256k1", run };
    for batch in [256, 64, 16] {
        rows.push(measure(&question, backend, batch, &mixed, rounds));
    }
    let question = Question { operation: "secp256k1 ECDSA, key unseen", library: "libsecp256k1", run };
    let mut unseen = Vec::with_capacity(rounds * BATCH_MAX);
    for _ in 0..rounds * BATCH_MAX {
        let pair = Secp256k1::random(rng);
        unseen.push(ecdsa_job(rng, &pair));
    }
    for batch in [256, 64, 16, 8, 4, 2, 1] {
        rows.push(measure(&question, backend, batch, &unseen, rounds));
    }
    let compressed: Vec<_> = unseen
        .iter()
        .map(|&EcdsaSecp256k1Job { public_key, msg_hash, r, s }| EcdsaSecp256k1CompressedJob {
            public_key: public_key.to_compressed(),
            msg_hash,
            r,
            s,
        })
        .collect();
    let parse_and_run: Run<'_, EcdsaSecp256k1CompressedJob> =
        &all(assay_kernels::verify_ecdsa_secp256k1_compressed_vartime);
    let operation = "the same, key of 33 bytes parsed";
    let question = Question { operation, library: "libsecp256k1", run: parse_and_run };
    for batch in [256, 8, 1] {
        rows.push(measure(&question, backend, batch, &compressed, rounds));
    }
    let question = Question { operation: "secp256k1, table of a key", library: "libsecp256k1", run };
    let keys: Vec<_> = (0..rounds).map(|_| Secp256k1::random(rng)).collect();
    let parse = |pair: &Secp256k1| Secp256k1PublicKey::from_compressed(&pair.public).expect("a derived key is a key");
    let keys: Vec<_> = keys.iter().map(parse).collect();
    let (prepare, release) = (assay_kernels::prepare_secp256k1_key, assay_kernels::release_secp256k1_key);
    rows.push(measure_tables(&question, backend, &keys, prepare, release, &hot));
}

fn recover_rows(backend: Backend, rng: &mut Rng, rounds: usize, rows: &mut Vec<Row>) {
    let mut jobs = Vec::with_capacity(rounds * BATCH_MAX);
    for _ in 0..rounds * BATCH_MAX {
        let (pair, msg_hash) = (Secp256k1::random(rng), rng.bytes());
        let message = secp256k1::Message::from_digest(msg_hash);
        let signature = secp256k1::ecdsa::RecoverableSignature::sign_ecdsa_recoverable(message, &pair.secret);
        let (recovery_id, compact) = signature.serialize_compact();
        let (r, s) = halves(&compact);
        jobs.push(RecoverSecp256k1Job { msg_hash, r, s, recovery_id: recovery_id.to_u8() });
    }
    let run: Run<'_, RecoverSecp256k1Job> = &|backend, jobs| {
        let mut keys = vec![None; jobs.len()];
        assay_kernels::recover_secp256k1_vartime(backend, jobs, &mut keys);
        keys.iter().all(Option::is_some)
    };
    let question = Question { operation: "secp256k1, key recovered", library: "libsecp256k1", run };
    for batch in [256, 8, 1] {
        rows.push(measure(&question, backend, batch, &jobs, rounds));
    }
}

fn bip340<'a>() -> impl Fn(Backend, &[Bip340Job<'a>]) -> bool {
    all(|backend, jobs: &[Bip340Job<'a>], verdicts: &mut [bool]| {
        assay_kernels::verify_bip340_vartime(backend, jobs, verdicts);
    })
}

fn es256<'a>() -> impl Fn(Backend, &[EcdsaP256Job<'a>]) -> bool {
    all(|backend, jobs: &[EcdsaP256Job<'a>], verdicts: &mut [bool]| {
        assay_kernels::verify_ecdsa_p256_vartime(backend, jobs, verdicts);
    })
}

fn bip340_rows(backend: Backend, rng: &mut Rng, rounds: usize, rows: &mut Vec<Row>) {
    let pairs: Vec<_> = (0..HOT_KEYS_COUNT).map(|_| Secp256k1::random(rng).secret.keypair()).collect();
    for pair in &pairs {
        let mut even = [0x02; 33];
        even[1..].copy_from_slice(&pair.x_only_public_key().0.to_byte_array());
        let key = Secp256k1PublicKey::from_compressed(&even).expect("a derived key is a key");
        assay_kernels::prepare_secp256k1_key(backend, &key);
    }
    let signed: Vec<_> = (0..rounds * BATCH_MAX)
        .map(|i| {
            let message: [u8; 32] = rng.bytes();
            let pair = &pairs[i % HOT_KEYS_COUNT];
            let x = pair.x_only_public_key().0.to_byte_array();
            let key = XOnlyPublicKey::from_bytes(&x).expect("a derived key is a key");
            (key, message, pair.sign_schnorr_no_aux_rand(&message).to_byte_array())
        })
        .collect();
    let hot: Vec<_> = signed
        .iter()
        .map(|(public_key, message, signature)| Bip340Job { public_key: *public_key, message, signature })
        .collect();
    let run: Run<'_, Bip340Job<'_>> = &bip340();
    let question = Question { operation: "BIP-340, hot key", library: "libsecp256k1", run };
    for batch in [256, 64, 8, 1] {
        rows.push(measure(&question, backend, batch, &hot, rounds));
    }
    let signed: Vec<_> = (0..rounds * BATCH_MAX)
        .map(|_| {
            let (pair, message): (_, [u8; 32]) = (Secp256k1::random(rng).secret.keypair(), rng.bytes());
            let key = XOnlyPublicKey::from_bytes(&pair.x_only_public_key().0.to_byte_array());
            let signature = pair.sign_schnorr_no_aux_rand(&message).to_byte_array();
            (key.expect("a derived key is a key"), message, signature)
        })
        .collect();
    let unseen: Vec<_> = signed
        .iter()
        .map(|(public_key, message, signature)| Bip340Job { public_key: *public_key, message, signature })
        .collect();
    let run: Run<'_, Bip340Job<'_>> = &bip340();
    let question = Question { operation: "BIP-340, key unseen", library: "libsecp256k1", run };
    for batch in [256, 64, 8, 1] {
        rows.push(measure(&question, backend, batch, &unseen, rounds));
    }
}

fn es256_rows(backend: Backend, rng: &mut Rng, rounds: usize, rows: &mut Vec<Row>) {
    let pairs: Vec<_> = (0..HOT_KEYS_COUNT).map(|_| support::p256_pair(rng)).collect();
    let keys: Vec<_> = pairs.iter().map(p256_public).collect();
    for key in &keys {
        assay_kernels::prepare_p256_key(backend, key);
    }
    let hot: Vec<_> = (0..rounds * BATCH_MAX)
        .map(|i| es256_job(rng, &pairs[i % HOT_KEYS_COUNT], &keys[i % HOT_KEYS_COUNT]))
        .collect();
    let run: Run<'_, EcdsaP256Job<'_>> = &es256();
    let question = Question { operation: "ES256, hot key", library: "AWS-LC", run };
    for batch in [256, 64, 16, 8, 4, 2, 1] {
        rows.push(measure(&question, backend, batch, &hot, rounds));
    }
    let busy: Vec<_> = (0..rounds * BATCH_MAX)
        .map(|i| es256_job(rng, &pairs[i % BUSY_KEYS_COUNT], &keys[i % BUSY_KEYS_COUNT]))
        .collect();
    let question = Question { operation: "ES256, busy key", library: "AWS-LC", run };
    make_busy(&question, backend, &busy[..BUSY_KEYS_COUNT]);
    for batch in [256, 64, 8, 1] {
        rows.push(measure(&question, backend, batch, &busy, rounds));
    }
    let pairs: Vec<_> = (0..rounds * BATCH_MAX).map(|_| support::p256_pair(rng)).collect();
    let keys: Vec<_> = pairs.iter().map(p256_public).collect();
    let unseen: Vec<_> = pairs.iter().zip(&keys).map(|(pair, key)| es256_job(rng, pair, key)).collect();
    let run: Run<'_, EcdsaP256Job<'_>> = &es256();
    let question = Question { operation: "ES256, key unseen", library: "AWS-LC", run };
    for batch in [256, 64, 8, 4, 2, 1] {
        rows.push(measure(&question, backend, batch, &unseen, rounds));
    }
    let run: Run<'_, EcdsaP256Job<'_>> = &es256();
    let question = Question { operation: "P-256, table of a key", library: "AWS-LC", run };
    let keys: Vec<_> = (0..rounds).map(|_| p256_public(&support::p256_pair(rng))).collect();
    let (prepare, release) = (assay_kernels::prepare_p256_key, assay_kernels::release_p256_key);
    rows.push(measure_tables(&question, backend, &keys, prepare, release, &hot));
}

fn options() -> Options {
    let mut options = Options { json: false, rounds: 101 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => options.json = true,
            "--rounds" => options.rounds = arguments.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            // Cargo says that this is a bench.
            "--bench" => {}
            other => panic!("unknown argument {other}; there are --json and --rounds N"),
        }
    }
    options
}

fn main() {
    let options = options();
    let core = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()).expect("a core");
    assert!(core_affinity::set_for_current(core), "pinned");
    let mut rng = Rng(2026);
    let mut rows = Vec::new();
    for &backend in
        Backend::available().iter().filter(|&&backend| !matches!(backend, Backend::Portable | Backend::PlainLanes))
    {
        secp256k1_rows(backend, &mut rng, options.rounds, &mut rows);
        recover_rows(backend, &mut rng, options.rounds, &mut rows);
        bip340_rows(backend, &mut rng, options.rounds, &mut rows);
        es256_rows(backend, &mut rng, options.rounds, &mut rows);
    }
    if options.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "backend": row.backend, "operation": row.operation, "batch": row.batch, "library": row.library,
                    "library_ns": row.library_ns.round(), "backend_ns": row.backend_ns.round(),
                    "ratio": (row.backend_ns / row.library_ns * 1e4).round() / 1e4,
                })
            })
            .collect();
        println!(
            "{}",
            serde_json::json!({ "detected": Backend::detect().name(), "rounds": options.rounds, "rows": rows })
        );
        return;
    }
    println!("{} rounds, median ns per signature", options.rounds);
    println!("| backend | operation | batch | library | library ns | backend ns | ratio |");
    println!("|---|---|---:|---|---:|---:|---:|");
    for row in rows {
        let ratio = row.backend_ns / row.library_ns;
        let Row { backend, operation, batch, library, library_ns, backend_ns } = row;
        let times = 1.0 / ratio;
        println!(
            "| {backend} | {operation} | {batch} | {library} | {library_ns:.0} | {backend_ns:.0} | {ratio:.3} (1/{times:.1}) |"
        );
    }
}
