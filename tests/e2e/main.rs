//! The real server over sockets, one module per question, every test on both runtimes.
//!
//! A test named `attack_NN_…` is line NN of the list of attacks this server is built against. [`coverage`] keeps the
//! table of all lines: where each is tested, or which feature it waits for.
#![forbid(unsafe_code)]

/// Makes each named `fn(Runtime)` a test on epoll and a test on `io_uring`. Where the kernel refuses the one, the test says so.
macro_rules! both_runtimes {
    ($($name:ident),+ $(,)?) => {
        mod epoll {
            $(#[test] fn $name() { crate::on(assay_tests::server::Runtime::Epoll, super::$name); })+
        }
        mod io_uring {
            $(#[test] fn $name() { crate::on(assay_tests::server::Runtime::IoUring, super::$name); })+
        }
    };
}

mod batch;
mod bitcoin;
mod claims;
mod clients;
mod codes;
mod coverage;
mod crash;
mod http;
mod introspection;
mod journeys;
mod lab;
mod limits;
mod routes;
mod secrets;
mod storage_faults;
mod tokens;
mod vectors;

use assay_tests::server::Runtime;

fn on(runtime: Runtime, test: fn(Runtime)) {
    match runtime.refusal() {
        None => test(runtime),
        Some(why) => eprintln!("skipped: {} does not work here: {why}", runtime.word()),
    }
}

/// The binary under test stands where `make test` built it, beside this test binary.
#[test]
fn the_server_binary_is_built_before_the_suite_runs() {
    let binary = assay_tests::binary("assay");
    assert!(binary.is_file(), "{} is missing: `make test` builds it first", binary.display());
}
