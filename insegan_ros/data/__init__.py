"""Datasets on disk: the store, readers of other layouts, torch views."""
