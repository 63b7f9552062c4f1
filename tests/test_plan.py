"""Plans: sweeps and machines are computed correctly, and a fit does what its plan says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import relunet
from relunet import cli
from relunet import plan as plans
from relunet.errors import ArgumentError
from relunet.fitting.settings import Settings
from relunet.plan import Rates, measure, plan

RATES = Rates(inputs=2e-8, slices=3e-8, gradient=1e-8, risk=5e-9, search=2.0, search_rows=10_000)


def test_time_is_that_of_the_sweeps_and_of_the_search():
    small, large = (plan(n, 20, 4, noisy=False, rates=RATES) for n in (10**9, 2 * 10**9))
    assert [(stage.name, stage.sweeps) for stage in large.stages] == [
        ("inputs", 1),
        ("subspace", 1),
        ("discovery", 0),
        ("polish", 1),
        ("validation", 1),
    ]
    assert large.seconds - small.seconds == pytest.approx(1e9 * (2e-8 + 3e-8 + 1e-8 + 5e-9))
    assert small.seconds_in_memory == large.seconds_in_memory == small.stages[2].seconds
    assert (large.sweeps, large.bytes_read) == (4, 4 * 2 * 10**9 * 21 * 8)
    assert small.memory == large.memory


def test_more_rows_take_more_sweeps_only_by_their_logarithm():
    sweeps = [plan(10**digits, 20, 4, rates=RATES).sweeps for digits in range(5, 19)]
    assert sweeps == sorted(sweeps)
    assert sweeps[0] >= 7
    assert sweeps[-1] <= 18


def test_slow_storage_decides():
    slow = plan(10**9, 20, 4, rates=RATES, read_rate=1e6, row_bytes=80)
    assert slow.seconds - slow.seconds_in_memory == pytest.approx(slow.sweeps * 80e9 / 1e6)


def test_machines_share_sweeps_and_nothing_else():
    alone = plan(10**12, 20, 4, rates=RATES)
    shared = plan(10**12, 20, 4, rates=RATES, deadline=3600.0)
    swept = alone.seconds - alone.seconds_in_memory
    assert shared.machines == int(np.ceil(swept / (3600 - alone.seconds_in_memory)))
    assert f"60 min: {shared.machines} machines like this" in str(shared)
    assert plan(10**6, 20, 4, rates=RATES, deadline=3600.0).machines == 1
    hopeless = plan(10**12, 20, 4, rates=RATES, deadline=alone.seconds_in_memory)
    assert hopeless.machines is None
    assert "too short" in str(hopeless)


@pytest.mark.parametrize("bad", [{"n_rows": 0}, {"n_neurons": -1}, {"deadline": 0.0}, {"read_rate": -1.0}])
def test_what_makes_no_sense_is_refused(bad):
    size = {"n_rows": 10, "n_columns": 2, "n_neurons": 1}
    with pytest.raises(ArgumentError, match=f"^{next(iter(bad))}: "):
        plan(**{**size, **bad}, rates=RATES)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_sweeps_of_a_fit_are_those_planned(noise):
    teacher = relunet.teachers.generic(10, 2, rng=0)
    X, y = teacher.sample(60_000, rng=1)
    y = y + noise * np.random.default_rng(2).standard_normal(len(y))
    report = relunet.learn(relunet.scan_array(X, y), n_neurons=2).report
    planned = plan(len(y), 10, 2, noisy=noise > 0, rates=RATES)
    done = {stage.name: stage.sweeps for stage in report.stages}
    assert all(abs(stage.sweeps - done[stage.name]) <= 1 for stage in planned.stages), done


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_sweeps_of_a_sketched_fit_are_about_those_planned(monkeypatch, noise):
    monkeypatch.setattr(plans, "DEFAULTS", Settings(max_dense=10))
    teacher = relunet.teachers.generic(60, 2, rng=0)
    X, y = teacher.sample(8000, rng=1, noise=noise)
    report = relunet.learn(relunet.scan_array(X, y), n_neurons=2, fit_bias=False, max_dense=10).report
    planned = plan(len(y), 60, 2, noisy=noise > 0, rates=RATES)
    assert planned.sweeps == pytest.approx(report.sweeps, rel=0.3), report.stages


def test_a_plan_for_many_features_is_linear_in_them():
    few, many = (plan(10**6, d, 4, rates=RATES) for d in (5000, 20_000))
    assert many.memory < 4 * few.memory < 4e9


def test_rates_are_measured(monkeypatch):
    monkeypatch.setattr(plans, "MEASURED_BYTES", 2**16)
    rates = measure(4, 1, noisy=False, n_jobs=1)
    assert min(rates.inputs, rates.slices, rates.gradient, rates.risk, rates.search) > 0
    assert rates.search_rows == 2**16 // 32


def test_command_line(monkeypatch, capsys):
    monkeypatch.setattr(plans, "measure", lambda *_, **__: replace(RATES, search=1.0))
    size = ["--rows", "1e12", "--columns", "20", "-k", "4"]
    assert cli.main(["plan", *size, "--deadline", "2h", "--read", "1GB", "--method", "default"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1,000,000,000,000 rows of 20 columns, 4 neurons")
    assert "reads      2.35 PB: 14 times 168 TB" in printed
    assert "deadline   2 h: 328 machines like this" in printed
    for wrong in (["--rows", "1.5"], ["--rows", "many"], ["--deadline", "soon"]):
        with pytest.raises(SystemExit):
            cli.main(["plan", *size, *wrong])
