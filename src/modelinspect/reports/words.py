"""Meanings of the words in reports: columns, options of the plan, and how a size is known."""

from __future__ import annotations

COLUMNS: dict[str, str] = {
    "-0.0": (
        "How many elements are the number -0.0: zero with another bit pattern, which compressors treat as"
        " another value."
    ),
    "actual": (
        "The value that the check found. Empty where there was nothing to measure, which fails the check."
    ),
    "after": "The size or value in the second model.",
    "applied": (
        "Whether pruning was applied to a kernel: yes, no, short (fewer zeros than the target), lost (the"
        " mask has more zeros than the kernel) or not begun (the mask has no zeros)."
    ),
    "artifact": "The path or URL of a model: a file, a folder or the prefix of a checkpoint.",
    "artifacts": "How many models have the finding.",
    "basis": "How a size is known: measured, exact, estimate or bound.",
    "before": "The size or value in the first model.",
    "bits each": "Stored bits per weight, with scales and zero points.",
    "block": "A marked block of a document: its file and the line of its mark.",
    "by": (
        "How a tensor of one model was matched with a tensor of the other: by name, by value, or by role,"
        " layer and shape."
    ),
    "bytes": "A size or a difference in bytes on disk.",
    "category": "What bytes are for. The categories of a model sum to its size.",
    "certificate": "The file with the digests of every tensor before and after, where one was written.",
    "change in bytes": "The size in the second model minus the size in the first.",
    "check": "Which kind of limit: size, compressed, category, layer, sparsity, efficiency or growth.",
    "command": (
        "How to get the option: a shell command or lines of Python, to run in the folder of the model."
    ),
    "content": "Whether the elements of a matched tensor are equal in both models.",
    "count": "How many structures of this kind there are.",
    "dead inputs": "Input channels of a kernel whose weights are all zero, and how many inputs it has.",
    "dead outputs": "Output channels of a kernel whose weights are all zero, and how many outputs it has.",
    "deflated": "The size of a kernel after compression with deflate (gzip).",
    "delta": "The difference in bytes: after minus before, or the option minus the model as it is.",
    "diagnostics": "How many problems there were while reading.",
    "difference": "In what two stored tensors or documents differ.",
    "differs in": "In what two stored tensors or documents differ.",
    "document": "A Markdown document with marked blocks.",
    "download size": "The size after gzip -9. Empty where it was not measured.",
    "dtype": "The type of the elements, such as float32 or int8.",
    "elements": "How many elements a tensor has: the product of its shape.",
    "equal tensors": "How many tensors are equal before and after, bit for bit.",
    "error": (
        "The largest stated error of an estimate, as a share of the size; in a scan, the kind of problem."
    ),
    "exceeded": "The limits of the budget that a model exceeds.",
    "findings": "How many findings the rules report.",
    "float16": (
        "Break-even sparsity for float16: sparse TFLite is smaller than dense when the kernel has at least"
        " this share of zeros."
    ),
    "float32": (
        "Break-even sparsity for float32: sparse TFLite is smaller than dense when the kernel has at least"
        " this share of zeros."
    ),
    "floor": (
        "A lower bound of the size of a kernel: no lossless storage of its non-zero values and their"
        " positions is smaller. It is not a file."
    ),
    "form": "How the tensor is stored before and after: dtype, dense, sparse or compressed.",
    "format": "The file format that was recognized.",
    "group": "What kind of result an option is: same-file, transport, conversion or bound.",
    "gzip": "The size after gzip -9.",
    "gzipped": (
        "The size of the option after gzip -9: what a download takes. Empty where it was not measured."
    ),
    "in memory": "The size of a tensor when it is dense in memory: elements times the width of one.",
    "inputs": "How many input channels a kernel has.",
    "int8": (
        "Break-even sparsity for int8: sparse TFLite is smaller than dense when the kernel has at least this"
        " share of zeros."
    ),
    "is": "The value that the check found.",
    "kernel": "A weight tensor of at least two dimensions: the matrix of a layer or convolution.",
    "kind": (
        "What a parser saw in a region of bytes (graph, metadata, tensor-data, ...), or the kind of a row."
    ),
    "label": "The name of a row.",
    "layer": "The layer that a tensor belongs to, as the model names it.",
    "legend": "What the bytes of a category are.",
    "lint": "The rules of lint that found something in a model.",
    "level": "How much a step of shrink changes: nothing (lossless), or the level given with --drop.",
    "limit": "The largest value that the budget allows; for sparsity and efficiency, the smallest.",
    "line": "The line of a mark in its document, counted from 1.",
    "loads as": "What reads the result: the same loader, or the same after a tool such as gunzip.",
    "loads in": "What reads the result: the same loader, or the same after a tool such as gunzip.",
    "location": "The path or URL of a model.",
    "lossless": "Whether every weight keeps its exact value.",
    "lossless saving": (
        "The bytes that `modelinspect shrink` saves at least while every weight keeps its exact value: an"
        " estimate from what was measured already."
    ),
    "mask": "The share of zeros in the pruning mask that is stored with a kernel.",
    "mask zeros": "How many elements of the pruning mask of a kernel are zero.",
    "matched_by": (
        "How a tensor of one model was matched with a tensor of the other: by name, by value, or by role,"
        " layer and shape."
    ),
    "member": "A file of the model.",
    "members": "How many files the model has.",
    "message": "A sentence with the measured numbers.",
    "method": "How the model was saved or converted.",
    "model": "The name or path of a model.",
    "models": "How many models have the finding, the format or the error of the row.",
    "name": "The name of a finding, cause or word.",
    "negative zeros": "How many elements are the number -0.0.",
    "not written because": "Why shrink wrote no file.",
    "note": "A remark on a row.",
    "notes": "Conditions and remarks on an option.",
    "of": "What a limit is about: a compressor, category, layer or pattern.",
    "of before": "The size after as a share of the size before.",
    "of now": "The size of the option as a share of the size of the model as it is.",
    "offset": "The position in the file, in bytes from its start.",
    "ok": "Whether the limit is kept.",
    "optimizer": "Bytes of the optimizer state.",
    "option": "A way to make the model smaller; `modelinspect explain OPTION` explains each.",
    "original": "The model before pruning, or its size.",
    "outcome": "What happened: written, refused, failed, or nothing to save.",
    "outputs": "How many output channels a kernel has.",
    "parameters": "How many elements the weights have in all.",
    "path": "Where it is stored: the structures of the format, outermost first.",
    "pattern": "How zeros are arranged: single elements, blocks of 4 or 16, or 2 of 4.",
    "places": "How many structures of this kind there are.",
    "problem": "What went wrong while reading.",
    "pruned": "The model after pruning, or its size.",
    "read by": "The operators (TFLite) or layers that read the weights of this type, the largest first.",
    "reason": "Why, in a sentence.",
    "remedy": "What to do: words, then code where something can be run.",
    "removable": (
        "Bytes that are removed with the dead channels that the network does not need, in this layer and all"
        " connected ones."
    ),
    "result": (
        "What kind of result an option is: same-file (loads as before), transport (compressed for download), "
        "conversion (another format, or quantized by Keras) or bound (not a file)."
    ),
    "role": "What a tensor is for: weight, statistic, optimizer, pruning, quantization, constant or other.",
    "room": "How much is left before the limit is exceeded; negative where it is exceeded.",
    "rule": "The name of a finding; `modelinspect explain RULE` explains each.",
    "saved": "Bytes that a step of shrink saved.",
    "section": "A section of a LiteRT-LM file.",
    "severity": "How bad a finding is: error, warning or note.",
    "shape": "The dimensions of a tensor.",
    "share": "The size as a share of the whole.",
    "size": "The size in bytes on disk.",
    "stage": "Original or pruned, with or without pruning wrappers.",
    "state": "Whether a block is what its command prints now: current, stale, or rewritten just now.",
    "status": "What happened to a tensor: same, changed, added, removed or renamed.",
    "step": "A step of shrink.",
    "storage": "How the elements are stored: dense, sparse, compressed or inline (inside a graph).",
    "stored": "The size of a tensor on disk, in bytes.",
    "stored_delta": "The stored size after minus the stored size before.",
    "stripped": "The pruned model without pruning wrappers, or its size.",
    "structure": "A kind of structure of the file format, without the names and numbers of single objects.",
    "subject": "What a limit is about: a compressor, category, layer or pattern.",
    "target": "The share of zeros that the pruning schedule aims at.",
    "tensor": (
        "The name that the model gives a tensor; `--paths` of the command tensors adds where it is stored."
    ),
    "tensors": "How many tensors there are.",
    "type": "The type of the elements, or of the layer.",
    "unit": "The unit of a limit: bytes, or a share.",
    "verdict": "Whether a limit is kept, or what happened.",
    "weights": "How many weights there are: elements of weight tensors.",
    "what happened": "What pruning and saving did to the size.",
    "what it is": "What the bytes of a category are.",
    "what was done": "What a step of shrink did.",
    "wrapped": "The pruned model with its pruning wrappers, or its size.",
    "zero": "The share of elements that are zero.",
    "zero elements": "How many elements are zero.",
    "zero is": "The stored integers that mean zero: the zero points of a quantized kernel.",
    "zero_parameters": "How many elements of the weights are zero.",
    "zeros": "How many elements are zero; -0.0 counts, and in quantized tensors the zero point.",
}
"""What a column shows, by its title or, where that differs, its key."""

