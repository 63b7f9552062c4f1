"""Samples on a Dask cluster, whose sweeps sum each partition on the worker that holds it.

Partial sums are merged in a tree. Partitions are computed again in every sweep and never persisted, so that workers
need memory only for the partitions in progress. Only the bytes of `Accumulator.to_bytes` are transferred, and the
partition of a lost worker is summed again by another worker. This module needs the extra ``relunet[dask]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from relunet.errors import ArgumentError, DataError, RelunetError
from relunet.moments import Accumulator
from relunet.samples import Rows, Samples, scan_array
from relunet.samples.identity import block_rows, rows_hash
from relunet.samples.names import default_names, feature_names, order_of
from relunet.samples.paths import checked_column, checked_columns, checked_target
from relunet.samples.pieces import width_of
from relunet.samples.protocol import SweepFile, n_outputs

__all__ = ["DaskSamples", "scan_dask"]

# Number of partial sums that each node of the tree merges.
WIDTH = 8


def scan_dask(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
) -> DaskSamples:
    """Scan a Dask array, a Dask data frame or a list of delayed partitions.

    This call counts the rows. Unless `X` is an array with known chunk sizes, it computes every partition once to do so.

    Parameters
    ----------
    X : dask.array.Array, dask.dataframe.DataFrame or sequence of dask.delayed.Delayed
        Inputs, of shape (n_rows, n_columns). Partitions may have any size and may be empty. A delayed partition
        evaluates to an array or data frame of inputs, to a tuple ``(X, y)`` or to a tuple ``(X, y, sample_weight)``.
    y : dask.array.Array or dask.dataframe.Series, default=None
        Labels, with the same partitions as `X`; arrays of known chunk sizes are rechunked like `X`.
    sample_weight : dask.array.Array or dask.dataframe.Series, default=None
        Row weights, with the same partitions as `X`; arrays of known chunk sizes are rechunked like `X`.
    target : str, default=None
        Column of a data frame that holds the labels, instead of `y`.
    columns : sequence of str, default=None
        Columns of a data frame that hold the inputs; None means all except `target` and `weight`.
    weight : str, default=None
        Column of a data frame that holds the row weights, instead of `sample_weight`.

    Returns
    -------
    DaskSamples
        Samples for `relunet.learn`, `ReLUNetRegressor` and `relunet.moments.sweep`.

    Raises
    ------
    ArgumentError
        An argument has an unsupported type, two arguments exclude each other, or the partitions of `y` or
        `sample_weight` do not match those of `X`.
    DataError
        There are no rows or no columns, partitions differ in their columns, or only some partitions have labels.

    Examples
    --------
    >>> import dask.array as da
    >>> from relunet.dask import scan_dask
    >>> from relunet.moments import InputMoments, sweep
    >>> X = da.arange(6.0, chunks=2).reshape(3, 2)
    >>> samples = scan_dask(X.rechunk((2, 2)), y=da.ones(3, chunks=2))
    >>> samples
    <Samples from 2 Dask partitions: 3 labelled rows, 2 columns, float64>
    >>> inputs = InputMoments(2)
    >>> sweep(samples, [inputs])
    >>> inputs.mean
    array([2., 3.])
    """
    import dask

    if target is not None and y is not None:
        raise ArgumentError(f"target: {target!r}, expected None if y is given")
    if weight is not None and sample_weight is not None:
        raise ArgumentError(f"weight: {weight!r}, expected None if sample_weight is given")
    parts, lengths = _partitions(X, y, sample_weight)
    names = checked_columns("columns", columns)
    chosen = _Chosen(checked_target(target), checked_column("weight", weight), None if names is None else tuple(names))
    partitions = [_Partition(number, *part, chosen) for number, part in enumerate(parts)]
    if lengths is None:
        facts = list(dask.compute(*(dask.delayed(_facts)(*partition) for partition in partitions)))
    else:
        # The metadata of an array suffices: no partition has to be computed.
        columns_of_X = default_names(X.shape[1])
        facts = [_Facts(length, columns_of_X, False, X.dtype == np.float32, width_of(y)) for length in lengths]
    filled = [number for number, fact in enumerate(facts) if fact.n_rows]
    if not filled:
        raise DataError(f"X: no rows in {len(facts)} partitions, expected at least one")
    first = facts[filled[0]]
    if first.has_names:
        chosen = chosen._replace(columns=first.columns)
    for number in filled:
        if first.has_names and facts[number].has_names:
            order_of(facts[number].columns, first.columns, f"X: partition {number}")
            partitions[number] = partitions[number]._replace(chosen=chosen)
        elif (facts[number].columns, facts[number].has_names) != (first.columns, first.has_names):
            raise DataError(f"X: partition {number} has {facts[number]}, partition {filled[0]} {first}")
        if facts[number].n_outputs != first.n_outputs:
            raise DataError(f"X: partition {number} has {facts[number]}, partition {filled[0]} {first}")
    single = all(facts[number].is_single for number in filled)
    return DaskSamples(
        [partitions[number] for number in filled],
        [facts[number].n_rows for number in filled],
        first.columns,
        np.dtype(np.float32 if single else np.float64),
        first.n_outputs,
        first.columns if first.has_names else None,
    )


class DaskSamples:
    """Samples on a Dask cluster, as returned by `scan_dask`.

    They implement the `Samples` protocol; `sweep` sums the rows on the cluster.

    Parameters
    ----------
    partitions : list of tuple
        For each partition its number, its delayed inputs, labels and weights, and the chosen columns.
    lengths : list of int
        Number of rows of each partition.
    columns : tuple of str
        Names of the input columns.
    dtype : dtype
        Type of the inputs, float32 or float64.
    n_outputs : int
        Number of labels of each row; 0 if rows have none.
    feature_names : tuple of str or None, default=None
        Names of the input columns if the data frames name them; None if the names in `columns` are generated.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_columns : int
        Number of input columns.
    columns : tuple of str
        Names of the input columns.
    dtype : dtype
        Type of the inputs, float32 or float64.
    has_labels : bool
        Whether the rows have labels.
    can_resume : bool
        Always False: sweeps on a cluster do not support checkpoints.
    feature_names : tuple of str or None
        Names of the input columns if the data frames name them.
    """

    def __init__(
        self,
        partitions: list[_Partition],
        lengths: list[int],
        columns: tuple[str, ...],
        dtype: np.dtype[Any],
        n_outputs: int,
        feature_names: tuple[str, ...] | None = None,
    ) -> None:
        self._partitions, self._lengths = partitions, lengths
        self.n_rows, self.n_columns, self.columns = sum(lengths), len(columns), columns
        self.dtype, self.n_outputs, self.feature_names = dtype, n_outputs, feature_names
        self.has_labels = n_outputs > 0

    @property
    def can_resume(self) -> bool:
        """Whether a sweep can be resumed from a checkpoint; always False."""
        return False

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        """Iterate over all rows in order, in blocks on this machine.

        Partitions are computed one after another and transferred to this machine.

        Parameters
        ----------
        size : int, default=65536
            Maximum number of rows per block.

        Returns
        -------
        iterator of tuple
            Inputs, labels or None, and weights or None of consecutive rows.

        Raises
        ------
        ArgumentError
            `size` is below 1.
        """
        if size < 1:
            raise ArgumentError(f"size: {size}, expected at least 1")
        return self._blocks(size)

    def _blocks(self, size: int) -> Iterator[Rows]:
        import dask

        for partition in self._partitions:
            (read,) = dask.compute(tuple(partition))
            samples = _scanned(*read)
            if samples is not None:
                yield from samples.blocks(size)

    def identity(self) -> bytes:
        """Return a hash of all rows: that of each partition is computed where it is."""
        import dask

        labels = self.n_outputs if self.n_outputs > 1 else self.has_labels
        facts = self.n_rows, self.n_columns, str(self.dtype), labels
        hashes = dask.compute(*(dask.delayed(_rows_hash)(*partition) for partition in self._partitions))
        return hashlib.sha256(repr((facts, hashes)).encode()).digest()

    def sweep(
        self,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
        checkpoint: SweepFile | None = None,
    ) -> int:
        """Add all rows to accumulators; they are left unchanged if the sweep fails.

        Parameters
        ----------
        accumulators : sequence of Accumulator
            Accumulators to update.
        n_jobs : int, default=None
            Number of threads per partition; None means one, because a cluster works on many partitions at once.
        progress : callable, default=None
            Function that is called with the number of rows summed so far whenever a partition is finished.
        checkpoint : None
            Must be None; checkpoints are not supported.

        Returns
        -------
        int
            Number of rows read.

        Raises
        ------
        ArgumentError
            A checkpoint was given, or an accumulator does not fit the columns.
        DataError
            Rows hold values that cannot be used, where the message names the partition, or the number of rows has
            changed since they were counted.
        """
        import dask

        if checkpoint is not None:
            raise ArgumentError(f"checkpoint: {checkpoint.path!r}, expected None for {self!r}")
        empty = [accumulator.empty() for accumulator in accumulators]
        # A node of its own, so that the empty accumulators are sent once and not with every partition.
        configuration = dask.delayed([sums.to_bytes() for sums in empty])
        add, merge = dask.delayed(_sums), dask.delayed(_merged)
        leaves = [add(*partition, configuration, n_jobs or 1) for partition in self._partitions]
        level = leaves
        while len(level) > 1:
            level = [merge(level[i : i + WIDTH]) for i in range(0, len(level), WIDTH)]
        totals = _computed(level[0], dict(zip(leaves, self._lengths, strict=True)), progress)
        sums = [Accumulator.from_bytes(data) for data in totals]
        for total in sums:
            if total.n_rows != self.n_rows:
                raise DataError(f"X: {total.n_rows} rows were summed, expected {self.n_rows} as counted by scan_dask")
        for accumulator, total in zip(accumulators, sums, strict=True):
            accumulator.merge(total)
        return self.n_rows

    def __repr__(self) -> str:
        labels = "labelled" if self.has_labels else "unlabelled"
        return (
            f"<Samples from {len(self._partitions)} Dask partitions: {self.n_rows} {labels} rows, "
            f"{self.n_columns} columns, {self.dtype}>"
        )


def _partitions(X: Any, y: Any, sample_weight: Any) -> tuple[list[tuple[Any, Any, Any]], tuple[int, ...] | None]:
    """Return the delayed (X, y, sample_weight) of each partition, and the lengths of all partitions if known."""
    from dask.delayed import Delayed

    if isinstance(X, Sequence) and all(isinstance(part, Delayed) for part in X):
        if y is not None or sample_weight is not None:
            raise ArgumentError("y, sample_weight: expected None, because delayed partitions of X contain them")
        return [(part, None, None) for part in X], None
    lengths = None
    if hasattr(X, "chunks"):
        if X.ndim != 2:
            raise DataError(f"X: shape {X.shape}, expected 2 dimensions, (n_rows, n_columns)")
        X = X.rechunk({1: -1}) if X.shape[1] else X
        lengths = X.chunks[0] if not np.isnan(X.chunks[0]).any() else None
        parts = X.to_delayed().ravel().tolist()
    elif hasattr(X, "to_delayed"):
        parts = X.to_delayed()
    else:
        raise ArgumentError(f"X: {type(X).__name__}, expected a Dask array or data frame or a list of Delayed")
    rows = [
        parts,
        *(_like(values, name, parts, lengths) for name, values in (("y", y), ("sample_weight", sample_weight))),
    ]
    return list(zip(*rows, strict=True)), lengths


def _like(values: Any, name: str, parts: list[Any], lengths: tuple[int, ...] | None) -> list[Any]:
    """Return the delayed partitions of labels or weights, matched to those of the inputs."""
    if values is None:
        return [None] * len(parts)
    if not hasattr(values, "to_delayed"):
        raise ArgumentError(f"{name}: {type(values).__name__}, expected a Dask array or series")
    if hasattr(values, "chunks"):
        if lengths is not None and not np.isnan(values.chunks[0]).any():
            if sum(values.chunks[0]) != sum(lengths):
                raise DataError(f"{name}: {sum(values.chunks[0])} rows, expected {sum(lengths)} as in X")
            values = values.rechunk({0: lengths})
        if values.ndim == 2:
            values = values.rechunk({1: -1})
        delayed = values.to_delayed().ravel().tolist()
    else:
        delayed = values.to_delayed()
    if len(delayed) != len(parts):
        raise ArgumentError(f"{name}: {len(delayed)} partitions, expected {len(parts)} as in X")
    return list(delayed)


class _Chosen(NamedTuple):
    """Names of the columns of labels, weights and inputs in data frames; None where no name was given."""

    target: int | str | list[int | str] | None
    weight: int | str | None
    columns: tuple[int | str, ...] | None


class _Partition(NamedTuple):
    """A partition: its number, its delayed inputs, labels and weights, and the chosen columns."""

    number: int
    X: Any
    y: Any
    sample_weight: Any
    chosen: _Chosen


class _Facts(NamedTuple):
    """Metadata of a partition."""

    n_rows: int
    columns: tuple[str, ...]
    has_names: bool
    is_single: bool
    n_outputs: int

    def __str__(self) -> str:
        return f"columns {', '.join(self.columns)} and {self.n_outputs or 'no'} labels"


def _scanned(number: int, X: Any, y: Any, sample_weight: Any, chosen: _Chosen) -> Samples | None:
    """Return the rows of a partition as samples, or None if it is empty."""
    if isinstance(X, tuple):
        X, y, sample_weight = (*X, None, None)[:3]
    if hasattr(X, "columns"):
        targets = chosen.target if isinstance(chosen.target, list) else [chosen.target]
        outputs = [name for name in (*targets, chosen.weight) if name is not None]
        missing = [name for name in (*outputs, *(chosen.columns or ())) if name not in X.columns]
        if missing:
            raise DataError(f"X: partition {number} has no column {missing[0]!r}")
        y = y if chosen.target is None else X[chosen.target]
        sample_weight = sample_weight if chosen.weight is None else X[chosen.weight]
        X = X.drop(columns=outputs) if chosen.columns is None else X[list(chosen.columns)]
    if len(X) == 0:
        return None
    try:
        return scan_array(X, y, sample_weight)
    except RelunetError as error:
        raise type(error)(f"partition {number}: {error}") from error


def _facts(*partition: Any) -> _Facts:
    """Return the metadata of a partition."""
    samples = _scanned(*partition)
    if samples is None:
        return _Facts(0, (), False, True, 0)
    has_names = feature_names(samples) is not None
    return _Facts(samples.n_rows, samples.columns, has_names, samples.dtype == np.float32, n_outputs(samples))


def _rows_hash(number: int, X: Any, y: Any, sample_weight: Any, chosen: _Chosen) -> bytes:
    """Return a hash of the rows of a partition."""
    samples = _scanned(number, X, y, sample_weight, chosen)
    return b"" if samples is None else rows_hash((), samples.blocks(block_rows(samples.n_columns)))


def _sums(
    number: int,
    X: Any,
    y: Any,
    sample_weight: Any,
    chosen: _Chosen,
    configuration: list[bytes],
    n_jobs: int,
) -> list[bytes]:
    """Return the accumulators of a partition, as bytes."""
    samples = _scanned(number, X, y, sample_weight, chosen)
    if samples is None:
        return configuration
    sums = [Accumulator.from_bytes(data) for data in configuration]
    try:
        samples.sweep(sums, n_jobs=n_jobs)
    except RelunetError as error:
        raise type(error)(f"partition {number}: {error}") from error
    return [accumulator.to_bytes() for accumulator in sums]


def _merged(parts: list[list[bytes]]) -> list[bytes]:
    """Merge the accumulators of several parts, given and returned as bytes."""
    totals = [Accumulator.from_bytes(data) for data in parts[0]]
    for part in parts[1:]:
        for total, data in zip(totals, part, strict=True):
            total.merge(Accumulator.from_bytes(data))
    return [total.to_bytes() for total in totals]


def _computed(root: Any, leaves: dict[Any, int], progress: Callable[[int], None] | None) -> Any:
    """Compute `root`, and call `progress` with the number of rows of the leaves that are finished."""
    import dask

    if progress is None:
        return root.compute()
    client = _client()
    done = 0
    if client is not None:
        from distributed import as_completed

        total, *futures = client.compute([root, *leaves])
        lengths = dict(zip((future.key for future in futures), leaves.values(), strict=True))
        try:
            for future in as_completed(futures):
                done += lengths[future.key]
                progress(done)
                future.release()
            return total.result()
        finally:
            client.cancel([total, *futures])
    lengths = {leaf.key: length for leaf, length in leaves.items()}

    def tell(key: Any, *_: object) -> None:
        nonlocal done
        if key in lengths:
            done += lengths[key]
            progress(done)

    with dask.callbacks.Callback(posttask=tell):
        return root.compute()


def _client() -> Any:
    """Return the client of the current Dask cluster, or None if there is none."""
    import dask

    if dask.config.get("scheduler", None) not in (None, "dask.distributed", "distributed"):
        return None
    try:
        from distributed import default_client

        return default_client()
    except (ImportError, ValueError):
        return None
