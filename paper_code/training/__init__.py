"""Fit and evaluate one model."""
