"""Names that TensorFlow, Keras and their converters write: each exists here once, and everything else imports
it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

# Checkpoints (tensorflow/core/protobuf/trackable_object_graph.proto; python/checkpoint/util.py)
ATTRIBUTES = ".ATTRIBUTES"
VARIABLE_VALUE = "VARIABLE_VALUE"
KEY_END = f"/{ATTRIBUTES}/{VARIABLE_VALUE}"
"""What the keys of a checkpoint's variables end in."""
OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
KERAS_METADATA_MESSAGE = "third_party.py.tf_keras.protobuf.SavedMetadata"

# Groups of Keras HDF5 files and attributes of Keras models
MODEL_WEIGHTS = "model_weights"
OPTIMIZER_WEIGHTS = "optimizer_weights"
TOP_LEVEL_WEIGHTS = "top_level_model_weights"
LAYER_DEPENDENCIES = "_layer_checkpoint_dependencies"

# Files
SAVED_MODEL_PB, SAVED_MODEL_PBTXT, SAVED_MODEL_CPB = SAVED_MODELS = (
    "saved_model.pb",
    "saved_model.pbtxt",
    "saved_model.cpb",
)
"""A folder with one of them is a SavedModel."""
FINGERPRINT_PB = "fingerprint.pb"
KERAS_METADATA_PB = "keras_metadata.pb"
CONFIG_JSON = "config.json"
METADATA_JSON = "metadata.json"
WEIGHTS_H5 = "model.weights.h5"
WEIGHTS_INDEX = "model.weights.json"
TASK_JSON = "task.json"
PREPROCESSOR_JSON = "preprocessor.json"
IMAGE_CONVERTER_JSON = "image_converter.json"
AUDIO_CONVERTER_JSON = "audio_converter.json"
TOKENIZER_JSON = "tokenizer.json"
TFJS_MODEL = "model.json"
TFJS_MANIFEST = "weights_manifest.json"

# Metadata of TFLite models
LARGE_OPTIONS: Final = "large custom options"
"""The path of what a custom operator of a TFLite model has after the flatbuffer."""
MIN_RUNTIME_VERSION: Final = "min_runtime_version"
CONVERSION_METADATA = "CONVERSION_METADATA"
MODEL_METADATA = "TFLITE_METADATA"
REDUCED_PRECISION = "reduced_precision_support"


class WrapperClass(StrEnum):
    """Classes of tfmot that wrap a layer while a model trains."""

    PRUNE = "PruneLowMagnitude"
    CLUSTER = "ClusterWeights"
    CLUSTER_ATTENTION = "ClusterWeightsMHA"
    QUANTIZE = "QuantizeWrapper"
    QUANTIZE_V2 = "QuantizeWrapperV2"
    QUANTIZE_LAYER = "QuantizeLayer"


class WrapperName(StrEnum):
    """The same as parts of the names of layers and variables."""

    PRUNE = "prune_low_magnitude"
    CLUSTER = "cluster_weights"
    CLUSTER_ATTENTION = "cluster_weights_mha"
    QUANTIZE = "quantize_wrapper"
    QUANTIZE_V2 = "quantize_wrapper_v2"
    QUANTIZE_LAYER = "quantize_layer"
