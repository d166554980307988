"""Walk flatbuffers by a schema: every table, vtable, vector and string claimed, every offset checked."""

from __future__ import annotations
