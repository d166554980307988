"""What to do: one closed table of remedies, and each in words and code for an artifact."""

from modelinspect.core.tensors import Helpers
from modelinspect.networks.writers import helpers_of
from modelinspect.remedies.advice import Advice, advise, example
from modelinspect.remedies.table import Language, Remedy, Text

__all__ = ["Advice", "Helpers", "Language", "Remedy", "Text", "advise", "example", "helpers_of"]
