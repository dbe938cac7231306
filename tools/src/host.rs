//! The machine a figure was measured on, without which it is not a figure.

use std::fs;
use std::process::Command;

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

/// Named in every record.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// As the kernel names it.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// What the processor can do that cryptography gains by, as the kernel names it.
    pub features: Vec<String>,
    /// The arithmetic that the engine chose on this machine.
    pub backend: String,
    /// Name and release.
    pub kernel: String,
    /// `rustc --version`.
    pub compiler: String,
    /// Of the source tree the record was started in.
    pub commit: String,
    /// The work tree held changes that are in no commit.
    pub uncommitted_changes: bool,
}

/// Processor features that one backend or another makes use of.
const FEATURES: [&str; 16] = [
    "sse4_1",
    "ssse3",
    "aes",
    "pclmulqdq",
    "avx",
    "avx2",
    "bmi1",
    "bmi2",
    "adx",
    "sha_ni",
    "vaes",
    "avx512f",
    "avx512vl",
    "avx512ifma",
    "neon",
    "asimd",
];

/// What this program was built with and from. The record of the benches asks at run time instead, because it builds what
/// it measures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Build {
    /// `rustc --version`.
    pub compiler: &'static str,
    /// Of the source tree, `unknown` if it was built outside of one.
    pub commit: &'static str,
}

impl Build {
    /// Of this very program.
    pub const THIS: Build = Build { compiler: env!("ASSAY_BUILD_COMPILER"), commit: env!("ASSAY_BUILD_COMMIT") };
}

impl Host {
    /// Asks this machine.
    #[must_use]
    pub fn read() -> Host {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Host {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            features: features(&cpuinfo),
            backend: assay_engine::Backend::detect().name().to_owned(),
            kernel: said("uname", &["-sr"]),
            compiler: said("rustc", &["--version"]),
            commit: said("git", &["rev-parse", "HEAD"]),
            uncommitted_changes: said("git", &["status", "--porcelain", "--untracked-files=no"]) != "unknown",
        }
    }

    /// A directory name for this kind of machine: `amd-epyc-2-cores`.
    #[must_use]
    pub fn label(&self) -> String {
        let words = format!("{} {} cores", self.cpu, self.cores).to_lowercase();
        words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }
}

/// Keeps the calling thread, and what it starts afterwards, on one core.
///
/// # Errors
/// If the machine has no such core.
pub fn pin_to_core(core: usize) -> std::io::Result<()> {
    let mut cores = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Processor seconds a process has used so far, all its threads together, to a hundredth; `None` once it is gone.
#[must_use]
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): the name in parentheses may hold anything; after it stand state (field 3) … utime (14), stime (15).
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    // Ticks are hundredths of a second for user space on every Linux, whatever the kernel's own rate.
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / 100.0)
}

/// Features from the text of `/proc/cpuinfo`: `flags` on x86, `Features` on Arm.
fn features(cpuinfo: &str) -> Vec<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    let found: Vec<&str> =
        line.and_then(|line| line.split_once(':')).map_or(Vec::new(), |(_, all)| all.split_whitespace().collect());
    FEATURES.iter().filter(|feature| found.contains(feature)).map(|&feature| feature.to_owned()).collect()
}

/// What a command printed, or `unknown` if it failed or printed nothing.
fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name() {
        let host = Host { cpu: "AMD EPYC 9R14 (x)".to_owned(), cores: 2, ..Host::read() };
        assert_eq!(host.label(), "amd-epyc-9r14-x-2-cores");
        assert_eq!(said("false", &[]), "unknown");
    }

    #[test]
    fn features_are_those_that_matter() {
        assert_eq!(features("model name : x\nflags\t: fpu adx avx2 sha_ni\n"), ["avx2", "adx", "sha_ni"]);
        assert!(features("").is_empty());
        assert!(!Build::THIS.compiler.is_empty() && !Build::THIS.commit.is_empty());
    }

    #[test]
    fn work_shows_in_cpu_seconds() {
        let before = cpu_seconds(std::process::id()).expect("we are alive");
        let mut sum = 0_u64;
        while cpu_seconds(std::process::id()).expect("we are alive") < before + 0.02 {
            sum = (0..100_000).fold(sum, |sum: u64, n| std::hint::black_box(sum.wrapping_add(n)));
        }
        assert_eq!(cpu_seconds(u32::MAX), None);
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error() {
        assert!(pin_to_core(usize::MAX).is_err());
        assert!(pin_to_core(CpuSet::MAX_CPU - 1).is_err());
    }
}
