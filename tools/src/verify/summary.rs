//! Verdicts counted: by reason, by scheme, and per second.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reason::{Reason, Scheme};

/// Rows by scheme: one for each, and one for lines that did not get so far as to have one.
const ROWS_COUNT: usize = Scheme::ALL.len() + 1;

/// How many lines of which kind.
#[derive(Clone, Debug)]
pub struct Counts {
    reasons: [u64; Reason::ALL.len()],
    /// Valid ones and the others.
    schemes: [[u64; 2]; ROWS_COUNT],
}

impl Default for Counts {
    fn default() -> Self {
        Self { reasons: [0; Reason::ALL.len()], schemes: [[0; 2]; ROWS_COUNT] }
    }
}

impl Counts {
    pub(super) fn add(&mut self, scheme: Option<Scheme>, result: Result<(), Reason>) {
        let row = scheme.map_or(ROWS_COUNT - 1, |scheme| scheme as usize);
        self.schemes[row][usize::from(result.is_err())] += 1;
        if let Err(reason) = result {
            self.reasons[reason as usize] += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (own, other) in self.reasons.iter_mut().zip(other.reasons) {
            *own += other;
        }
        for (own, other) in self.schemes.iter_mut().flatten().zip(other.schemes.iter().flatten()) {
            *own += other;
        }
    }

    /// Lines that are valid.
    #[must_use]
    pub fn valid(&self) -> u64 {
        self.schemes.iter().map(|[valid, _]| valid).sum()
    }

    /// Lines that are not.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.schemes.iter().map(|[_, invalid]| invalid).sum()
    }

    fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL.iter().map(|reason| reason.as_str()).zip(self.reasons).filter(|(_, count)| *count > 0)
    }

    fn schemes(&self) -> impl Iterator<Item = (&'static str, [u64; 2])> {
        let names = Scheme::ALL.iter().map(|scheme| scheme.as_str()).chain(["unknown"]);
        names.zip(self.schemes).filter(|(_, counts)| *counts != [0; 2])
    }
}

/// A run, measured.
pub(super) struct Summary {
    pub(super) counts: Counts,
    /// Lines an earlier run had done.
    pub(super) skipped: u64,
    /// Bytes read, before decompression.
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) threads: usize,
    /// Whether the input was read to its end.
    pub(super) complete: bool,
}

impl Summary {
    fn lines(&self) -> u64 {
        self.counts.valid() + self.counts.invalid()
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(super) fn to_json(&self) -> Value {
        let reasons: Map<_, _> = self.counts.reasons().map(|(name, count)| (name.to_owned(), count.into())).collect();
        let schemes: Map<_, _> = self
            .counts
            .schemes()
            .map(|(name, [valid, invalid])| (name.to_owned(), json!({ "valid": valid, "invalid": invalid })))
            .collect();
        json!({
            "lines": self.lines(),
            "skipped": self.skipped,
            "valid": self.counts.valid(),
            "invalid": self.counts.invalid(),
            "reasons": reasons,
            "schemes": schemes,
            "bytes": self.bytes,
            "seconds": (self.elapsed.as_secs_f64() * 1e6).round() / 1e6,
            "lines_per_second": self.per_second(self.lines()).round(),
            "threads": self.threads,
            "complete": self.complete,
        })
    }

    pub(super) fn to_table(&self) -> String {
        let mut out = String::new();
        let lines = self.lines();
        let (seconds, rate) = (self.elapsed.as_secs_f64(), self.per_second(lines));
        let megabytes = self.per_second(self.bytes) / 1e6;
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            count => format!("{count} threads"),
        };
        let _ = writeln!(out, "{lines} lines in {seconds:.2} s: {rate:.0} lines/s, {megabytes:.1} MB/s, {threads}");
        if self.skipped > 0 {
            let _ = writeln!(out, "{} lines before them were judged by an earlier run", self.skipped);
        }
        if !self.complete {
            out.push_str("the input was not read to its end\n");
        }
        let _ = writeln!(out, "\n{:<20} {:>12}", "verdict", "lines");
        let _ = writeln!(out, "{:<20} {:>12}", "valid", self.counts.valid());
        let _ = writeln!(out, "{:<20} {:>12}", "invalid", self.counts.invalid());
        for (reason, count) in self.counts.reasons() {
            let _ = writeln!(out, "  {reason:<18} {count:>12}");
        }
        let _ = writeln!(out, "\n{:<20} {:>12} {:>12}", "scheme", "valid", "invalid");
        for (scheme, [valid, invalid]) in self.counts.schemes() {
            let _ = writeln!(out, "{scheme:<20} {valid:>12} {invalid:>12}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let (mut one, mut other) = (Counts::default(), Counts::default());
        one.add(Some(Scheme::Es256), Ok(()));
        one.add(None, Err(Reason::EmptyLine));
        other.add(Some(Scheme::Es256), Err(Reason::Expired));
        other.add(Some(Scheme::Rs256), Err(Reason::Expired));
        one.merge(&other);
        let summary = Summary {
            counts: one,
            skipped: 2,
            bytes: 8_000_000,
            elapsed: Duration::from_secs(2),
            threads: 2,
            complete: true,
        };
        let expected = json!({
            "lines": 4, "skipped": 2, "valid": 1, "invalid": 3, "bytes": 8_000_000, "seconds": 2.0,
            "lines_per_second": 2.0, "threads": 2, "complete": true,
            "reasons": {"empty_line": 1, "expired": 2},
            "schemes": {"es256": {"valid": 1, "invalid": 1}, "rs256": {"valid": 0, "invalid": 1},
                "unknown": {"valid": 0, "invalid": 1}},
        });
        assert_eq!(summary.to_json(), expected);
        let table = summary.to_table();
        assert!(table.starts_with("4 lines in 2.00 s: 2 lines/s, 4.0 MB/s, 2 threads\n"), "{table}");
        assert!(table.contains("  expired                       2\n"), "{table}");
    }
}