OPTIONS: dict[str, str] = {
    "gzip-9": (
        "The file compressed with gzip -9, for downloads and storage. Whoever loads it decompresses it first."
    ),
    "zstd-19": (
        "The file compressed with zstd -19, for downloads and storage. Whoever loads it decompresses it"
        " first."
    ),
    "brotli-11": "The file compressed with brotli -q 11, which browsers decode. It is slow to make.",
    "strip-optimizer": "Without optimizer state. The model predicts the same; training cannot be resumed.",
    "strip-pruning": "Without pruning wrappers, masks and steps. The weights stay as pruned.",
    "drop-duplicates": "Without tensors that are stored twice with the same values.",
    "alias-duplicates": "Equal tensors are stored once, and every name refers to that place.",
    "canonical-zeros": "Every -0.0 becomes 0.0, then gzip -9. Values are equal, and zeros compress better.",
    "hdf5-gzip": "HDF5 datasets compressed with deflate inside the file. Keras and h5py load it as before.",
    "hdf5-repack": "An HDF5 file written again without unused space. Keras and h5py load it as before.",
    "zip-deflate": "The members of a zip archive compressed. Keras loads a .keras file as before.",
    "tflite-float32": "Converted to TFLite with float32 weights.",
    "tflite-float16": "Converted to TFLite with float16 weights.",
    "tflite-dynamic-int8": "Converted to TFLite with int8 weights (dynamic range quantization).",
    "tflite-int8": "Converted to TFLite with int8 weights and activations (full integer quantization).",
    "tflite-int16x8": "Converted to TFLite with int8 weights and int16 activations.",
    "tflite-sparse": (
        "Converted to TFLite with EXPERIMENTAL_SPARSITY: kernels with enough zeros are stored sparsely."
    ),
    "tflite-dynamic-int8-sparse": (
        "Converted to TFLite with int8 weights, kernels with enough zeros stored sparsely."
    ),
    "tflite-int8-sparse": (
        "Converted to TFLite with int8 weights and activations, kernels with enough zeros stored sparsely."
    ),
    "tflite-int16x8-sparse": (
        "Not given: TensorFlow 2.21 writes a broken file of int16 activations and sparse kernels."
    ),
    "keras-int8": (
        'Saved by Keras 3 after `model.quantize("int8")`: dense layers and embeddings have int8 weights.'
    ),
    "keras-int4": (
        'Saved by Keras 3 after `model.quantize("int4")`: dense layers and embeddings have weights of 4 bits.'
    ),
    "tflite-pack": (
        "A TFLite file written again: equal buffers stored once, no unreferenced data, the smallest"
        " alignment."
    ),
    "merge-shards": (
        "The weights files of a TensorFlow.js model as one file for each group, and its description without"
        " white space."
    ),
    "compact-json": (
        "The headers and indexes of safetensors without white space. The bytes of tensors stay as they are."
    ),
    "shrink-members": "The models inside an archive written again, each with its own proof.",
    "entropy-bound": (
        "A lower bound: no lossless storage of these weights, element by element, is smaller. It is not a"
        " file."
    ),
}
"""What an option of the plan makes, by the name of its last step."""

