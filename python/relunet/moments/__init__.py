"""Accumulators: mergeable sums over rows, from which every stage of a fit is computed."""

from relunet._relunet import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    JointGradientMoments,
    LabelMap,
    RiskMoments,
    RowSample,
    SketchMoments,
    SliceMoments,
)
from relunet.moments.sweeping import sweep
from relunet.threads import threads

__all__ = [
    "Accumulator",
    "ContractionMoments",
    "CurvatureMoments",
    "GradientMoments",
    "InputMoments",
    "JointGradientMoments",
    "LabelMap",
    "RiskMoments",
    "RowSample",
    "SketchMoments",
    "SliceMoments",
    "sweep",
    "threads",
]
