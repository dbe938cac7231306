//! The report for a person: a head that names the machine, then a block per operation, at most 100 columns wide.

use std::fmt::Write as _;

use super::catalogue::ALL;
use super::group::OURS;
use super::results::{BenchHost, HOW_NOISE_IS_ESTIMATED, Row};

/// Columns that fit beside the others; the largest batches are shown, `--json` has them all.
const BATCH_COLUMNS_COUNT: usize = 4;

/// Escapes, or nothing.
pub(crate) struct Colours {
    ours: &'static str,
    dim: &'static str,
    end: &'static str,
}

impl Colours {
    /// For a terminal.
    pub(crate) const ON: Colours = Colours { ours: "\x1b[1;36m", dim: "\x1b[2m", end: "\x1b[0m" };
    /// For a file.
    pub(crate) const OFF: Colours = Colours { ours: "", dim: "", end: "" };
}

/// CPU, features, backend, compiler, commit.
pub(crate) fn head(host: &BenchHost) -> String {
    let BenchHost { host, cpu_mhz } = host;
    let clock = cpu_mhz.map_or_else(|| "clock unknown".to_owned(), |mhz| format!("{:.2} GHz", mhz / 1e3));
    let features = if host.cpu_features.is_empty() { "none found".to_owned() } else { host.cpu_features.join(" ") };
    let commit = host.commit.get(..12).unwrap_or(&host.commit);
    format!(
        "cpu       {}, {} {}, {clock}\nfeatures  {features}\nbackend   {}\nbuild     {}, commit {commit}\n\
         kernel    {}\n\nns/op is what one operation costs one core (median). ratio: ns/op beside the best library's, below 1 is\n\
         faster. ±: median absolute deviation. ops/s, cycles, ratio, scaling are those of the largest batch.\n",
        host.cpu,
        host.cores,
        if host.cores == 1 { "core" } else { "cores" },
        host.backend,
        host.compiler,
        host.kernel,
    )
}

/// The blocks, in the order of the rows.
pub(crate) fn blocks(rows: &[Row], colours: &Colours) -> String {
    let mut out = String::new();
    for block in rows.chunk_by(|a, b| (a.operation, a.key) == (b.operation, b.key)) {
        out.push('\n');
        block_into(&mut out, block, colours);
    }
    out
}

fn block_into(out: &mut String, rows: &[Row], colours: &Colours) {
    let Colours { ours, dim, end } = colours;
    let first = &rows[0];
    let key = if first.key == "-" { String::new() } else { format!(", {} key", first.key) };
    let _ = writeln!(out, "{}{key}", first.operation);
    let note = ALL.iter().find(|entry| entry.operation == first.operation).map_or("", |entry| entry.note);
    if !note.is_empty() {
        let _ = writeln!(out, "  {dim}{note}{end}");
    }

    let mut batches: Vec<usize> = rows.iter().map(|row| row.batch).collect();
    batches.sort_unstable();
    batches.dedup();
    let batches = &batches[batches.len().saturating_sub(BATCH_COLUMNS_COUNT)..];
    let _ = write!(out, "  {dim}{:<13}{:>7}", "backend", "threads");
    for batch in batches {
        let _ = write!(out, "{:>10}", format!("batch {batch}"));
    }
    let _ = writeln!(out, "{:>6}{:>9}{:>9}{:>7}{:>8}{end}", "±", "ops/s", "cycles", "ratio", "scaling");

    let mut lines: Vec<(usize, &str)> = Vec::new();
    for row in rows {
        if !lines.contains(&(row.threads, row.backend)) {
            lines.push((row.threads, row.backend));
        }
    }
    for (threads, backend) in lines {
        let of_line =
            |batch| rows.iter().find(|row| (row.threads, row.backend, row.batch) == (threads, backend, batch));
        let (before, after) = if backend == OURS { (*ours, *end) } else { ("", "") };
        let _ = write!(out, "{before}{} {backend:<13}{threads:>7}", if backend == OURS { '*' } else { ' ' });
        for batch in batches {
            let _ =
                write!(out, "{:>10}", of_line(*batch).map_or_else(|| "-".to_owned(), |row| time(row.ns_per_op_median)));
        }
        let largest = batches.iter().rev().find_map(|batch| of_line(*batch));
        let _ = match largest {
            Some(row) => writeln!(
                out,
                "{:>6}{:>9}{:>9}{:>7}{:>8}{after}",
                format!("{:.1}%", 100.0 * row.ns_per_op_mad / row.ns_per_op_median),
                crate::page::number(row.ops_per_second).replace('\u{a0}', ""),
                row.cycles_per_op.map_or_else(|| "-".to_owned(), |cycles| format!("{cycles:.0}")),
                row.ratio_to_best_library.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
                row.scaling_efficiency.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share)),
            ),
            None => writeln!(out, "{after}"),
        };
    }
}

/// Four digits and a unit.
pub(crate) fn time(ns: f64) -> String {
    match ns {
        ns if ns < 999.5 => format!("{ns:.0} ns"),
        ns if ns < 99_995.0 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 999_500.0 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// What moved beyond noise since an earlier report.
pub(crate) fn comparison(rows: &[Row], file: &str) -> String {
    let compared: Vec<_> =
        rows.iter().filter_map(|row| row.compared.as_ref().map(|compared| (row, compared))).collect();
    let moved: Vec<_> = compared.iter().filter(|(_, compared)| compared.moved).collect();
    let mut out = format!("\n{} of {} rows moved beyond noise since {file}\n", moved.len(), compared.len());
    let _ = writeln!(out, "  {HOW_NOISE_IS_ESTIMATED}");
    for (row, compared) in moved {
        let _ = writeln!(
            out,
            "  {} {:<34} {:<13} batch {:<5} x{:<3} {:>9} -> {:>9} {:>+6.1}% (±{:.1})",
            if compared.change < 0.0 { "faster" } else { "slower" },
            if row.key == "-" { row.operation.to_owned() } else { format!("{}/{}", row.operation, row.key) },
            row.backend,
            row.batch,
            row.threads,
            time(compared.ns_per_op_median_before),
            time(row.ns_per_op_median),
            100.0 * compared.change,
            100.0 * compared.noise,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_unit() {
        for (ns, text) in [
            (0.4, "0 ns"),
            (412.3, "412 ns"),
            (1_000.0, "1.00 µs"),
            (54_321.0, "54.32 µs"),
            (123_456.0, "123.5 µs"),
            (2e6, "2.00 ms"),
        ] {
            assert_eq!(time(ns), text);
        }
    }
}
