"""List every remedy that rules, causes and plans give: its words, and its code where it can be run.

A remedy is here once, and `tests/remedies` has a proof of each: the printed code is run on a real artifact.
Code is a template of `str.format`; `modelinspect.remedies.advice` fills in the artifact's names.
"""

from __future__ import annotations

from enum import Enum, StrEnum, unique

from modelinspect.core.records import dataclass


class Language(StrEnum):
    """What runs a remedy's code; nothing does where it is in only words."""

    NONE = "none"
    SHELL = "shell"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Text:
    """A remedy: what to do in one line of words, and lines that do it.

    ``file`` is an artifact's name that an example of it has, ``made`` what the file that it writes is called.
    """

    words: str
    language: Language = Language.NONE
    code: str = ""
    file: str = "model.h5"
    made: str = "smaller"


def _shell(words: str, code: str, file: str = "model.h5", made: str = "smaller") -> Text:
    return Text(words, Language.SHELL, code, file, made)


def _python(words: str, code: str, file: str = "model.h5", made: str = "smaller") -> Text:
    return Text(words, Language.PYTHON, code.strip("\n"), file, made)


_CLONE = """
import tensorflow as tf
{clone}
copy.set_weights(model.get_weights())
"""
_STRIP = """
import tensorflow_model_optimization as tfmot
model = tfmot.sparsity.keras.strip_pruning(model)
"""
_CONVERT = """
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
open({made!r}, 'wb').write(converter.convert())
"""
_PRUNING_STEP = "model.fit(x, y, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])"
_COPY = """
import h5py
old = h5py.File({file!r})
new = h5py.File({made!r}, 'w', libver='latest')
def copy(name, item):
    if isinstance(item, h5py.Dataset):
        {dataset}
    else:
        made = new.require_group(name)
    made.attrs.update(item.attrs)

old.visititems(copy)
new.attrs.update(old.attrs)
new.close()
"""
_LIVE = """
{both}import numpy as np
kernel, bias = layer.get_weights()
after, after_bias = next_layer.get_weights()
emitted = np.asarray(layer.activation(bias))
live = kernel.any(axis=tuple(range(kernel.ndim - 1)))
{cut}
made = {{layer.name: [kernel[..., live], bias[live]]}}
made[next_layer.name] = [after, after_bias]
width = 'units' if kernel.ndim == 2 else 'filters'
config = model.get_config()
for each in config['layers']:
    each.pop('build_config', None)
    if each['config']['name'] == layer.name:
        each['config'][width] = int(live.sum())

smaller = type(model).from_config(config)
for each in model.layers:
    new = made.get(each.name, each.get_weights())
    smaller.get_layer(each.name).set_weights(new){save}
"""
_READ = "after.reshape(-1, len(live), after.shape[-1]).any(axis=(0, 2))"
_INTO_DENSE = f"""live &= {_READ}
live[0] |= not live.any()
rows = np.resize(live, len(after))
emitted = np.resize(emitted, len(after))
after_bias = after_bias + emitted[~rows] @ after[~rows]
after = after[rows]"""
_INTO_CONVOLUTION = f"""if next_layer.padding != 'valid' and max(next_layer.kernel_size) > 1:
    live |= emitted != 0

live &= {_READ}
live[0] |= not live.any()
whole = after.sum(axis=tuple(range(after.ndim - 2)))
after_bias = after_bias + emitted[~live] @ whole[~live]
after = after[..., live, :]"""
_PLAIN = "made = new.create_dataset(name, data=item[()])"
_GZIPPED = """big = item.nbytes >= 1024
        more = dict(gzip, chunks=item.shape) if big else {{}}
        made = new.create_dataset(name, data=item[()], **more)"""
_GZIP = "gzip = dict(compression='gzip', compression_opts=9)\ndef copy"


