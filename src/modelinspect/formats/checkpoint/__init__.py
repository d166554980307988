"""Read checkpoints: TensorBundles by any of their files, directories of them, and V1 checkpoints."""

from modelinspect.formats.checkpoint.bundle import Bundle, BundleEntry
from modelinspect.formats.checkpoint.format import FORMAT, read_bundle

__all__ = ["FORMAT", "Bundle", "BundleEntry", "read_bundle"]
