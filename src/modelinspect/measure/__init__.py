"""Measure what only the weights themselves can say: zeros, digests, patterns."""
