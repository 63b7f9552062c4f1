"""What several tests share: planted rows, one accumulator of each kind, lemmas of the papers as functions."""
