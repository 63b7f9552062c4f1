//! A mutation fuzzer for the readers of relunet-core, in one process, on stable Rust.
//!
//! `relunet-fuzz TARGET|all [EXECUTIONS [SEED]]` mutates the files of `fuzz/corpus/TARGET` and gives them to the reader. It
//! stops at the first input that makes the reader panic, hold too much memory, take too long, or return an error that no
//! file may cause. The input is saved in `fuzz/findings`. After an abort, the input is still in the folder for temporary
//! files. `relunet-fuzz replay TARGET FILE` reads one file.

mod memory;
mod mutate;
mod targets;

use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mutate::{below, mutate};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use targets::{Target, is_allowed, overwrite};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Longest input that is made.
const MAX_BYTES: usize = 1 << 14;
/// Longest time that an input may take. A slow input is read again, because the machine may have been busy.
const MAX_TIME: Duration = Duration::from_secs(1);
/// How often a slow input is read before it is a finding.
const TRIES: usize = 3;
/// Most mutated inputs that join the corpus of a run because they were read without an error.
const MAX_KEPT: usize = 256;
/// Executions between two lines about the progress.
const REPORT: u64 = 1_000_000;

const USAGE: &str = "usage: relunet-fuzz TARGET|all [EXECUTIONS [SEED]], relunet-fuzz replay TARGET FILE";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    panic::set_hook(Box::new(|_| {}));
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["replay", name, file] => replay(name, Path::new(file)),
        [name] => campaign(name, "100000", "0"),
        [name, n_runs] => campaign(name, n_runs, "0"),
        [name, n_runs, seed] => campaign(name, n_runs, seed),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn campaign(name: &str, n_runs: &str, seed: &str) -> Result<(), String> {
    let (Ok(n_runs), Ok(seed)) = (n_runs.parse(), seed.parse()) else { return Err(USAGE.into()) };
    let chosen: Vec<_> = Target::ALL.into_iter().filter(|(known, _)| name == "all" || name == *known).collect();
    if chosen.is_empty() {
        return Err(format!("no target {name}; {USAGE}"));
    }
    for (name, target) in chosen {
        let start = Instant::now();
        let summary = run(name, target, n_runs, seed).map_err(|finding| format!("{name}: {finding}"))?;
        println!("{name}: {n_runs} executions in {:.1?}, {summary}", start.elapsed());
    }
    Ok(())
}

fn replay(name: &str, file: &Path) -> Result<(), String> {
    let target = Target::ALL.into_iter().find(|(known, _)| name == *known).ok_or(USAGE)?.1;
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let path = scratch(name);
    fs::write(&path, &bytes).map_err(|error| error.to_string())?;
    let execution = execute(target, &path, &bytes);
    println!("{:.1?}, {} bytes of memory, {:?}", execution.time, execution.held, execution.result);
    fs::remove_file(&path).map_err(|error| error.to_string())
}

/// What a reader did with an input.
struct Execution {
    time: Duration,
    /// Most bytes of memory that it held.
    held: usize,
    /// What it returned; none after a panic.
    result: Option<relunet_core::Result<()>>,
}

fn execute(target: Target, path: &Path, bytes: &[u8]) -> Execution {
    let (held, start) = (memory::start(), Instant::now());
    let result = panic::catch_unwind(AssertUnwindSafe(|| target.read(path, bytes))).ok();
    Execution { time: start.elapsed(), held: memory::most_since(held), result }
}

/// Where the input of an execution lies: in memory where the system has such a folder.
fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("relunet-fuzz-{name}-{}", std::process::id()))
}

fn run(name: &str, target: Target, n_runs: u64, seed: u64) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = read_corpus(&folder.join("corpus").join(name)).map_err(said)?;
    if corpus.is_empty() {
        return Err("no corpus".into());
    }
    let path = scratch(name);
    let file = File::create(&path).map_err(said)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (n_given, mut n_sound, mut most) = (corpus.len(), 0_u64, 0.0_f64);
    let (start, mut slowest) = (Instant::now(), Duration::ZERO);
    for index in 0..n_runs {
        let bytes = match corpus.get(index as usize).filter(|_| index < n_given as u64) {
            Some(given) => given.clone(),
            None => {
                let mut bytes = corpus[below(&mut rng, corpus.len())].clone();
                let other = below(&mut rng, corpus.len());
                mutate(&mut rng, &mut bytes, &corpus[other], MAX_BYTES);
                if below(&mut rng, 8) > 0 {
                    target.repair(&mut bytes);
                }
                bytes
            }
        };
        let put = || match target {
            Target::Accumulator => Ok(()),
            // The sweep replaces a checkpoint by what it has done.
            Target::Checkpoint => fs::write(&path, &bytes),
            _ => overwrite(&file, &bytes),
        };
        put().map_err(said)?;
        let mut execution = execute(target, &path, &bytes);
        for _ in 1..TRIES {
            if execution.time <= MAX_TIME {
                break;
            }
            put().map_err(said)?;
            execution = execute(target, &path, &bytes);
        }
        let Execution { time, held, result } = execution;
        let finding = match &result {
            None => Some("a panic".to_owned()),
            Some(Err(error)) if !is_allowed(error) => Some(format!("an error that no file may cause: {error}")),
            _ if held > target.allowed(bytes.len()) => {
                Some(format!("{held} bytes of memory for {} bytes", bytes.len()))
            }
            _ if time > MAX_TIME => Some(format!("{time:.1?} for {} bytes", bytes.len())),
            Some(Err(error)) if index < n_given as u64 => Some(format!("the corpus itself is refused: {error}")),
            _ => None,
        };
        if let Some(finding) = finding {
            let findings = folder.join("findings");
            fs::create_dir_all(&findings).map_err(said)?;
            let kept = findings.join(format!("{name}-{seed}-{index}"));
            fs::write(&kept, &bytes).map_err(said)?;
            return Err(format!("execution {index}: {finding}; the file is {}", kept.display()));
        }
        most = most.max(held as f64 / target.allowed(bytes.len()) as f64);
        slowest = slowest.max(time);
        if matches!(result, Some(Ok(()))) {
            n_sound += 1;
            if corpus.len() < n_given + MAX_KEPT {
                corpus.push(bytes);
            } else if below(&mut rng, 64) == 0 {
                let place = n_given + below(&mut rng, MAX_KEPT);
                corpus[place] = bytes;
            }
        }
        if (index + 1).is_multiple_of(REPORT) {
            println!("{name}: {} executions in {:.0?}", index + 1, start.elapsed());
        }
    }
    let _ = fs::remove_file(&path);
    Ok(format!(
        "{n_sound} read without an error, at most {:.0}% of the memory that is allowed, slowest {slowest:.1?}",
        100.0 * most
    ))
}

fn read_corpus(folder: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(fs::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executions of each target within the ordinary test run.
    const SHORT: u64 = 3000;

    #[test]
    fn every_reader_survives_a_short_run() {
        for (name, target) in Target::ALL {
            if let Err(finding) = run(name, target, SHORT, 1) {
                panic!("{name}: {finding}");
            }
        }
    }
}
