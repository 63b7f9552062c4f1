"""The stages of a fit, none of which imports another but for the whitening that all share."""
