//! Feeds mutated files to the readers of relunet-core and stops at the first that panics, holds too much memory, takes
//! too long or gives an error that no file should cause.
//!
//! It runs in one process on stable Rust: `relunet-fuzz TARGET EXECUTIONS [SEED]`, where TARGET is a reader or `all`. The
//! corpus is `fuzz/corpus/TARGET`. The file that is being read lies in the folder for temporary files, so that it is
//! still there after an abort; that of a finding is copied to `fuzz/findings`.

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

/// Longest file that is made.
const MAX_BYTES: usize = 1 << 14;
/// Longest time that a file may take on a machine that is busy.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Mutated files that join the corpus of a run because they were read without an error, at most.
const MAX_KEPT: usize = 256;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (Some(name), Ok(n_runs), Ok(seed)) = (arguments.first(), number(1, 100_000), number(2, 0)) else {
        eprintln!("usage: relunet-fuzz TARGET|all [EXECUTIONS [SEED]]");
        return ExitCode::FAILURE;
    };
    panic::set_hook(Box::new(|_| {}));
    for (target_name, target) in Target::ALL {
        if name != "all" && name != target_name {
            continue;
        }
        let start = Instant::now();
        match run(target_name, target, n_runs, seed) {
            Ok(summary) => println!("{target_name}: {n_runs} executions in {:.1?}, {summary}", start.elapsed()),
            Err(finding) => {
                println!("{target_name}: {finding}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn run(name: &str, target: Target, n_runs: u64, seed: u64) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut corpus = Vec::new();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder.join("corpus").join(name)).map_err(said)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        corpus.push(fs::read(path).map_err(said)?);
    }
    if corpus.is_empty() {
        return Err("no corpus".into());
    }
    let path = std::env::temp_dir().join(format!("relunet-fuzz-{name}-{}", std::process::id()));
    let file = File::create(&path).map_err(said)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (n_given, mut n_sound, mut most) = (corpus.len(), 0_u64, 0.0_f64);
    for index in 0..n_runs {
        let mut bytes = corpus[below(&mut rng, corpus.len())].clone();
        if index >= n_given as u64 {
            let other = corpus[below(&mut rng, corpus.len())].clone();
            mutate(&mut rng, &mut bytes, &other, MAX_BYTES);
            if below(&mut rng, 8) > 0 {
                target.repair(&mut bytes);
            }
        } else {
            bytes.clone_from(&corpus[index as usize]);
        }
        match target {
            Target::Accumulator => {}
            // A checkpoint is replaced by what the sweep has done.
            Target::Checkpoint => fs::write(&path, &bytes).map_err(said)?,
            _ => overwrite(&file, &bytes).map_err(said)?,
        }
        let held = memory::start();
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| target.read(&path, &bytes)));
        let (time, held) = (start.elapsed(), memory::most_since(held));
        let finding = match &result {
            Err(_) => Some("a panic".to_owned()),
            Ok(Err(error)) if !is_allowed(error) => Some(format!("an error that no file should cause: {error}")),
            _ if held > target.allowed(bytes.len()) => {
                Some(format!("{held} bytes of memory for {} bytes", bytes.len()))
            }
            _ if time > MAX_TIME => Some(format!("{time:.1?} for {} bytes", bytes.len())),
            Ok(Err(error)) if index < n_given as u64 => Some(format!("the corpus itself is refused: {error}")),
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
        if matches!(result, Ok(Ok(()))) {
            n_sound += 1;
            if corpus.len() < n_given + MAX_KEPT {
                corpus.push(bytes);
            } else if below(&mut rng, 64) == 0 {
                let place = n_given + below(&mut rng, MAX_KEPT);
                corpus[place] = bytes;
            }
        }
    }
    let _ = fs::remove_file(&path);
    Ok(format!("{n_sound} of them read without an error, at most {:.0}% of the memory that is allowed", 100.0 * most))
}
