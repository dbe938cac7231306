//! What does one admission decision cost? The aim is under 100 ns on a core, also while other cores charge.
//!
//! `one key` is the hot path with a warm line; `fresh addresses` is a flood over the whole table, a cache miss each;
//! `two threads` are the same with a second thread charging the same table (and for `one key` the same line) meanwhile.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use assay_gateway::admission::client_ip::AddressGroup;
use assay_gateway::admission::delays::{DelayKeys, Delays};
use assay_gateway::admission::{Admission, Class, LimitsConfig};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const NOW: u64 = 1_700_000_040_000;

fn group(index: u32) -> AddressGroup {
    AddressGroup::of(IpAddr::V4(Ipv4Addr::from_bits(index)))
}

/// Charges key after key; a second of fake time for every hundred thousand, so that the table is full and still admits.
fn flood(admission: &Admission, index: &mut u32) {
    *index = index.wrapping_add(1);
    let now = NOW + u64::from(*index / 100);
    _ = black_box(admission.charge_address(Class::OAuth, group(index.wrapping_mul(0x9e37_79b9)), now));
}

/// Admitted once every seven seconds of fake time, so that each charge writes.
fn admitted(admission: &Admission, index: &mut u32) {
    *index = index.wrapping_add(1);
    _ = black_box(admission.charge_address(Class::OAuth, group(1), NOW + u64::from(*index) * 7_000));
}

fn refused(admission: &Admission, _: &mut u32) {
    _ = black_box(admission.charge_address(Class::OAuth, group(2), NOW));
}

fn decisions(criterion: &mut Criterion) {
    let admission = Admission::new(LimitsConfig::default()).expect("the defaults can be counted");
    type Decide = fn(&Admission, &mut u32);
    for (name, decide) in [
        ("one key admitted", admitted as Decide),
        ("one key refused", refused as Decide),
        ("fresh addresses", flood as Decide),
    ] {
        let mut index = 0;
        criterion.bench_function(name, |bencher| bencher.iter(|| decide(&admission, &mut index)));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut index = 1 << 31;
                while !stop.load(Ordering::Relaxed) {
                    decide(&admission, &mut index);
                }
            });
            let mut index = 0;
            criterion.bench_function(&format!("{name}, two threads"), |bencher| {
                bencher.iter(|| decide(&admission, &mut index));
            });
            stop.store(true, Ordering::Relaxed);
        });
    }

    let decision = admission.charge_address(Class::OAuth, group(2), NOW);
    criterion.bench_function("headers of a refusal", |bencher| {
        bencher.iter(|| admission.each_header(&decision, |name, value| _ = black_box((name, value))));
    });
}

fn delays(criterion: &mut Criterion) {
    let delays = Delays::new(assay_gateway::admission::delays::ROWS_PER_LANE);
    let keys = DelayKeys::new(1, &[2; 33], group(1));
    criterion.bench_function("delay keys", |bencher| {
        bencher.iter(|| DelayKeys::new(1, black_box(&[2; 33]), group(1)));
    });
    criterion.bench_function("delay check", |bencher| bencher.iter(|| black_box(delays.check(&keys, NOW))));
    let mut index = 0;
    criterion.bench_function("delay fail", |bencher| {
        let next = || {
            index += 1;
            DelayKeys::new(1, &u32::to_be_bytes(index), group(index))
        };
        bencher.iter_batched(next, |keys| delays.fail(&keys, NOW), BatchSize::SmallInput);
    });
}

criterion_group!(benches, decisions, delays);
criterion_main!(benches);
