"""Networks in safetensors files, with a version and the names of the features in the metadata."""

from __future__ import annotations

import json
import math
import os
import stat
from typing import IO, Any, TypeGuard

import numpy as np
from safetensors.numpy import save as to_safetensors

from relunet._typing import Array
from relunet.atomic import replacing
from relunet.errors import FileError

__all__ = ["TENSORS", "read", "write"]

TENSORS = ("weights", "output_weights", "biases", "linear", "intercept")
"""Names of the tensors in a file, which are those of the constructor's arguments."""

_FORMAT = "relunet.ReLUNetwork"
_FORMAT_VERSION = 1
# Room for the names of about a million features.
_MAX_HEADER_BYTES = 1 << 24


def write(path: str | os.PathLike[str], tensors: dict[str, Array], feature_names: tuple[str, ...] | None) -> None:
    """Write a network's arrays and feature names; the same network always gives the same bytes."""
    metadata = {"format": _FORMAT, "format_version": str(_FORMAT_VERSION)}
    if feature_names is not None:
        metadata["feature_names"] = json.dumps(feature_names)
    with replacing(path) as file:
        file.write(_serialized(tensors, metadata))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the constructor's arguments of the network in a file that `write` made.

    The file may come from anyone. It is read here rather than by the library, which does not bound what it allocates
    and raises errors of many classes: the header has to be what `write` makes, and the tensors have to fill the rest.

    Raises
    ------
    FileError
        A file that cannot be read, is damaged, is not a network, or was written by a newer version.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:
            header, size = _header(file)
            metadata, version = _metadata(header)
            if version > _FORMAT_VERSION:
                raise _UnreadableError(f"format version {version}, this relunet reads up to {_FORMAT_VERSION}")
            shapes = _shapes(header, size)
            # Aligned, as the arrays that are made of it have to be.
            data = np.fromfile(file, dtype="<f8")
    except _UnreadableError as error:
        raise FileError(f"{os.fspath(path)}: {error}") from error
    except (OSError, ValueError) as error:
        # Python reports a path with a null character as a ValueError.
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{os.fspath(path)!r}: cannot be read ({reason})") from error
    if data.nbytes != size:
        raise FileError(f"{os.fspath(path)}: damaged: {data.nbytes} bytes of tensors, expected {size}")
    tensors = {
        name: data[start // 8 : end // 8].astype(np.float64, copy=False).reshape(shape)
        for name, (shape, start, end) in shapes.items()
    }
    return {**tensors, "feature_names": _feature_names(path, metadata)}


class _UnreadableError(Exception):
    """A defect of a file."""


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; opening a pipe would wait for its writer."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _UnreadableError("not a regular file")
    return descriptor


def _header(file: IO[bytes]) -> tuple[dict[Any, Any], int]:
    """Return the header of a safetensors file and the number of bytes after it."""
    n_bytes = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if n_bytes < 8 or length > n_bytes - 8:
        raise _UnreadableError("not a readable safetensors file: it ends within its header")
    if length > _MAX_HEADER_BYTES:
        raise _UnreadableError(f"a header of {length} bytes, at most {_MAX_HEADER_BYTES} are read")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise _UnreadableError(f"not a readable safetensors file: its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _UnreadableError("not a readable safetensors file: its header is not a JSON object")
    return header, n_bytes - 8 - length


def _metadata(header: dict[Any, Any]) -> tuple[dict[Any, Any], int]:
    """Return the metadata of a network and the version of its format."""
    metadata = header.get("__metadata__")
    version = metadata.get("format_version") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT or not isinstance(version, str):
        raise _UnreadableError("a safetensors file, but not a network that relunet saved")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise _UnreadableError(f"format version {version[:20]!r}, expected a number up to {_FORMAT_VERSION}")
    return metadata, int(version)


def _shapes(header: dict[Any, Any], size: int) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """Return the shape of each tensor and the place of its bytes, which have to cover all `size` bytes once."""
    names = set(header) - {"__metadata__"}
    if names != set(TENSORS):
        found = ", ".join(sorted(repr(name)[:40] for name in names)[:12])
        raise _UnreadableError(f"tensors {found or 'none'}, expected {', '.join(sorted(TENSORS))}")
    shapes = {}
    for name in TENSORS:
        entry = header[name]
        shape, place = (entry.get(key) if isinstance(entry, dict) else None for key in ("shape", "data_offsets"))
        if not _are_sizes(shape) or len(shape) > 2 or not _are_sizes(place) or len(place) != 2:
            raise _UnreadableError(f"damaged: tensor {name!r} has no shape or no place")
        if entry.get("dtype") != "F64":
            raise _UnreadableError(f"damaged: tensor {name!r} is of type {str(entry.get('dtype'))[:20]}, expected F64")
        start, end = place
        if end - start != 8 * math.prod(shape) or start % 8 or end > size:
            raise _UnreadableError(f"damaged: tensor {name!r} of shape {tuple(shape)} does not fill its bytes")
        shapes[name] = tuple(shape), start, end
    covered = 0
    for _, start, end in sorted(shapes.values(), key=lambda item: item[1:]):
        if start != covered:
            raise _UnreadableError("damaged: the bytes of the tensors overlap or leave gaps")
        covered = end
    if covered != size:
        raise _UnreadableError(f"damaged: {size} bytes of tensors, expected {covered}")
    return shapes


def _are_sizes(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**60 for value in values)


def _feature_names(path: str | os.PathLike[str], metadata: dict[Any, Any]) -> list[str] | None:
    if "feature_names" not in metadata:
        return None
    try:
        names = json.loads(metadata["feature_names"])
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{os.fspath(path)}: feature_names in the metadata are not JSON ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileError(f"{os.fspath(path)}: feature_names in the metadata are no list of strings")
    return names


def _serialized(tensors: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file with a sorted header, because the library writes metadata in any order."""
    data = to_safetensors(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    padded = header.ljust(-(-len(header) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded + data[end:]
