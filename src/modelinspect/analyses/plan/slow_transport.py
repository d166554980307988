"""Compress the whole artifact with zstd and brotli, which take long: after everything that is quicker."""

from __future__ import annotations

from modelinspect.analyses.plan.base import Family
from modelinspect.analyses.plan.transport import find_slow

FAMILY = Family(("zstd-19", "brotli-11"), find_slow)
