//! How fast is it? One question per bench; the machinery for asking over HTTP lives here.
//!
//! * [`generator`]: a closed-loop HTTP/1.1 load generator: one thread, one epoll, no allocation per request.
//! * [`request`], [`response`]: what it sends, serialised once, and the little of the answer it reads.
//! * [`figures`]: what one run measured.
//! * [`server`]: the processes under load; `assay_tools::host` knows the machine they ran on.
//! * [`workload`]: the questions of `record`: tokens, batches, sign-ins.
//!
//! Results go to `benches/record/`, with host, kernel, compiler, commit and command.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "measuring time is what benches do")]

pub mod figures;
pub mod generator;
pub mod request;
pub mod response;
pub mod server;
pub mod workload;
