//! Checkpoints of a sweep: the finished parts of its tree in a file that is replaced atomically.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::plan::Plan;
use crate::error::{Error, Result};
use crate::moments::Moments;
use crate::moments::bytes::{CHECKPOINT, Reader, Writer, damaged};

/// The file in which a sweep stores partial sums, the interval between writes, and the identity of its samples.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Path of the file.
    pub path: PathBuf,
    /// Time between two writes.
    pub every: Duration,
    /// Hash that identifies the samples; a file of other samples is refused.
    pub identity: Vec<u8>,
}

/// Sums over all rows of some consecutive leaves, or over the first rows of a single leaf.
#[derive(Debug)]
struct Part {
    leaves: Range<u64>,
    /// The first row that is not in the sums.
    next_row: u64,
    sums: Vec<Moments>,
}

#[derive(Default)]
struct State {
    /// Parts by their first leaf.
    parts: BTreeMap<u64, Arc<Part>>,
    /// Leaves in progress, with the number of the last write to which they contributed their sums.
    active: BTreeMap<u64, u64>,
    has_ended: bool,
    failure: Option<Error>,
}

/// The finished parts of a sweep, shared by the threads that compute them and the thread that writes them.
pub(crate) struct Ledger<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a Plan,
    state: Mutex<State>,
    changed: Condvar,
    /// Number of writes requested so far; leaves in progress contribute their sums once to each.
    asked: AtomicU64,
    is_broken: AtomicBool,
}

