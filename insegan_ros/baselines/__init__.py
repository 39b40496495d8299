"""The classical methods of the paper behind one table of names."""
