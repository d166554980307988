"""Proves that every remedy does what it says: what the tool printed is run on a real artifact."""