impl<'a> Ledger<'a> {
    /// Reads the parts that an earlier run has stored, or writes a file without parts if there is none.
    ///
    /// # Errors
    /// A file that cannot be written or read, is damaged, or belongs to a sweep other than that of `plan` and `empty`.
    pub(crate) fn open(checkpoint: &'a Checkpoint, plan: &'a Plan, empty: &[Moments]) -> Result<Self> {
        let found = std::fs::metadata(&checkpoint.path);
        if found.is_ok_and(|found| !found.is_file()) {
            return Err(Error::file(&checkpoint.path, "not a regular file"));
        }
        let stored = match std::fs::read(&checkpoint.path) {
            Ok(bytes) => Some(read(checkpoint, plan, empty, &bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(&checkpoint.path, &error)),
        };
        let is_new = stored.is_none();
        let state = Mutex::new(State { parts: stored.unwrap_or_default(), ..State::default() });
        let (asked, is_broken) = (AtomicU64::new(0), AtomicBool::new(false));
        let ledger = Self { checkpoint, plan, state, changed: Condvar::new(), asked, is_broken };
        if is_new {
            // The first write shows at once whether the location is writable.
            ledger.write()?;
        }
        Ok(ledger)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of rows of all parts.
    pub(crate) fn rows_done(&self) -> u64 {
        self.state().parts.values().map(|part| part.next_row - self.plan.rows(&part.leaves).start).sum()
    }

    /// The sums over exactly these leaves, if they are finished.
    pub(crate) fn done(&self, leaves: &Range<u64>) -> Option<Vec<Moments>> {
        let part = self.state().parts.get(&leaves.start).cloned()?;
        let is_done = part.leaves == *leaves && part.next_row == self.plan.rows(leaves).end;
        is_done.then(|| part.sums.clone())
    }

    /// Starts a leaf: returns its first row that is not summed, and the sums up to it.
    pub(crate) fn begin(&self, leaf: u64) -> Option<(u64, Vec<Moments>)> {
        let mut state = self.state();
        state.active.insert(leaf, 0);
        state.parts.get(&leaf).map(|part| (part.next_row, part.sums.clone()))
    }

    /// Stores the sums of a leaf in progress if a write has been requested or the leaf `is_left` unfinished.
    pub(crate) fn offer(&self, leaf: u64, next_row: u64, sums: &[Moments], given: &mut u64, is_left: bool) {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked > *given || is_left {
            *given = asked;
            let part = Part { leaves: leaf..leaf + 1, next_row, sums: sums.to_vec() };
            let mut state = self.state();
            state.parts.insert(leaf, Arc::new(part));
            if is_left {
                state.active.remove(&leaf);
            } else {
                state.active.insert(leaf, asked);
            }
            self.changed.notify_all();
        }
    }

    /// Stores the merged sums of `leaves`, whose second half began at `middle`.
    pub(crate) fn merged(&self, leaves: &Range<u64>, middle: u64, sums: &[Moments]) {
        let part = Part { leaves: leaves.clone(), next_row: self.plan.rows(leaves).end, sums: sums.to_vec() };
        let mut state = self.state();
        state.parts.remove(&middle);
        state.parts.insert(leaves.start, Arc::new(part));
    }

    /// Whether a write has failed, which ends the sweep.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Writes at regular intervals until the sweep has ended.
    fn write_regularly(&self) {
        loop {
            let every = self.checkpoint.every;
            let wait = |state, condition: &mut dyn FnMut(&mut State) -> bool| {
                let waited = self.changed.wait_timeout_while(state, every, condition);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
            if wait(self.state(), &mut |state| !state.has_ended).has_ended {
                return;
            }
            let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            // A leaf that waits for rows longer than this is written as it was in the last write.
            let behind = |state: &State| state.active.values().any(|given| *given < asked);
            drop(wait(self.state(), &mut |state| !state.has_ended && behind(state)));
            if let Err(error) = self.write() {
                self.state().failure = Some(error);
                self.is_broken.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Writes regularly while `run` lasts, and once more after it.
    ///
    /// # Errors
    /// Errors of `run`, and a file that cannot be written.
    pub(crate) fn keep<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let result = std::thread::scope(|scope| {
            scope.spawn(|| self.write_regularly());
            let _end = Ending(self);
            run()
        });
        match (result, self.close()) {
            (Ok(value), stored) => stored.map(|()| value),
            (Err(Error::Cancelled), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Writes a last time, and returns the error of the regular writes if there was one.
    fn close(&self) -> Result<()> {
        let failure = self.state().failure.take();
        failure.map_or_else(|| self.write(), Err)
    }

    fn write(&self) -> Result<()> {
        let parts: Vec<Arc<Part>> = self.state().parts.values().cloned().collect();
        let mut writer = Writer::new(CHECKPOINT);
        writer.integers(&self.plan.shape());
        writer.bytes(&self.checkpoint.identity);
        writer.integer(parts.len() as u64);
        for part in parts {
            writer.integers(&[part.leaves.start, part.leaves.end, part.next_row]);
            writer.integer(part.sums.len() as u64);
            part.sums.iter().for_each(|sum| writer.bytes(&sum.to_bytes()));
        }
        replace(&self.checkpoint.path, &writer.finish())
    }
}

/// Ends the regular writes when it is dropped, also during a panic.
struct Ending<'a>(&'a Ledger<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.changed.notify_all();
    }
}

fn read(checkpoint: &Checkpoint, plan: &Plan, empty: &[Moments], bytes: &[u8]) -> Result<BTreeMap<u64, Arc<Part>>> {
    let path = &checkpoint.path;
    let refused_file = |error: Error| match error {
        Error::Data { message, .. } => Error::file(path, format!("not a checkpoint that can be used, {message}")),
        other => other,
    };
    let refused = |of: String| Error::argument("checkpoint", format!("{}: of a sweep {of}", path.display()));
    let (kind, mut reader) = Reader::new(bytes).map_err(refused_file)?;
    if kind != CHECKPOINT {
        return Err(Error::file(path, "a stored accumulator, expected the checkpoint of a sweep"));
    }
    let shape = reader.integers().map_err(refused_file)?;
    if shape != plan.shape() {
        let show = |shape: &[u64]| match shape {
            [n_rows, n_features, ..] => format!("{n_rows} rows of {n_features} columns"),
            _ => "rows".into(),
        };
        return Err(refused(format!("over {}, expected {}", show(&shape), show(&plan.shape()))));
    }
    if reader.bytes().map_err(refused_file)? != checkpoint.identity {
        return Err(refused("over other samples".into()));
    }
    let mut parts = BTreeMap::new();
    for _ in 0..reader.integer().map_err(refused_file)? {
        let part = read_part(&mut reader).map_err(refused_file)?;
        let same = part.sums.len() == empty.len() && part.sums.iter().zip(empty).all(|(a, b)| a.may_merge(b));
        if !same {
            return Err(refused("of other accumulators".into()));
        }
        let (rows, is_leaf) = (plan.rows(&part.leaves), part.leaves.start + 1 == part.leaves.end);
        let whole = part.next_row == rows.end || is_leaf && rows.contains(&part.next_row);
        let counted = part.sums.iter().all(|sum| sum.n_rows() == part.next_row.saturating_sub(rows.start));
        if part.leaves.is_empty() || !whole || !counted {
            return Err(Error::file(path, "not a checkpoint that can be used, its parts do not fit"));
        }
        parts.insert(part.leaves.start, Arc::new(part));
    }
    reader.finish().map_err(refused_file)?;
    Ok(parts)
}

fn read_part(reader: &mut Reader<'_>) -> Result<Part> {
    let place = reader.integers()?;
    let &[first, end, next_row] = place.as_slice() else {
        return Err(damaged("damaged: sizes do not fit"));
    };
    let sums = (0..reader.integer()?).map(|_| Moments::from_bytes(reader.bytes()?)).collect::<Result<_>>()?;
    Ok(Part { leaves: first..end, next_row, sums })
}

/// Replaces the content of the file `path` by `bytes` atomically: after a crash the file holds the old or the new bytes.
///
/// The bytes are first written to a draft in the same folder, which this process locks. Drafts without a lock were left
/// by processes that were killed, and are removed. Links are followed, and a file that is replaced keeps its permissions.
///
/// # Errors
/// Errors of the system, with the path; a path to something other than a regular file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = linked(path).map_err(|error| Error::io(path, &error))?;
    let found = std::fs::metadata(&target).ok();
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(Error::file(path, "not a regular file"));
    }
    let write = || {
        remove_abandoned(&target);
        let (mut file, draft) = new_draft(&target)?;
        let permitted = found.as_ref().map_or(Ok(()), |found| file.set_permissions(found.permissions()));
        let written = permitted
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| rename(file, &draft, &target));
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        written.and_then(|()| sync_folder(&target))
    };
    write().map_err(|error| Error::io(path, &error))
}

/// Longest chain of links that is followed, as on Linux.
const MAX_LINKS: usize = 40;

/// The file that a path leads to, which need not exist.
fn linked(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&target) {
            // a relative link starts at the folder that it is in
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("too many levels of symbolic links"))
}

/// Characters of the name of a file that the names of its drafts repeat, so that they are not too long.
const DRAFT_CHARS: usize = 40;

/// Prefix of the names of the drafts of a file.
fn draft_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{}.draft-", name.chars().take(DRAFT_CHARS).collect::<String>())
}

/// A draft of a file, locked while it is open.
fn new_draft(target: &Path) -> std::io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let draft = target.with_file_name(format!("{}{}-{number}", draft_prefix(target), std::process::id()));
        match File::create_new(&draft) {
            Ok(file) => {
                // Drafts are written without a lock on file systems that do not support locks.
                let _ = file.lock();
                // Another writer may have taken the draft for an abandoned one before it was locked.
                if draft.exists() {
                    return Ok((file, draft));
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn rename(_locked: File, draft: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::rename(draft, target)
}

/// On other systems a file must be closed before it is renamed.
#[cfg(not(unix))]
fn rename(locked: File, draft: &Path, target: &Path) -> std::io::Result<()> {
    drop(locked);
    std::fs::rename(draft, target)
}

/// Removes drafts of a file that no process has locked; errors are ignored.
fn remove_abandoned(target: &Path) {
    let prefix = draft_prefix(target);
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Makes the name of a file as durable as its content.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::sweep::resumable_sweep;
    use crate::sweep::tests::{D, every_kind_of, generated};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("relunet-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Accumulators of three arbitrary kinds.
    fn some() -> Vec<Moments> {
        every_kind_of(1, D).into_iter().filter(|sums| matches!(sums, Moments::Input(_) | Moments::Slice(_))).collect()
    }

    fn checkpoint(path: PathBuf) -> Checkpoint {
        Checkpoint { path, every: Duration::from_millis(5), identity: b"these".to_vec() }
    }

    /// Bits of the sums over some rows, and how many rows were read for them.
    fn swept(n_rows: u64, n_threads: usize, checkpoint: Option<&Checkpoint>) -> (Vec<Vec<u8>>, u64) {
        let mut sums = some();
        let source = generated(n_rows);
        resumable_sweep(&source, &mut sums, Some(n_threads), &Control::default(), checkpoint).unwrap();
        (sums.iter().map(Moments::to_bytes).collect(), source.n_read.into_inner())
    }

    #[test]
    fn a_sweep_goes_on_from_any_moment_with_the_same_bits() {
        let folder = folder("resume");
        let n_rows = 600_001;
        let (whole, _) = swept(n_rows, 2, None);
        for (i, at) in [0_u64, 123_456, 300_000, 600_000].into_iter().enumerate() {
            let (file, copy) = (folder.join(format!("{i}")), folder.join(format!("{i}-killed")));
            let (running, left) = (checkpoint(file.clone()), checkpoint(copy.clone()));
            // The file as a process that is killed at this row leaves it.
            let source = generated(n_rows).at(at, || assert!(std::fs::copy(&file, &copy).is_ok()));
            let mut sums = some();
            resumable_sweep(&source, &mut sums, Some(1 + i % 3), &Control::default(), Some(&running)).unwrap();
            assert!(sums.iter().map(Moments::to_bytes).eq(whole.iter().cloned()));
            let (resumed, n_read) = swept(n_rows, 1 + (i + 1) % 3, Some(&left));
            assert!(resumed == whole, "killed at row {at}");
            assert!(n_read <= n_rows, "{n_read} rows read, killed at row {at}");
            // A finished sweep is not repeated.
            let (again, n_read) = swept(n_rows, 2, Some(&left));
            assert!(again == whole && n_read == 0);
        }
    }

    #[test]
    fn an_interrupt_keeps_what_was_done() {
        let kept = Checkpoint { every: Duration::from_secs(3600), ..checkpoint(folder("interrupt").join("kept")) };
        let control = Control::default();
        let source = generated(600_001).at(400_000, || control.cancel());
        let error = resumable_sweep(&source, &mut some(), Some(2), &control, Some(&kept)).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
        let read = source.n_read.into_inner();
        let (resumed, rest) = swept(600_001, 2, Some(&kept));
        assert_eq!(read + rest, 600_001);
        assert!(resumed == swept(600_001, 2, None).0);
    }

    #[test]
    fn checkpoints_of_other_sweeps_and_damaged_ones_are_refused() {
        let folder = folder("refused");
        let kept = checkpoint(folder.join("kept"));
        swept(70_001, 2, Some(&kept));
        let refused = |n_rows, sums: &mut Vec<Moments>, checkpoint: &Checkpoint| {
            let result = resumable_sweep(&generated(n_rows), sums, None, &Control::default(), Some(checkpoint));
            result.unwrap_err().to_string()
        };
        let message = refused(70_002, &mut some(), &kept);
        assert!(message.ends_with("of a sweep over 70001 rows of 19 columns, expected 70002 rows of 19 columns"));
        let other = Checkpoint { identity: b"those".to_vec(), ..kept.clone() };
        assert!(refused(70_001, &mut some(), &other).ends_with("of a sweep over other samples"));
        let mut fewer = some();
        fewer.pop();
        assert!(refused(70_001, &mut fewer, &kept).ends_with("of a sweep of other accumulators"));

        let bytes = std::fs::read(&kept.path).unwrap();
        for at in [0, 9, 13, 30, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&kept.path, &damaged).unwrap();
            assert!(refused(70_001, &mut some(), &kept).contains("kept"), "byte {at}");
            std::fs::write(&kept.path, &bytes[..at]).unwrap();
            assert!(refused(70_001, &mut some(), &kept).contains("kept"), "cut at {at}");
        }
        std::fs::write(&kept.path, some()[0].to_bytes()).unwrap();
        assert!(refused(70_001, &mut some(), &kept).contains("a stored accumulator"));
        let nowhere = checkpoint(folder.join("missing").join("kept"));
        assert!(refused(70_001, &mut some(), &nowhere).contains("missing"));
    }
}
