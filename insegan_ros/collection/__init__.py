"""Unattended collection: what the arm may do, which frames are kept, what happens next."""
