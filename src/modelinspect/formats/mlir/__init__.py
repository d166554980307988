"""StableHLO programs as MLIR byte code: their own files (``.mlirbc``, ``.stablehlo``), and the modules within
graphs.
"""

from modelinspect.formats.mlir.format import FORMAT

__all__ = ["FORMAT"]
