"""All kinds of networks after published architectures, and the graphs of the second grammar."""

from __future__ import annotations

from benchmarks.accuracy.public_graphs import PUBLIC_GRAPHS
from benchmarks.accuracy.public_images import PUBLIC_IMAGES, Builder
from benchmarks.accuracy.public_sequences import PUBLIC_SEQUENCES
from benchmarks.accuracy.public_tables import PUBLIC_TABLES

PUBLIC: dict[str, tuple[str, Builder]] = {
    **PUBLIC_IMAGES,
    **PUBLIC_SEQUENCES,
    **PUBLIC_TABLES,
    **PUBLIC_GRAPHS,
}
