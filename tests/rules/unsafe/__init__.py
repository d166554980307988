"""Tests of the rules about unsafe content."""
