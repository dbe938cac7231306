//! Feeds every target seeded inputs on the stable toolchain: seeds, mutated seeds, random bytes.
//!
//! `smoke [ITERATIONS] [SEED] [TARGET]`. A failure prints target, seed and input, and the exit code is 101.
//! `smoke --seeds DIRECTORY` only writes every target's seeds to a directory of its name, where libFuzzer finds them.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use assay_fuzz::{TARGETS, Target};

const ITERATIONS: u64 = 2_000;
const INPUT_BYTES_MAX: usize = 1_024;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == "--seeds").is_some() {
        return match arguments.next().map(|directory| write_seeds(Path::new(&directory))) {
            Some(Ok(())) => ExitCode::SUCCESS,
            given => {
                eprintln!("smoke --seeds DIRECTORY: {given:?}");
                ExitCode::from(2)
            }
        };
    }
    let mut number = |default| arguments.next().map_or(Ok(default), |argument| argument.parse::<u64>());
    let (Ok(iterations), Ok(seed)) = (number(ITERATIONS), number(0x00a5_5a41)) else {
        eprintln!("usage: smoke [ITERATIONS] [SEED] [TARGET]");
        return ExitCode::from(2);
    };
    let only = arguments.next();
    for target in TARGETS {
        if only.as_ref().is_none_or(|only| only == target.name) {
            let iterations = iterations.div_ceil(target.cost);
            if let Err(input) = run(target, iterations, &mut Rng(seed)) {
                eprintln!("{} failed, seed {seed}, input {}", target.name, hex(&input));
                return ExitCode::from(101);
            }
            println!("{}: {iterations} inputs", target.name);
        }
    }
    ExitCode::SUCCESS
}

fn write_seeds(directory: &Path) -> std::io::Result<()> {
    for target in TARGETS {
        let directory = directory.join(target.name);
        std::fs::create_dir_all(&directory)?;
        for (index, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{index:04}")), seed)?;
        }
    }
    Ok(())
}

/// Gives the input that failed.
fn run(target: &Target, iterations: u64, rng: &mut Rng) -> Result<(), Vec<u8>> {
    let seeds = (target.seeds)();
    for iteration in 0..iterations {
        let input = match usize::try_from(iteration) {
            Ok(index) if index < seeds.len() => seeds[index].clone(),
            _ if seeds.is_empty() || rng.below(8) == 0 => {
                let length = rng.below(INPUT_BYTES_MAX);
                rng.bytes(length)
            }
            _ => mutate(rng, &seeds),
        };
        // Unwind safety: targets are functions of their input.
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            return Err(input);
        }
    }
    Ok(())
}

/// A few random edits of a random seed.
fn mutate(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[rng.below(seeds.len())].clone();
    for _ in 0..=rng.below(3) {
        let position = rng.below(input.len() + 1);
        match rng.below(7) {
            0 => input.truncate(position),
            1 => input.insert(position, rng.below(256) as u8),
            2 if position < input.len() => {
                input.remove(position);
            }
            3 => {
                let other = &seeds[rng.below(seeds.len())];
                let from = rng.below(other.len() + 1);
                input.truncate(position);
                input.extend_from_slice(&other[from..]);
            }
            4 if position < input.len() => input[position] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
            _ if position < input.len() => input[position] ^= 1 << rng.below(8),
            _ => input.push(0),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `bound` is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
