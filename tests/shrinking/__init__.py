"""Tests of `modelinspect.shrinking`: smaller files that load as before."""
