"""One-hidden-layer ReLU networks: what relunet learns, and exact comparisons of one with another."""

from relunet.network.matching import NeuronMatch
from relunet.network.network import ReLUNetwork

__all__ = ["NeuronMatch", "ReLUNetwork"]
