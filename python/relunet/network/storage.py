"""Networks in safetensors files, with a version and the names of the features in the metadata."""

from __future__ import annotations

import json
import os
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from relunet._typing import Array
from relunet.atomic import replacing
from relunet.errors import FileError

__all__ = ["TENSORS", "read", "write"]

TENSORS = ("weights", "output_weights", "biases", "linear", "intercept")
"""Names of the tensors in a file, which are those of the constructor's arguments."""

_FORMAT = "relunet.ReLUNetwork"
_FORMAT_VERSION = 1


def write(path: str | os.PathLike[str], tensors: dict[str, Array], feature_names: tuple[str, ...] | None) -> None:
    """Write a network's arrays and feature names; the same network always gives the same bytes."""
    metadata = {"format": _FORMAT, "format_version": str(_FORMAT_VERSION)}
    if feature_names is not None:
        metadata["feature_names"] = json.dumps(feature_names)
    with replacing(path) as file:
        file.write(_serialized(tensors, metadata))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the constructor's arguments of the network in a file that `write` made."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{os.fspath(path)}: not a readable safetensors file ({error})") from error
    version = metadata.get("format_version", "")
    if metadata.get("format") != _FORMAT or not version.isdecimal():
        raise FileError(f"{os.fspath(path)}: a safetensors file, but not a network that relunet saved")
    if int(version) > _FORMAT_VERSION:
        raise FileError(f"{os.fspath(path)}: format version {version}, this relunet reads up to {_FORMAT_VERSION}")
    if set(tensors) != set(TENSORS):
        raise FileError(f"{os.fspath(path)}: tensors {sorted(tensors)}, expected {sorted(TENSORS)}")
    try:
        names = json.loads(metadata["feature_names"]) if "feature_names" in metadata else None
    except ValueError as error:
        raise FileError(f"{os.fspath(path)}: feature_names in the metadata are not JSON ({error})") from error
    if names is not None and not isinstance(names, list):
        raise FileError(f"{os.fspath(path)}: feature_names in the metadata are {names!r}, expected a list of strings")
    return {**tensors, "feature_names": names}


def _serialized(tensors: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file with a sorted header, because the library writes metadata in any order."""
    data = to_safetensors(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    padded = header.ljust(-(-len(header) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded + data[end:]
