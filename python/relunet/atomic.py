"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from relunet.errors import FileError, RelunetError

try:
    import fcntl
except ImportError:  # Windows, which does not remove files that are open
    fcntl = None  # type: ignore[assignment]

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a draft beside `path` that takes its place once all is written, and is removed if anything fails.

    A symbolic link is followed: the file that it points to is replaced. A file that is replaced keeps its permissions.
    Drafts of earlier writers that were killed are removed.

    Parameters
    ----------
    path : path
        File to write; one that exists is replaced.

    Raises
    ------
    FileError
        When the file cannot be written, or is a folder, a device, a pipe or a socket.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "file")
    >>> with replacing(path) as file:
    ...     _ = file.write(b"text")
    >>> path.read_bytes()
    b'text'
    """
    draft: Path | None = None
    try:
        target, mode = _target(path)
        _remove_abandoned(target)
        file, draft = _draft(target)
        with file:
            if mode is not None:
                os.chmod(draft, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":
                os.replace(draft, target)
        if os.name == "nt":
            os.replace(draft, target)
        _sync_folder(target.parent)
    except RelunetError:
        raise
    except (OSError, ValueError) as error:
        # Python reports a path with a null character as a ValueError.
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{os.fspath(path)!r}: cannot be written ({reason})") from error
    finally:
        if draft is not None:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def _target(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Return the file that a path leads to and, where it exists, its permissions."""
    if not os.fspath(path):
        raise FileError("'': cannot be written (an empty path)")
    target = Path(os.path.realpath(path))
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return target, None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, a pipe or a socket"
        raise FileError(f"{os.fspath(path)!r}: cannot be written ({kind}, expected a regular file)")
    return target, stat.S_IMODE(found.st_mode)


def _prefix(target: Path) -> str:
    """Return how the names of the drafts of a file begin: short, whatever the name of the file."""
    return f".relunet-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def _draft(target: Path) -> tuple[IO[bytes], Path]:
    """Create a draft of a file and lock it for as long as it is open."""
    while True:
        draft = target.with_name(f"{_prefix(target)}{secrets.token_hex(6)}.tmp")
        file = open(draft, "xb")  # noqa: SIM115 (the caller closes it)
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        # Another writer may have taken the draft for an abandoned one before it was locked.
        if draft.exists():
            return file, draft
        file.close()


def _remove_abandoned(target: Path) -> None:
    """Remove drafts of this file that no living process holds a lock on."""
    if fcntl is not None:
        for draft in target.parent.glob(f"{_prefix(target)}*.tmp"):
            with contextlib.suppress(OSError), open(draft, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the name of a file as durable as its content, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
