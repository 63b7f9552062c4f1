"""The stages of a fit, one module each; no stage imports another, except for the whitening, which all share."""
