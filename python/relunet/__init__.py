"""Learns narrow one-hidden-layer ReLU networks from samples."""
