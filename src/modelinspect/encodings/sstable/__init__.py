"""Read the table format that TensorFlow's checkpoints keep their index in: sorted keys in blocks."""

from modelinspect.encodings.sstable.checksum import extended, mask, masked_crc32c
from modelinspect.encodings.sstable.table import MAGIC, Block, Entry, Table

__all__ = ["MAGIC", "Block", "Entry", "Table", "extended", "mask", "masked_crc32c"]
