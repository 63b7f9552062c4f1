"""Output files: links are followed, permissions kept, devices, pipes and folders refused, nothing half written."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from relunet import ReLUNetwork, learn, scan_array, scan_batches
from relunet.atomic import replacing
from relunet.errors import FileError
from relunet.moments import InputMoments, sweep

unix = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and permissions as Unix has them")
NETWORK = ReLUNetwork([[1.0, 2.0]], [1.0])
X = np.random.default_rng(0).standard_normal((50, 2))


def save(path: Path) -> None:
    NETWORK.save(path)


def checkpoint(path: Path) -> None:
    sweep(scan_array(X), [InputMoments(2)], checkpoint=path)


def text(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"text")


WRITERS = [save, checkpoint, text]


@unix
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path: Path, write: Callable[[Path], None], exists: bool) -> None:
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    if exists:
        write(target)
    link.symlink_to(Path("folder", "target"))
    write(link)
    assert link.is_symlink()
    assert target.is_file()
    assert target.stat().st_size > 0
    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]
    assert os.listdir(target.parent) == ["target"]


@unix
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_permissions_are_kept(tmp_path: Path, write: Callable[[Path], None], mode: int) -> None:
    path = tmp_path / "private"
    write(path)
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@unix
@pytest.mark.parametrize("write", WRITERS)
def test_what_is_no_regular_file_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to("/dev/full")
    before = os.lstat(fifo), os.stat("/dev/full")
    for path in (fifo, link, tmp_path):
        with pytest.raises(FileError, match=f"{path}.*(regular file|directory)"):
            write(path)
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode)
    assert os.lstat(fifo).st_ino == before[0].st_ino
    assert os.stat("/dev/full").st_rdev == before[1].st_rdev
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link"]


@pytest.mark.parametrize("write", WRITERS)
def test_long_names(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / ("a" * 250)
    write(path)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["", "a\0", "a" * 300, "nowhere/file"])
def test_paths_that_cannot_be_are_errors_of_the_package(tmp_path: Path, name: str) -> None:
    path = os.path.join(tmp_path, name) if name else ""
    for write in (lambda: NETWORK.save(path), lambda: checkpoint(path)):  # type: ignore[arg-type]
        with pytest.raises(FileError):
            write()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FileError, match="spill"):
        scan_batches(iter([X]), spill=file)
    with pytest.raises(FileError, match="checkpoint"):
        learn(scan_array(X, X[:, 0]), checkpoint=file)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_drafts_of_killed_writers_are_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file"
    child = os.fork()
    if child == 0:
        with replacing(path) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 1
    assert not path.exists()
    text(path)
    assert os.listdir(tmp_path) == ["file"]
