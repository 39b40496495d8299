"""Baselines that learn from unlabelled crops of the bin: one file a method."""
