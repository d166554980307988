"""The facts that formats know of an artifact: every key that any of them writes, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from modelinspect.errors import InvariantError

Fact = None | bool | int | float | str | tuple["Fact", ...] | Mapping[str, "Fact"]
"""A value that a format knows of an artifact, made of plain immutable things."""


class Facts(TypedDict, total=False):
    """Facts by name.

    Counts are elements, nodes or entries; sizes are bytes; a key that is not there is not known.
    """

    # Any format
    wrapped_in: tuple[Fact, ...]
    """The archives that the artifact is in, outermost first: gzip, zip, tar, ..."""
    wrapped_name: str
    """The artifact's name inside its archive."""
    other_models: Mapping[str, Fact]
    """Models beside this one in the same archive, each with its own facts."""
    also_holds: tuple[Fact, ...]
    trailing_bytes: int
    documents_left_out: bool
    """More documents than are kept: rules did not see all."""
    parameters: int
    """Elements of the model's own weights."""
    variables: int
    signature: Fact
    signatures: Mapping[str, Fact]
    """Signatures by name: inputs and outputs with dtype and shape."""
    metadata: Mapping[str, Fact]
    shards: Fact
    """How many shards there are, or which."""

    # Keras
    keras_version: str
    backend: str
    model_class: str
    model_name: str | None
    compiled: bool
    optimizer: str
    layers: tuple[Fact, ...]
    """Layers in the order of the configuration: name, class, number of weights."""
    layer_names: Mapping[str, Fact]
    """The layer's own name, by its path in a Keras store."""
    config_beside: str
    """The file beside a weights store that has its model's configuration."""
    embedded_values: tuple[Fact, ...]
    """Long values written as text in configurations: document, path, kind (numbers, words, base64), count,
    size, digest.
    """
    keras_layers: int
    weights: str
    """The member that holds the weights."""
    date_saved: str
    assets: Fact
    pruning: tuple[Fact, ...]
    """Pruning wrappers: layer, schedule, target sparsity, block size, m by n."""
    wrapped_layers: Mapping[str, Fact]
    """How many layers each kind of wrapper wraps."""
    quantized_layers: Mapping[str, Fact]
    mixed_precision: Mapping[str, Fact]
    """How many layers compute in a narrower type than their variables have, by the policy."""

    # Presets of KerasHub and folders of Hugging Face
    weight_files: tuple[Fact, ...]
    """The members that hold weights, or list those that do."""
    tokenizers: Mapping[str, Fact]
    """Tokenizers by member: kind, number of entries."""
    stayed_float: Mapping[str, Fact]
    """Weights of a quantized model that still have 16 bits or more: tensors, bytes, the largest."""
    keras_hub_version: str
    keras_nlp_version: str
    declared_parameters: int
    model_type: str
    torch_dtype: str
    dtype: str
    transformers_version: str
    quantization: Mapping[str, Fact]
    """``quantization_config`` of Hugging Face."""

    # HDF5
    hdf5: Mapping[str, Fact]
    """The file's structure: superblock, bytes by purpose, filters, links."""
    elsewhere: tuple[Fact, ...]
    """References to other files: external links, external storage, virtual datasets."""
    elsewhere_count: int

    # Graphs and SavedModels
    is_text: bool
    message: str
    tensorflow_version: str
    tensorflow_git_version: str
    producer: int
    min_consumer: int
    node_count: int
    function_count: int
    function_node_count: int
    functions: tuple[Fact, ...]
    ops: Fact
    """Nodes by operator."""
    custom_ops: tuple[Fact, ...]
    constant_count: int
    constant_bytes: int
    meta_graphs: tuple[Fact, ...]
    object_graph_nodes: int
    tags: tuple[Fact, ...]
    hash_tables: tuple[Fact, ...]
    graph: Mapping[str, Fact]
    """The facts of the ``.meta`` file beside a checkpoint."""
    chunks: int
    records: int
    record_fields: tuple[Fact, ...]

    gradient_functions: tuple[Fact, ...]
    """The functions that compute gradients for custom ones."""
    stablehlo: tuple[Fact, ...]
    """Programs in MLIR byte code: node, function, offset, size, version, producer, dialects, operations,
    first tensor.
    """

    # Orbax
    steps: tuple[Fact, ...]
    """The folders of the steps that are there, oldest first."""
    items: Mapping[str, Fact]
    """What each item of a checkpoint is stored as: keys, nodes, generations, dead bytes."""

    # Checkpoints
    checkpoint_version: int
    bundle_version: int
    checkpoints: tuple[Fact, ...]
    latest_checkpoint: str
    duplicate_tensors: tuple[Fact, ...]
    """Groups of tensors with equal type, shape, size and CRC-32C."""
    slot_variables: tuple[Fact, ...]
    optimizer_variables: int
    pruning_variables: int
    variable_count: int
    variable_names: Mapping[str, Fact]
    """The name that a variable had, by its key."""
    unreferenced_bytes: int
    byte_order: str

    # TFLite
    schema_version: int
    description: str
    min_runtime_version: str
    operators: Mapping[str, Fact]
    operator_versions: Mapping[str, Fact]
    custom_operators: Mapping[str, Fact]
    buffers: Mapping[str, Fact]
    subgraphs: tuple[Fact, ...]
    tensor_uses: Mapping[str, Fact]
    """The operators that read each stored tensor."""
    variable_tensors: tuple[Fact, ...]
    densify: tuple[Fact, ...]
    sparse_tensors: tuple[Fact, ...]
    sparse_hybrid: tuple[Fact, ...]
    """Sparse int8 weights of FULLY_CONNECTED operators with float32 input: name, and whether a DENSIFY
    operator expands them first.
    """
    quantized_tensors: Mapping[str, Fact]
    conversion: Mapping[str, Fact]
    compression: Mapping[str, Fact]
    """Tensors that tflite-micro stores as indices: bits of an index and bytes of tables of each, number by
    type of decoding.
    """
    compiled_programs: tuple[Fact, ...]
    """Programs compiled for another processor: operator, vendor, system on a chip, bytes."""
    model_metadata: Mapping[str, Fact]
    metadata_texts: Mapping[str, Fact]
    """Metadata buffers that hold a short text, by name; reports show each as ``metadata.NAME``."""
    associated_files: Mapping[str, Fact]
    external_files: tuple[Fact, ...]

    # LiteRT-LM
    litertlm_version: str
    system_metadata: Mapping[str, Fact]
    sections: tuple[Fact, ...]
    """Sections in the order of the header: type, model, offset, size, and what each holds."""
    models: Mapping[str, Fact]
    """The facts of each TFLite model in the file."""
    deprecated_bytes: int
    """Bytes of sections that are marked as deprecated."""

    # Safetensors
    header_metadata: Mapping[str, Fact]
    """``__metadata__`` of the header."""

    # TensorFlow.js
    tfjs_format: str
    generated_by: str
    converted_by: str
    original_dtypes: Mapping[str, Fact]


def add_facts(facts: Facts, more: Mapping[str, Fact] | Facts) -> None:
    """Set several facts. Raises `InvariantError` as `set_fact` does."""
    for name, value in more.items():
        set_fact(facts, name, cast("Fact", value))


def set_fact(facts: Facts, name: str, value: Fact) -> None:
    """Set a fact whose name is known only when the program runs.

    Raises `InvariantError` for a name that `Facts` does not list.
    """
    if name not in Facts.__annotations__:
        raise InvariantError(f"{name} is not a fact that core/facts.py lists")
    cast("dict[str, Fact]", facts)[name] = value
