"""A small instance network learned from piles of the discovered template."""
