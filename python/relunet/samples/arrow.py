"""Streams of Arrow record batches, each pass a new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relunet._relunet import ArrowStream
from relunet.samples.pieces import Piece

__all__ = ["ArrowTables"]


@dataclass(frozen=True)
class ArrowTables:
    """The record batches of an object with ``__arrow_c_stream__``, each pass a new stream."""

    obj: Any
    origin: str
    wanted: dict[str, Any]

    def open(self) -> ArrowStream:
        """Start a stream."""
        return ArrowStream(self.obj.__arrow_c_stream__(), self.origin, **self.wanted)

    def __call__(self) -> Iterator[Piece]:
        """Start a pass."""
        return self.pieces(self.open())

    @staticmethod
    def pieces(stream: ArrowStream) -> Iterator[Piece]:
        """Yield the batches of a stream."""
        while (found := stream.next_table()) is not None:
            yield found[0]
