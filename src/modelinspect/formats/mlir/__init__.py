"""StableHLO programs as MLIR byte code: files of their own (``.mlirbc``, ``.stablehlo``), and the modules within graphs."""

from modelinspect.formats.mlir.format import FORMAT

__all__ = ["FORMAT"]
