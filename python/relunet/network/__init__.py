"""One-hidden-layer ReLU networks, with exact comparisons, storage, export and import."""

from relunet.network.matching import NeuronMatch
from relunet.network.network import ReLUNetwork

__all__ = ["NeuronMatch", "ReLUNetwork"]
