"""Runs as values, their records, and the sweeps that train what is missing."""
