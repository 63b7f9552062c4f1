"""The published algorithms of [CDGKM23], [CN24] and [DK24], with their definitions and lemmas by name.

This table shows where the parts of [CDGKM23] and [CN24] are implemented:

======================================  ====================================================
f_{w,λ,u} (Lemma 2)                     `AbsoluteForm`
T_l, M_l(g), c_l, residual moments      `PopulationMoments`, `SampleMoments`, `relunet.moments.ContractionMoments`
(Lemmas 7, 8; CN24 Lemma 4)
g (Lemmas 3, 4; CN24 Lemma 5)           `estimate.contraction_directions`
T(γ), far and close sets, gapped,       `scales.Closeness`, `scales.Scales`
detectable (Definition 6, Lemma 11),
levels L(γ) (Definition 38)
sets J_1, .., J_q (Lemma 18)            `scales.Scales.rounds`
power sums (Lemma 27)                   `scales.power_sum_floor`
clumping game (section C.1, Lemma 30)   `clumping`
one direction (Lemma 10)                `one_direction`
V (Lemma 13; CN24 section 4.2)          `spans.joint_span`, `spans.projector_span`
nets over V and [-R, R] (Lemmas 14,     `nets`
16; CN24 Algorithm 1)
computation paths                       `paths`
validation (Lemma 20; CN24 Lemma 6)     `estimate.Candidates`
Algorithm 1                             `MultiScaleLearner`, `NetLearner`
======================================  ====================================================

References
----------
[CDGKM23] S. Chen, Z. Dou, S. Goel, A. Klivans, R. Meka, Learning Narrow One-Hidden-Layer ReLU Networks, COLT 2023.
[CN24] S. Chen, S. Narayanan, A Faster and Simpler Algorithm for Learning Shallow Networks, COLT 2024.
[DK24] I. Diakonikolas, D. Kane, Efficiently Learning One-Hidden-Layer ReLU Networks via Schur Polynomials, COLT 2024.
"""

from relunet.theory.estimate import Estimate, Fail, Validated
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
    "Validated",
]
