"""Explain why an artifact has its size, and why two differ: every byte goes to exactly one named cause."""
