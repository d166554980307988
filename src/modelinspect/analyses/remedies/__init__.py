"""Says what to do: one closed table of remedies, and each in words and code for an artifact."""

from modelinspect.analyses.remedies.advice import Advice, Helpers, advise, example, helpers_of
from modelinspect.analyses.remedies.table import Language, Remedy, Text

__all__ = ["Advice", "Helpers", "Language", "Remedy", "Text", "advise", "example", "helpers_of"]
