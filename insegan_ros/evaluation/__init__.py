"""Metrics and the benchmark that applies them."""
