"""The default method: the driver `learn`, its stages, and its report."""
