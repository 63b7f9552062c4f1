"""Fits of several outputs over one hidden layer."""