@unique
class Remedy(Enum):
    """Everything that can be done about a finding or a cause."""

    # compression
    GZIP_FILE = _shell("compress it for the download", "gzip -9k {outer_word}", "model.tflite")
    GZIP_FILES = _shell("compress its files for the download", "gzip -9k {files}", "model.json")
    GZIP_FOLDER = _shell("compress it for the download", "tar -cf - {files} | gzip -9 > {archive}", "model")
    GZIP_HDF5 = _shell(
        "compress its datasets; Keras and h5py read the result as before",
        "modelinspect shrink {file_word} -o {made_word}",
    )
    DEFLATE_KERAS = _shell(
        "compress its members; Keras loads the result as before",
        "modelinspect shrink {file_word} -o {made_word}",
        "model.keras",
    )

    # optimizer state
    DROP_TRAINING = _shell(
        "remove the optimizer and the training configuration; Keras loads the result, not compiled",
        "modelinspect shrink {file_word} -o {made_word} --drop training",
    )
    DROP_OPTIMIZER = _shell(
        "remove the optimizer's variables; TensorFlow restores the model from the result",
        "modelinspect shrink {file_word} -o {made_word} --drop training",
        "model",
    )
    DROP_WRAPPERS = _shell(
        "remove the pruning wrappers, their masks and the optimizer; Keras loads the result as a plain model,"
        " not compiled",
        "modelinspect shrink {file_word} -o {made_word} --drop training",
    )
    SAVE_UNCOMPILED = _python("save it without the optimizer", "{load}\nmodel.save({made!r})")
    SAVE_WEIGHTS_UNCOMPILED = _python(
        "save the weights of a model that is not compiled; a compiled model adds its optimizer",
        "model.load_weights({file!r})\nmodel.save_weights({made!r})",
        "model.weights.h5",
    )
    SAVE_COPY = _python(
        "save a copy that was never compiled: a model that was loaded or compiled keeps its optimizer",
        """
import tf_keras
model = tf_keras.models.load_model({file!r}, compile=False)
copy = tf_keras.models.clone_model(model)
copy.set_weights(model.get_weights())
copy.save({made!r}, save_format='tf'{traces})
""",
        "model",
    )
    SAVE_CLONE = _python(
        "save a copy of the model that was never compiled",
        f"{_CLONE}tf.saved_model.save(copy, {{made!r}})",
        "model",
    )
    WRITE_CLONE = _python(
        "write a copy of the model that was never compiled",
        f"{_CLONE}tf.train.Checkpoint(model=copy).write({{made!r}})",
        "model",
    )
    SAVE_WITHOUT_SLOTS = _python(
        "save the variables without the optimizer's",
        """
import tensorflow as tf
slots = {slots}
kept = [v for v in tf.compat.v1.global_variables()
        if v.op.name.split('/')[-1] not in slots]
tf.compat.v1.train.Saver(kept).save(session, {made!r})
""",
        "model",
    )

    # helpers of pruning, clustering and quantization-aware training
    STRIP = _python(
        "strip the pruning wrappers and save the model",
        "{load}\nmodel = tfmot.sparsity.keras.strip_pruning(model)\nmodel.save({made!r})",
        made="stripped",
    )
    STRIP_WEIGHTS = _python(
        "strip the pruning wrappers and save the weights",
        f"{_STRIP}model.save_weights({{made!r}})",
        "model.weights.h5",
        "stripped",
    )
    STRIP_FOLDER = _python(
        "strip the pruning wrappers and save the model",
        f"{_STRIP}model.save({{made!r}}, save_format='tf')",
        "model",
        "stripped",
    )
    STRIP_CHECKPOINT = _python(
        "strip the pruning wrappers and write the checkpoint",
        f"import tensorflow as tf{_STRIP}tf.train.Checkpoint(model=model).write({{made!r}})",
        "model",
        "stripped",
    )
    STRIP_FIRST = _python("strip the pruning wrappers before converting the model", _STRIP, "model.json")
    FOLD_MASKS = Text(
        "multiply each weight by its mask before freezing the graph or saving the variables, and do not save"
        " the mask"
    )
    UNCLUSTER = _python(
        "strip the clustering wrappers and save the model",
        "{load}\nmodel = tfmot.clustering.keras.strip_clustering(model)\nmodel.save({made!r})",
        made="stripped",
    )
    UNCLUSTER_FIRST = _python(
        "strip the clustering wrappers before saving",
        "import tensorflow_model_optimization as tfmot\nmodel ="
        " tfmot.clustering.keras.strip_clustering(model)",
        "model",
    )
    CONVERT_AWARE = _python(
        "convert it to TFLite, which folds the ranges of quantization-aware training into scales",
        "{load}" + _CONVERT,
        made="smaller.tflite",
    )
    CONVERT_AWARE_MODEL = _python(
        "convert the model to TFLite, which folds the ranges of quantization-aware training into scales",
        _CONVERT,
        "model",
        "smaller.tflite",
    )

    CALIBRATE = _python(
        "train it for at least one step, which sets the ranges; then save or convert it",
        "model.fit(x, y, epochs=1)",
        "model.h5",
    )

    # copies
    SAVE_ONCE = _shell(
        "write it again with equal tensors stored once; TensorFlow loads the result as before",
        "modelinspect shrink {outer_word} -o {small_word}",
        "model",
    )
    KEEP_ONE_CHECKPOINT = Text(
        "keep only the last of these checkpoints: CheckpointManager(max_to_keep=1)", file="model"
    )
    LINK_WEIGHTS = _shell(
        "write it again with equal tensors stored once, under every name; Keras loads the result as before",
        "modelinspect shrink {outer_word} -o {small_word}",
        "model.keras",
    )
    INSPECT_SOURCE = Text("inspect the model that was compiled: its weights can be read", file="model.tflite")
    CONVERT_WITHOUT_GRADIENT = _python(
        "convert without the gradient, which only further training needs (`function` and `signature` are"
        " those of the conversion)",
        """
import tensorflow as tf
from jax.experimental import jax2tf
form = dict(autograph=False, input_signature=signature)
converted = jax2tf.convert(function, with_gradient=False)
module = tf.Module()
module.call = tf.function(converted, **form)
tf.saved_model.save(module, {made!r})
""",
        "model",
    )
    PASS_VARIABLES = _python(
        "pass the weights as variables instead of closing over them (`function` takes them first; `weights`"
        " is a tree of arrays)",
        """
import tensorflow as tf
from jax.experimental import jax2tf
form = dict(autograph=False, input_signature=signature)
converted = jax2tf.convert(function)
module = tf.Module()
module.weights = tf.nest.map_structure(tf.Variable, weights)
call = lambda *inputs: converted(module.weights, *inputs)
module.call = tf.function(call, **form)
tf.saved_model.save(module, {made!r})
""",
        "model",
    )
    CONVERT_AGAIN = _shell(
        "write it again with equal buffers stored once; the interpreter runs the result as before",
        "modelinspect shrink {outer_word} -o {small_word}",
        "model.tflite",
    )
    LINK_DATASET = _shell(
        "write it again with equal datasets stored once, under both names; h5py reads the result as before",
        "modelinspect shrink {outer_word} -o {small_word}",
        "data.h5",
    )
    ONE_MODEL = Text(
        "convert the functions that share it together, as signatures of one TFLite model, which stores equal"
        " buffers once: sections share no bytes",
        file="model.litertlm",
    )
    READ_VARIABLES = Text(
        "make the functions read the variables instead of constants and save again, or keep only the frozen"
        " graph",
        file="model",
    )
    BROADCAST = Text(
        "let operators broadcast one value (x * 0.5) instead of filling a tensor with it (tf.fill, tf.ones)",
        file="model",
    )

    # sparse and quantized TFLite
    CONVERT_DENSE = _python(
        "convert without sparse encoding (Optimize.EXPERIMENTAL_SPARSITY)",
        "converter.optimizations = []",
        "model.tflite",
    )
    CONVERT_DENSE_NARROW = _python(
        "convert without sparse encoding (Optimize.EXPERIMENTAL_SPARSITY)",
        "converter.optimizations = [tf.lite.Optimize.DEFAULT]",
        "model.tflite",
    )
    CONVERT_DENSE_HALF = _python(
        "convert without sparse encoding (Optimize.EXPERIMENTAL_SPARSITY), and keep the weights in float16",
        """
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.target_spec.supported_types = [tf.float16]
""",
        "model.tflite",
    )
    PRUNE_BLOCKS = _python(
        "prune dense layers in blocks that a sparse kernel runs ({block} inputs), then train, strip and"
        " convert again",
        """
import tensorflow_model_optimization as tfmot
import tf_keras
prune = tfmot.sparsity.keras.prune_low_magnitude
def wrap(layer):
    if not isinstance(layer, tf_keras.layers.Dense):
        return layer
    inputs, units = layer.kernel.shape
    fits = inputs > {block} and inputs % {block} == 0 and units > 1
    return prune(layer, block_size=({block}, 1)) if fits else layer

model = tf_keras.models.clone_model(model, clone_function=wrap)
""",
        "model.tflite",
    )
    CONVERT_FLOAT = _python(
        "convert without quantization: a model this small is smaller in float32",
        "converter.optimizations = []",
        "model.tflite",
    )

    # pruning itself
    BASELINE_FIRST = Text(
        "save the baseline before calling prune_low_magnitude(model): it prunes the same layer objects"
    )
    APPLY_MASKS = _python(
        "train with the callback that applies the masks, then save; do not train after stripping",
        _PRUNING_STEP,
    )
    BEGIN_PRUNING = _python(
        "train with this callback for more steps than begin_step of the schedule", _PRUNING_STEP
    )
    POSITIVE_ZEROS = _python(
        "turn -0.0 into 0.0 before saving; no value changes",
        "model.set_weights([w + 0.0 for w in model.get_weights()])",
    )
    POSITIVE_ZEROS_FIRST = _python(
        "turn -0.0 into 0.0 before converting; no value changes",
        "model.set_weights([w + 0.0 for w in model.get_weights()])",
        "model.tflite",
    )
    POSITIVE_ARRAYS = _python(
        "turn -0.0 into 0.0 before writing the arrays; no value changes", "array = array + 0.0", "data.h5"
    )
    LIVE_CHANNELS = _python(
        "{first}build {pair} with only the live channels; the constant output of dead channels is added to"
        " the second bias",
        _LIVE.replace("{cut}", _INTO_DENSE),
        made="smaller",
    )
    LIVE_FILTERS = _python(
        "{first}build {pair} with only the live channels; the constant output of dead channels is added to"
        " the second bias, but not where it pads",
        _LIVE.replace("{cut}", _INTO_CONVOLUTION),
        made="smaller",
    )
    LIVE_NETWORK = Text(
        "{first}build the network with only the live channels: `explain --json` lists the others as"
        " `removable_outputs` of each kernel; add the constant output of removed channels to the next bias"
    )

    # values in configurations
    HALF_PRECISION = _python(
        "store the variables in {narrow} too, and test the accuracy of the result",
        """
{load}
import json
text = json.dumps(model.get_config()).replace('mixed_{narrow}', '{narrow}')
half = type(model).from_config(json.loads(text))
half.set_weights(model.get_weights())
half.save({made!r})
""",
    )
    PLAIN_INITIALIZERS = _python(
        "save the model with plain initializers: the weights keep their values, and loading does not need the"
        " initializers",
        """
{load}
for layer in model._flatten_layers():
    for name in [n for n in vars(layer) if n.endswith('_initializer')]:
        setattr(layer, name, {module}.initializers.Zeros())

model.save({made!r})
""",
    )
    WORDS_IN_A_FILE = Text(
        "give the layer a vocabulary file instead of a list (vocabulary='words.txt'): a .keras file stores it"
        " as an asset"
    )

    # structures
    NEWEST_HDF5 = _shell(
        "remove the unused space; Keras and h5py read the result as before",
        "modelinspect shrink {file_word} -o {made_word}",
    )
    NO_TRACES = _python(
        "save it without functions and signatures; load_model of tf_keras still loads it, TensorFlow Serving"
        " does not",
        """
import tf_keras
model = tf_keras.models.load_model({file!r}, compile=False)
model.save({made!r}, save_format='tf', save_traces=False)
""",
        "model",
    )
    DELETE_DEBUG = _shell(
        "delete the folder with debug information; loading does not need it", "rm -r {debug}", "model"
    )

    # files
    GET_FILES = Text("get the missing files, or the whole model again", file="model")
    SAVE_WITH_WEIGHTS = _python(
        "save the model again, with its weights", "model.save({file!r})", "model.keras"
    )
    LOOK = _shell("look at them; saving the model again drops them", "{look}", "model.tflite")
    LOOK_AND_REPACK = _shell(
        "look at them, and write a copy without them", "{look}\nh5repack -S FSM_AGGR {file_word} {made_word}"
    )

    LIST_TENSORS = _shell(
        "list the largest tensors and what reads them",
        "modelinspect tensors {outer_word} --top 20",
        "model.tflite",
    )

    # comparisons
    COMPARE_STORAGE = _shell(
        "nothing to do, unless they should differ; see how each tensor is stored",
        "modelinspect diff {before} {after}",
    )
    COMPARE_CONTENTS = _shell(
        "compare contents instead of file checksums", "modelinspect diff {before} {after}"
    )

    # plan's own
    REPACK_HDF5 = _python("", _COPY.replace("{dataset}", _PLAIN), made="repacked")
    REPACK_GZIP_HDF5 = _python(
        "", _COPY.replace("{dataset}", _GZIPPED).replace("def copy", _GZIP), made="gzip"
    )
    CANONICAL_HDF5 = _python(
        "",
        """
import gzip, h5py, shutil
file = h5py.File(shutil.copy({file!r}, {made!r}), 'r+')
def canonical(name, item):
    if isinstance(item, h5py.Dataset) and item.dtype.kind == 'f':
        item[...] = item[...] + item.dtype.type(0)

file.visititems(canonical)
file.close()
with gzip.open({packed!r}, 'wb') as packed:
    packed.write(open({made!r}, 'rb').read())

""",
        made="canonical",
    )

    @property
    def slug(self) -> str:
        """The remedy's name, as documents write it."""
        return self.name.lower().replace("_", "-")

    @property
    def text(self) -> Text:
        """The remedy's words and code."""
        return self.value