BASES: dict[str, str] = {
    "measured": "The result was made, in memory or on disk, and its bytes were counted.",
    "exact": "The size follows from the rules of the format, to the byte.",
    "estimate": "The size is computed and can be off by the stated error.",
    "bound": "A lower bound, not a file.",
}
"""How a size is known."""

GROUPS: dict[str, str] = {
    "same-file": "The result loads as before, without another step.",
    "transport": "The result is compressed as a whole: for downloads and storage.",
    "conversion": "The result is a model in another format, or one that Keras quantized.",
}
"""What kind of result an option gives."""


def option_meaning(name: str) -> str:
    """Return what an option makes; a combination is explained step by step."""
    steps = [OPTIONS[step] for step in name.split("+") if step in OPTIONS]
    return steps[0] if len(steps) == 1 else " Then: ".join(steps)


def column_meanings(word: str) -> tuple[str, ...]:
    """Return what the column of a title or key shows: keys may be written with underscores."""
    titles = dict.fromkeys((word, word.replace("_", " "), KEYS.get(word, word)))
    return tuple(dict.fromkeys(COLUMNS[title] for title in titles if title in COLUMNS))


KEYS: dict[str, str] = {
    "artifacts": "artifacts",
    "bits_per_weight": "bits each",
    "dead": "dead outputs",
    "dense": "stored",
    "download": "gzipped",
    "element_count": "elements",
    "equal": "equal tensors",
    "gzip_size": "gzip",
    "logical_size": "in memory",
    "loads": "loads in",
    "negative_zero_count": "-0.0",
    "negative_zeros": "-0.0",
    "optimizer-state": "optimizer",
    "original_gzip": "gzip",
    "pruned_gzip": "gzip",
    "sparsity": "zero",
    "stored_size": "stored",
    "stripped_gzip": "gzip",
    "wrapped_gzip": "gzip",
    "zero_count": "zeros",
    "zero_points": "zero is",
    "zero_share": "zero",
}
"""Titles of columns by their keys, where the two differ."""
