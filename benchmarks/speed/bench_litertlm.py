"""LiteRT-LM: the structure of a file of 2 GiB, which costs its structure and not its weights.

The file is made here, as a sparse one: a decoder of 400 tensors in int8, its embedding beside it, a tokenizer
of 262,144 pieces.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from tests.support.flat import build

from benchmarks.speed.harness import MIB, Row, modelinspect, under, under_memory

_BLOCK = 16 * 1024
_LAYERS, _WIDTH = 400, 2048
_PIECES = 262_144


def bench(folder: Path) -> list[Row]:
    """Map the file, without its weights."""
    path = folder / "large.litertlm"
    if not path.exists():
        large_file(path)
    run = modelinspect("inspect", "--no-measure", "--format", "json", path)
    what = f"structure of a .litertlm of {path.stat().st_size / 2**30:.1f} GiB"
    return [under(what, run, 0.6), under_memory(f"{what}: memory", run.memory, 100 * MIB)]


def large_file(path: Path, layers: int = _LAYERS, width: int = _WIDTH, pieces: int = _PIECES) -> None:
    """Write the file with holes where the weights are: square layers, an embedding of 131,072 rows, a
    tokenizer of ``pieces``.
    """
    import flatbuffers
    from litert_lm_builder import litertlm_header_schema_py_generated as schema

    models = (
        ("tf_lite_prefill_decode", _model(layers, width * width)),
        ("tf_lite_embedder", _model(1, 131_072 * width)),
    )
    sections = [(3, name, *model) for name, model in models] + [(4, "", _tokenizer(pieces), 0)]
    objects, places, offset = [], [], _BLOCK
    for kind, name, head, hole in sections:
        items = (
            [schema.KeyValuePairT("model_type", schema.VData.StringValue, schema.StringValueT(name))]
            if name
            else []
        )
        end = offset + len(head) + hole
        objects.append(schema.SectionObjectT(items=items, beginOffset=offset, endOffset=end, dataType=kind))
        places.append((offset, head))
        offset = -(-end // _BLOCK) * _BLOCK
    builder = flatbuffers.Builder(1024)
    root = schema.LiteRTLMMetaDataT(schema.SystemMetadataT([]), schema.SectionMetadataT(objects))
    builder.Finish(root.Pack(builder))
    header = bytes(builder.Output())
    with path.open("wb") as file:
        file.write(b"LITERTLM" + struct.pack("<IIIIQ", 1, 7, 0, 0, 32 + len(header)) + header)
        for place, head in places:
            file.seek(place)
            file.write(head)
        file.truncate(offset)


def _model(count: int, size: int) -> tuple[bytes, int]:
    """Return a model's flatbuffer, and how many bytes of buffers follow it."""
    tensors = [
        {"shape": [size], "type": 9, "buffer": index + 1, "name": f"layer_{index}/weight"}
        for index in range(count)
    ]
    graph = {"tensors": tensors, "inputs": [], "outputs": [0], "operators": [], "name": "main"}

    def made(begin: int) -> bytes:
        buffers = [{}, *({"offset": begin + index * size, "size": size} for index in range(count))]
        return build(
            {
                "version": 3,
                "operator_codes": [],
                "subgraphs": [graph],
                "buffers": buffers,
                "description": "large",
            }
        )

    begin = -(-len(made(2)) // 4096) * 4096
    return made(begin).ljust(begin, b"\0"), count * size


def _tokenizer(count: int) -> bytes:
    """Return a SentencePiece model of so many pieces; Gemma's has 262,144."""
    pieces = []
    for number in range(count):
        text = (
            b"\x0a"
            + bytes([len(word := f"piece{number}".encode())])
            + word
            + b"\x15"
            + np.float32(-number).tobytes()
        )
        pieces.append(b"\x0a" + bytes([len(text)]) + text)
    return b"".join(pieces)
