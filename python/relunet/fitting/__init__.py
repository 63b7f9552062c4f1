"""The fit: the driver, its stages, and what it reports."""
