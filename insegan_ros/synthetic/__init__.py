"""A physics-simulated bin of parts under a D435-like camera."""
