//! `assay verify`: a file of signatures in, one verdict per line out. On the path of a line:
//!
//! ```text
//! input ─► blocks ─► pipeline ─► judge ─► line ─► jwt │ bitcoin ─► engine ─► judge ─► output
//!                                                    keys
//! ```

mod bitcoin;
mod blocks;
mod fetch;
mod input;
pub mod judge;
mod jwt;
pub mod keys;
mod line;
mod output;
mod pipeline;
mod progress;
pub mod reason;
pub mod rules;
pub mod summary;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::blocks::Ending;
use self::keys::KeyRing;
use self::output::Output;
use self::pipeline::{Outcome, Plan};
use self::progress::Progress;
use self::reason::Scheme;
use self::rules::{FILTER_FAMILIES, Filter, Rules};
use self::summary::{Counts, Summary};
use crate::clock;
use crate::failure::{Failure, print};
use crate::interrupt::Interrupt;
use crate::limits::THREADS_MAX;

const EXAMPLES: &str = "\
Lines are JWTs, bitcoin-auth tokens, {\"token\":…}, {\"pubkey\":…,\"message\":…,\"signature\":…} or
{\"address\":…,\"message\":…,\"signature\":…}; plain, gzip or zstd. docs/verify-json.md has the details.

Examples:
  assay verify --jwks https://id.example/jwks --issuer https://id.example tokens.txt > verdicts.ndjson
  zcat archive/*.gz | assay verify --jwks keys.json --now 2026-01-15T12:00:00Z --summary -
  assay verify --scheme bitcoin-auth --ignore-freshness --output verdicts.ndjson --resume tokens.zst
  assay verify --secret-file secret --fail-on-invalid --summary --json tokens.txt

Exit codes: 0 every line was judged, whatever the verdicts; 1 something went wrong, or with --fail-on-invalid
a line is invalid; 2 the command line, a key or a file is wrong; 3 the key set's server cannot be reached";

/// How it is called.
#[must_use]
pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("verify")
        .about("Verify a file of tokens and signatures, one verdict per line")
        .arg(Arg::new("file").value_name("FILE|-").required(true).help("Lines to verify; - reads standard input"))
        .arg(
            option("scheme", "SCHEME", "Judge only this: auto, jwt, bitcoin-auth, or one scheme")
                .value_parser(
                    FILTER_FAMILIES
                        .into_iter()
                        .chain(Scheme::ALL.iter().map(|scheme| scheme.as_str()))
                        .collect::<Vec<_>>(),
                )
                .default_value("auto"),
        )
        .arg(option("jwks", "FILE|URL", "Public keys of JWTs, a JSON Web Key Set"))
        .arg(option("secret-file", "FILE", "Secret of HS256 tokens; a line end at its end is no part of it"))
        .arg(option("issuer", "ISS", "The only `iss` that will do"))
        .arg(
            option("audience", "AUD", "An audience that must be in `aud`; several: one of them")
                .action(ArgAction::Append),
        )
        .arg(option("now", "T", "Judge as of this moment: RFC 3339, or seconds since 1970 [default: the clock]"))
        .arg(
            option("leeway", "SECONDS", "Forgive `exp` and `nbf` so much")
                .value_parser(clap::value_parser!(u64))
                .default_value("0"),
        )
        .arg(option("path", "PATH", "Path that bitcoin-auth tokens must be for [default: each its own]"))
        .arg(flag("ignore-freshness", "Do not ask bitcoin-auth tokens for their age: for archives"))
        .arg(
            option("threads", "N", "Cores to use [default: all]")
                .value_parser(clap::value_parser!(u64).range(1..=THREADS_MAX as u64)),
        )
        .arg(flag("summary", "Print counts and lines per second; verdicts only with --output"))
        .arg(flag("json", "Print the summary as JSON").requires("summary"))
        .arg(option("output", "FILE", "Write verdicts there; a file that exists is not overwritten"))
        .arg(flag("resume", "Continue --output where an earlier run of the same command stopped").requires("output"))
        .arg(flag("fail-on-invalid", "Exit with 1 if any line is invalid"))
        .after_help(EXAMPLES)
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let path = text("file").unwrap_or_default();
    let rules = rules(matches)?;
    let threads = match matches.get_one::<u64>("threads") {
        Some(threads) => usize::try_from(*threads).unwrap_or(THREADS_MAX),
        None => std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX),
    };
    let is_resumed = matches.get_flag("resume");
    if is_resumed && path == "-" {
        return Err(Failure::Usage(
            "standard input cannot be read again from its start; --resume needs a file".to_owned(),
        ));
    }
    let input = input::open(path)?;
    let has_summary = matches.get_flag("summary");
    let (output, skip) = match text("output") {
        Some(file) if is_resumed => {
            let (file, skip) = output::resume(file)?;
            (Output::File(file), skip)
        }
        Some(file) => (Output::File(output::create(file)?), 0),
        None if has_summary => (Output::Nowhere, 0),
        None => (Output::Stdout(std::io::stdout()), 0),
    };
    let interrupt = Interrupt::listen()?;
    let plan = Plan { rules: Arc::new(rules), threads, skip, is_live: input.is_live, interrupt };
    let (summary, outcome) = measure(input, output, &plan)?;
    if has_summary && !matches!(outcome, Outcome::Short(_)) {
        print(&if matches.get_flag("json") { format!("{:#}\n", summary.to_json()) } else { summary.to_table() })?;
    }
    conclude(path, &summary, outcome, matches.get_flag("fail-on-invalid"))
}

fn rules(matches: &ArgMatches) -> Result<Rules, Failure> {
    let text = |name| matches.get_one::<String>(name).cloned();
    let filter = text("scheme").and_then(|name| Filter::from_name(&name)).unwrap_or_default();
    let now_ms = match text("now") {
        None => None,
        Some(now) => Some(rules::parse_now(&now).ok_or_else(|| {
            Failure::Usage(format!("--now {now} is no time; write 2026-01-15T12:00:00Z or seconds since 1970"))
        })?),
    };
    let keys = KeyRing::load(text("jwks").as_deref(), text("secret-file").as_deref())?;
    if filter.wants_jwt_only() && keys.is_empty() {
        return Err(Failure::Usage("JWTs need keys; give --jwks FILE|URL, or --secret-file FILE for HS256".to_owned()));
    }
    Ok(Rules {
        filter,
        keys,
        issuer: text("issuer"),
        audiences: matches.get_many("audience").unwrap_or_default().cloned().collect(),
        leeway_s: matches.get_one("leeway").copied().unwrap_or_default(),
        now_ms,
        path: text("path"),
        ignore_freshness: matches.get_flag("ignore-freshness"),
    })
}

fn measure(input: input::Input, mut output: Output, plan: &Plan) -> Result<(Summary, Outcome), Failure> {
    let started = clock::now();
    let mut counts = Counts::default();
    let is_quiet = matches!(&output, Output::Stdout(_)) && std::io::IsTerminal::is_terminal(&std::io::stdout());
    let mut progress = Progress::new(input.size, Arc::clone(&input.consumed), !is_quiet);
    let outcome = pipeline::run(input.reader, plan, |verdicts| {
        counts.merge(&verdicts.counts);
        progress.add(verdicts.counts.valid() + verdicts.counts.invalid());
        output.write(&verdicts.text).map_err(|error| {
            Failure::Failed(format!("cannot write verdicts: {error}; make room, then --resume continues an --output"))
        })
    });
    progress.finish();
    let outcome = outcome?;
    let elapsed: Duration = clock::now().duration_since(started);
    let summary = Summary {
        counts,
        skipped: plan.skip,
        bytes: input.consumed.load(Ordering::Relaxed),
        elapsed,
        threads: plan.threads,
        complete: matches!(outcome, Outcome::Ended(Ending::Complete)),
    };
    Ok((summary, outcome))
}

/// What the process ends with.
fn conclude(path: &str, summary: &Summary, outcome: Outcome, fails_on_invalid: bool) -> Result<(), Failure> {
    let (valid, invalid) = (summary.counts.valid(), summary.counts.invalid());
    let done = summary.skipped + valid + invalid;
    match outcome {
        Outcome::Short(short) => Err(Failure::Usage(format!(
            "{path} has {} lines and the output has verdicts of {done}; resume with the file it was made from",
            short.lines
        ))),
        Outcome::Ended(Ending::Broken(error)) => Err(Failure::Failed(format!(
            "{path} cannot be read beyond line {done}: {error}; mend the file, then --resume continues an --output"
        ))),
        Outcome::Ended(Ending::Interrupted) => {
            Err(Failure::Failed(format!("interrupted after line {done}; --resume continues an --output")))
        }
        Outcome::Ended(Ending::Complete) if fails_on_invalid && invalid > 0 => {
            Err(Failure::Failed(format!("{invalid} of {} lines are invalid", valid + invalid)))
        }
        Outcome::Ended(Ending::Complete) | Outcome::Unread => Ok(()),
    }
}
