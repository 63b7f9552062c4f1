"""Rounds of search end after some without progress, and at once where a wide network gains too little."""

from __future__ import annotations

from relunet.fitting.rounds import Rounds
from relunet.fitting.settings import Settings

SETTINGS = Settings(wide=8, wide_step=4, wide_progress=0.05, least_progress=0.01, last_effort=7)


def test_rounds_without_progress_spend_more_and_end():
    rounds = Rounds(SETTINGS, (1, 2), limit=32, told=True)
    assert (rounds.effort(last=False), rounds.effort(last=True), rounds.most_neurons(3)) == (1, 7, 32)
    assert rounds.is_accepted(0.5, 0, 20)
    assert rounds.is_accepted(0.001, 20, 20)
    assert (rounds.effort(last=False), rounds.is_over) == (2, False)
    assert not rounds.is_accepted(0.0, 20, 21)
    assert rounds.is_over


def test_wide_networks_that_nobody_asked_for_grow_little_and_end_soon():
    rounds = Rounds(SETTINGS, (1, 2, 3), limit=32, told=False)
    assert rounds.is_accepted(0.5, 0, 12)
    assert (rounds.most_neurons(12), rounds.most_neurons(30), rounds.effort(last=True)) == (16, 32, 1)
    assert rounds.is_accepted(0.25, 12, 16)
    assert not rounds.is_over
    assert not rounds.is_accepted(0.15, 16, 20)
    assert rounds.is_over


def test_no_round_without_neurons_or_efforts():
    assert Rounds(SETTINGS, (1,), limit=0, told=True).is_over
    assert Rounds(SETTINGS, (), limit=3, told=True).is_over
