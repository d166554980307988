"""Orbax checkpoints: what `keras.callbacks.OrbaxCheckpoint`, JAX and Flax write, in OCDBT databases or plain
zarr folders.
"""

from modelinspect.formats.orbax.format import FORMAT

__all__ = ["FORMAT"]
