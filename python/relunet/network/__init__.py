"""One-hidden-layer ReLU networks: what relunet learns, and exact comparisons of one with another."""

from relunet.network.network import NeuronMatch, ReLUNetwork

__all__ = ["NeuronMatch", "ReLUNetwork"]
