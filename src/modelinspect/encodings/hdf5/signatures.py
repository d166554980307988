"""The signatures of HDF5 structures that more than one module looks for.

Specification: HDF5 File Format Specification, sections III and IV.
"""

OBJECT_HEADER = b"OHDR"
B_TREE = b"TREE"
SYMBOL_NODE = b"SNOD"
LOCAL_HEAP = b"HEAP"
COLLECTION = b"GCOL"
