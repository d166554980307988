"""Read protocol buffers: by a schema of ours, span by span, and through classes of the protobuf package."""

from __future__ import annotations

from modelinspect.encodings.protobuf.pool import message_class, parse_message
from modelinspect.encodings.protobuf.schema import Field, MessageType, WireType, message, schema

__all__ = ["Field", "MessageType", "WireType", "message", "message_class", "parse_message", "schema"]
