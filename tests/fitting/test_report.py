"""The report as text."""

from __future__ import annotations

import dataclasses
import json

import pytest

from relunet.fitting.report import ClumpLevel, Report, Stage

BASE = Report(
    status="noise floor",
    n_rows=12_000,
    n_features=8,
    n_neurons=3,
    rank=2,
    risk=0.25,
    risk_network="the network fitted to all rows",
    sweeps=5,
    rows_read=60_000,
)


def test_every_status_is_explained():
    for status in ("exact", "noise floor", "budget", "no structure"):
        first = str(dataclasses.replace(BASE, status=status)).splitlines()[0]
        assert first.startswith(f"{status}: ")
        assert len(first) > len(status) + 10


def test_text_has_all_there_is_to_know():
    full = dataclasses.replace(
        BASE,
        spectrum=(3.0, 2.0, 0.1, 0.09, 0.08, 0.07),
        bulk_edge=0.2,
        scales=(ClumpLevel(0.01, (0, 1, 2), 0.25, chosen=True), ClumpLevel(0.5, (0, 0, 1), 0.5)),
        risk_interval=(0.2, 0.3),
        risk_level=0.9,
        risk_network="network of the first rows",
        stages=(Stage("inputs", 0.5, 1), Stage("polish", 1.5, 4)),
        label_rms=2.0,
        messages=("k = 3 is fewer than the data show",),
    )
    text = str(full)
    for part in (
        "12,000 rows of 8 features; 5 sweeps, 60,000 rows read",
        "3 neurons in a subspace of 2 dimensions",
        "3 2 | 0.1 0.09 0.08 ...   (bulk edge 0.2)",
        "3 at 1.00e-02 rad, held-out risk 0.25 (chosen)",
        "2 at 5.00e-01 rad, held-out risk 0.5\n",
        "0.25, between 0.2 and 0.3 at level 0.9 (network of the first rows)",
        "rms 0.5, 0.25 of the labels'",
        "2.00 s: inputs 0.5 s, polish 1.5 s",
        "note       k = 3 is fewer than the data show",
    ):
        assert part in text


def test_nothing_seen_is_nothing_said():
    text = str(BASE)
    assert "spectrum" not in text
    assert "clumps" not in text
    assert "0.25, on the rows of the fit (the network fitted to all rows)" in text


def test_report_is_data():
    assert json.loads(json.dumps(dataclasses.asdict(BASE)))["rows_read"] == 60_000
    assert dataclasses.replace(BASE) == BASE
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.risk = 0.0
