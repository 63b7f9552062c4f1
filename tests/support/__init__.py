"""Helpers that several tests share: planted rows, one accumulator of each kind, and lemmas of the papers."""
