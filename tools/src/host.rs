//! The machine a figure was measured on, without which it is not a figure.

use std::fs;

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

/// Named in every report. Compiler and commit are those of this program's build.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// As the kernel names it.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Of the features that cryptography is written for, those this processor has; names as in `/proc/cpuinfo`.
    pub cpu_features: Vec<&'static str>,
    /// What the engine chose for this machine.
    pub backend: &'static str,
    /// Name and release.
    pub kernel: String,
    /// `rustc --version`.
    pub compiler: String,
    /// The commit the build stood on, or `unknown` outside a repository.
    pub commit: String,
}

impl Host {
    /// Asks this machine.
    #[must_use]
    pub fn read() -> Host {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = |file: &str| fs::read_to_string(format!("/proc/sys/kernel/{file}")).unwrap_or_default();
        Host {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_features: cpu_features(),
            backend: assay_engine::Backend::detect().name(),
            kernel: format!("{} {}", kernel("ostype").trim(), kernel("osrelease").trim()),
            compiler: env!("ASSAY_BUILD_COMPILER").to_owned(),
            commit: env!("ASSAY_BUILD_COMMIT").to_owned(),
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

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let found = [
        ("adx", is_x86_feature_detected!("adx")),
        ("aes", is_x86_feature_detected!("aes")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512ifma", is_x86_feature_detected!("avx512ifma")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("sha_ni", is_x86_feature_detected!("sha")),
        ("vaes", is_x86_feature_detected!("vaes")),
    ];
    found.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    let found = [
        ("aes", std::arch::is_aarch64_feature_detected!("aes")),
        ("asimd", std::arch::is_aarch64_feature_detected!("neon")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
        ("sha3", std::arch::is_aarch64_feature_detected!("sha3")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    found.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name() {
        let host = Host { cpu: "AMD EPYC 9R14 (x)".to_owned(), cores: 2, ..Host::read() };
        assert_eq!(host.label(), "amd-epyc-9r14-x-2-cores");
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
