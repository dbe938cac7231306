//! What the command line asks for, read once and checked before the first signature is made.

use std::path::PathBuf;

use clap::ArgMatches;
use rustix::thread::{CpuSet, sched_getaffinity};

use super::catalogue::{Chosen, choose};
use super::measure::Sizes;
use super::results::Earlier;
use crate::failure::Failure;
use crate::limits::{BENCH_BATCH_MAX, BENCH_FILE_BYTES_MAX, BENCH_LIST_MAX};

/// A checked command line.
pub(crate) struct Options {
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) seconds: f64,
    pub(crate) sizes: Sizes,
    pub(crate) earlier: Option<(String, Earlier)>,
    pub(crate) json: bool,
    pub(crate) html: Option<PathBuf>,
    pub(crate) seed: u64,
}

impl Options {
    pub(crate) fn read(matches: &ArgMatches) -> Result<Options, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let cores = cores();
        let threads = match text("threads") {
            Some(list) => numbers("--threads", list, cores.len())?,
            None => doubling(cores.len()),
        };
        let seconds: f64 = text("seconds").and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        if !(seconds > 0.0 && seconds <= 86_400.0) {
            return Err(Failure::Usage("--seconds must be a number above 0 and at most 86400".to_owned()));
        }
        let seed = text("seed").unwrap_or_default();
        let html = matches.get_one::<PathBuf>("html").cloned();
        if let Some(directory) = html.as_deref().and_then(std::path::Path::parent)
            && !directory.as_os_str().is_empty()
            && !directory.is_dir()
        {
            return Err(Failure::Usage(format!("--html: there is no directory {}", directory.display())));
        }
        Ok(Options {
            chosen: choose(text("filter"))?,
            seconds,
            sizes: Sizes {
                batches: numbers("--batch", text("batch").unwrap_or_default(), BENCH_BATCH_MAX)?,
                threads,
                cores,
            },
            earlier: text("compare").map(|file| Ok((file.to_owned(), earlier(file)?))).transpose()?,
            json: matches.get_flag("json"),
            html,
            seed: seed.parse().map_err(|_| Failure::Usage(format!("--seed {seed:?} is not a number below 2^64")))?,
        })
    }
}

/// Cores this process may run on.
fn cores() -> Vec<usize> {
    let mut cores: Vec<usize> = match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(_) => Vec::new(),
    };
    // A container may be given less time than it is shown cores.
    let granted = std::thread::available_parallelism().map_or(1, usize::from);
    cores.truncate(granted);
    if cores.is_empty() { (0..granted).collect() } else { cores }
}

/// 1, 2, 4 … and all of them.
fn doubling(cores: usize) -> Vec<usize> {
    let mut threads: Vec<usize> = std::iter::successors(Some(1), |count: &usize| count.checked_mul(2))
        .take_while(|count| *count < cores)
        .collect();
    threads.push(cores);
    threads
}

/// Different numbers from 1 to `most`, ascending.
fn numbers(option: &str, list: &str, most: usize) -> Result<Vec<usize>, Failure> {
    let number = |text: &str| text.trim().parse().ok().filter(|number| (1..=most).contains(number));
    let numbers: Option<Vec<usize>> = list.split(',').map(number).collect();
    let mut numbers = numbers.ok_or_else(|| {
        Failure::Usage(format!("{option} {list:?} is not a list of numbers from 1 to {most}, such as 1,{most}"))
    })?;
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() > BENCH_LIST_MAX {
        return Err(Failure::Usage(format!("{option}: at most {BENCH_LIST_MAX} numbers")));
    }
    Ok(numbers)
}

fn earlier(file: &str) -> Result<Earlier, Failure> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| Failure::Usage(format!("--compare: cannot read {file}: {error}"));
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(BENCH_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > BENCH_FILE_BYTES_MAX {
        return Err(Failure::Usage(format!("--compare: {file} is larger than any output of assay bench --json")));
    }
    serde_json::from_slice(&text).map_err(|error| {
        Failure::Usage(format!("--compare: {file} is not the output of an earlier assay bench --json: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(numbers("--batch", "64, 1,8,8", 100).ok(), Some(vec![1, 8, 64]));
        for bad in ["", "0", "1,", "a", "101", "-1", "1 2"] {
            assert!(numbers("--batch", bad, 100).is_err(), "{bad}");
        }
        let long: Vec<String> = (1..=100).map(|n| n.to_string()).collect();
        assert!(numbers("--batch", &long.join(","), 100).is_err());
    }

    #[test]
    fn threads_double_up_to_all() {
        assert_eq!(doubling(1), [1]);
        assert_eq!(doubling(2), [1, 2]);
        assert_eq!(doubling(6), [1, 2, 4, 6]);
    }
}
