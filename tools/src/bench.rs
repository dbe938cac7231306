//! `assay bench`: what does verification cost on this machine?
//!
//! * `options`: what is asked. `catalogue`: every operation and who competes in it.
//! * `group`: signatures from a seed, valid and broken. `secp256k1_schemes`, `jws_schemes`, `jwt_decode`: how each backend
//!   judges them.
//! * `measure`, `statistics`: interleaved rounds on pinned threads, and their medians.
//! * `results`, `table`, `charts`: the figures as JSON, as text and as a page.

mod catalogue;
mod charts;
mod group;
mod jws_schemes;
mod jwt_decode;
mod measure;
mod options;
mod results;
mod secp256k1_schemes;
mod statistics;
mod table;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::{Failure, print, print_json};
use crate::host::Host;
use crate::interrupt::Interrupt;
use catalogue::Chosen;
use group::{Group, Key, Pool};
use options::Options;
use results::{BenchHost, Report};
use table::Colours;

/// Signatures of an operation, at least: enough that no branch predictor knows them by heart.
const POOL_COUNT: usize = 4096;
/// And with cold keys, each of which may only be shown so often.
const COLD_POOL_COUNT: usize = 8192;
/// A run of less time than this per operation makes do with fewer signatures.
const SHORT_SECONDS: f64 = 0.5;
const SHORT_POOL_COUNT: usize = 512;

const EXAMPLES: &str = "Examples:\n  \
    assay bench                                    everything, in about two minutes\n  \
    assay bench --filter es256-verify --seconds 10\n  \
    assay bench --filter es256-verify/hot --batch 1,16 --threads 1\n  \
    assay bench --json > before.json; assay bench --compare before.json\n  \
    assay bench --html bench.html                  a page with plots that needs no network\n\n\
    Ctrl-C prints what was measured so far. The members of --json: docs/bench-json.md";

/// How it is called.
#[must_use]
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("bench")
        .about("Measure what signature verification costs on this machine")
        .arg(
            text("filter", "TEXT")
                .help("Only operations (or else backends) whose name holds TEXT; /cold or /hot narrows"),
        )
        .arg(text("seconds", "N").default_value("90").help("Time for measuring, shared by the operations"))
        .arg(text("threads", "LIST").help("Threads at once, such as 1,2,4 [default: 1, doubling, all cores]"))
        .arg(text("batch", "LIST").default_value("1,8,64,256").help("Signatures per call"))
        .arg(text("compare", "FILE").help("Mark what moved beyond noise since an earlier --json"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON instead of the table"))
        .arg(
            text("html", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Also write a self-contained page with plots"),
        )
        .arg(text("seed", "N").default_value("1").help("What keys and messages are drawn from"))
        .after_help(EXAMPLES)
}

/// Runs it.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let options = Options::read(matches)?;
    let interrupt = Interrupt::listen()?;
    let host = BenchHost { host: Host::read(), cpu_mhz: cpu_mhz() };
    let to_terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colours = if to_terminal { Colours::ON } else { Colours::OFF };
    if !options.json {
        print(&table::head(&host))?;
        if matches.contains_id("filter") {
            print(&format!("\n{}\n", matched(&options.chosen)))?;
        }
    }

    assay_engine::prepare();
    let progress = Progress::new(options.chosen.len());
    let mut results = Vec::new();
    let mut is_complete = true;
    for (done, chosen) in options.chosen.iter().enumerate() {
        let cells = measured(chosen, &options, &interrupt, &|part| progress.show(chosen, done, part))?;
        is_complete &= !interrupt.is_set();
        let mut rows = results::rows(chosen.entry(), &chosen.backends, &cells, host.cpu_mhz);
        if let Some((_, earlier)) = &options.earlier {
            earlier.compare(&mut rows);
        }
        if !options.json {
            progress.pause(|| print(&table::blocks(&rows, &colours)))?;
        }
        results.append(&mut rows);
        if interrupt.is_set() {
            break;
        }
    }
    progress.end();

    let report = Report { host, results, complete: is_complete, seed: options.seed, seconds: options.seconds };
    if options.json {
        print_json(&serde_json::to_value(&report).expect("numbers and texts are JSON"))?;
    } else if let Some((file, _)) = &options.earlier {
        print(&table::comparison(&report.results, file))?;
    }
    if let Some(file) = &options.html {
        std::fs::write(file, charts::page(&report))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", file.display())))?;
    }
    if !report.complete {
        eprintln!("assay: interrupted; the figures are of the rounds measured so far");
    }
    Ok(())
}

fn measured(
    chosen: &Chosen,
    options: &Options,
    interrupt: &Interrupt,
    tick: &dyn Fn(f64),
) -> Result<Vec<measure::Cell>, Failure> {
    if interrupt.is_set() {
        return Ok(Vec::new());
    }
    tick(0.0);
    let entry = chosen.entry();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen operations")]
    let seconds = options.seconds / options.chosen.len() as f64;
    let least = match entry.key {
        _ if seconds < SHORT_SECONDS => SHORT_POOL_COUNT,
        Key::Cold => COLD_POOL_COUNT,
        Key::Hot | Key::Any => POOL_COUNT,
    };
    let pool = Pool {
        seed: options.seed,
        domain: u32::try_from(chosen.index).expect("a few dozen operations"),
        count: options.sizes.pool_count(entry.backends.len()).max(least),
        key: entry.key,
    };
    let Group { expected, contestants } = (entry.build)(&pool);
    let contestants = contestants.into_iter().filter(|one| chosen.backends.contains(&one.backend)).collect();
    let group = Group { expected, contestants };
    measure::measure(&group, entry.key, &options.sizes, Duration::from_secs_f64(seconds), interrupt, tick)
}

/// `matched: es256-verify/hot (assay, ring); …`
fn matched(chosen: &[Chosen]) -> String {
    let one = |chosen: &Chosen| {
        let entry = chosen.entry();
        let key = if entry.key == Key::Any { String::new() } else { format!("/{}", entry.key.name()) };
        format!("{}{key} ({})", entry.operation, chosen.backends.join(", "))
    };
    format!("matched   {}", chosen.iter().map(one).collect::<Vec<_>>().join("\n          "))
}

/// The processor's clock as the kernel reports it: the only one that can be read without `unsafe`.
fn cpu_mhz() -> Option<f64> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let rates: Vec<f64> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse().ok())
        .collect();
    rates.into_iter().reduce(f64::max).filter(|mhz| *mhz > 0.0)
}

/// A bar on standard error while it is a terminal.
struct Progress(ProgressBar);

/// Steps of one operation.
const STEPS: f64 = 1000.0;

impl Progress {
    fn new(operations: usize) -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(operations as u64 * 1000), target);
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {elapsed}  {wide_msg}");
        bar.set_style(style.expect("the template is right"));
        Self(bar)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    fn show(&self, chosen: &Chosen, done: usize, part: f64) {
        let entry = chosen.entry();
        let key = if entry.key == Key::Any { String::new() } else { format!(", {} key", entry.key.name()) };
        self.0.set_message(format!("{}{key}", entry.operation));
        self.0.set_position(done as u64 * 1000 + (part * STEPS) as u64);
    }

    /// Takes the bar away while something is printed.
    fn pause<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
