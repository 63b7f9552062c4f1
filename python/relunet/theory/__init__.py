"""The published algorithms: [CDGKM23], [CN24] and [DK24] with their definitions and lemmas by name.

References
----------
[CDGKM23] S. Chen, Z. Dou, S. Goel, A. Klivans, R. Meka, Learning Narrow One-Hidden-Layer ReLU Networks, COLT 2023.
[CN24] S. Chen, S. Narayanan, A Faster and Simpler Algorithm for Learning Shallow Networks, COLT 2024.
[DK24] I. Diakonikolas, D. Kane, Efficiently Learning One-Hidden-Layer ReLU Networks via Schur Polynomials, COLT 2024.
"""

from relunet.theory.estimate import Estimate, Fail
from relunet.theory.form import AbsoluteForm
from relunet.theory.moments import Correlations, Moments, PopulationMoments, SampleMoments
from relunet.theory.multiscale import MultiScaleLearner, MultiScaleOverrides
from relunet.theory.netlearn import NetLearner, NetOverrides
from relunet.theory.polynomial import Polynomial, PolynomialEstimate, PolynomialLearner

__all__ = [
    "AbsoluteForm",
    "Correlations",
    "Estimate",
    "Fail",
    "Moments",
    "MultiScaleLearner",
    "MultiScaleOverrides",
    "NetLearner",
    "NetOverrides",
    "Polynomial",
    "PolynomialEstimate",
    "PolynomialLearner",
    "PopulationMoments",
    "SampleMoments",
]
