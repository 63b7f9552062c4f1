"""The accumulators: mergeable sums over rows, from which every stage of a fit is computed."""

from relunet._relunet import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SliceMoments,
)

__all__ = [
    "Accumulator",
    "ContractionMoments",
    "CurvatureMoments",
    "GradientMoments",
    "InputMoments",
    "RiskMoments",
    "RowSample",
    "SliceMoments",
]
