"""Compute how small an artifact could be: each option's size, how it is known, and how to get it."""
