"""Rules about configurations: what they hold of code, and what they have a loader import, call or read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Group, Rule
from modelinspect.rules.unsafe.configs import configs_of
from modelinspect.rules.unsafe.loading import Danger

_LAMBDA = (
    "do not load it unless you know the code (Keras: safe_mode=True refuses it); "
    "the author can replace the Lambda layer by a registered layer class"
)
_NAMED_LAMBDA = (
    "see what the name stands for where you load it; replace the Lambda layer by a registered layer class"
)
_IMPORT = "do not load it: this is how CVE-2025-1550 runs commands"
_CALL = "do not load it; safe_mode does not stop these layers, and loading with tf_keras calls the function"
_UNKNOWN = "look up what the function does before you load the model"
_FILE = "keep what it reads in the model, and load only what you know"
_CUSTOM = "load it with custom_objects from a package that you know"
_NAMED = 5


def _search(danger: Danger, advice: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for evidence of a kind."""

    def find(subject: Subject) -> Iterator[Finding]:
        for located in subject.once(configs_of).of(danger):
            yield Finding(located.evidence.message, located.evidence.size, advice, located.place)

    return find


def _find_custom(subject: Subject) -> Iterator[Finding]:
    found = subject.once(configs_of).of(Danger.CUSTOM)
    if found:
        names = sorted(located.evidence.message for located in found)
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        counted = plural(len(names), "class or function", "classes or functions")
        message = f"{counted} of no known package: {', '.join(names[:_NAMED])}{more}"
        yield Finding(message, 0, _CUSTOM, found[0].place)


_ROWS = (
    (
        Danger.LAMBDA_CODE,
        Severity.ERROR,
        "Byte code in a model's configuration runs when the model is loaded or called.",
        _LAMBDA,
        (
            "Lambda layer 'twice' (function) holds marshalled Python code, 154 characters of base64, which"
            " loading makes a function"
        ),
    ),
    (
        Danger.LAMBDA_NAME,
        Severity.WARNING,
        "A Lambda layer calls whatever function its name leads to.",
        _NAMED_LAMBDA,
        "Lambda layer 'named' calls a function that the model does not hold but names: system",
    ),
    (
        Danger.IMPORT,
        Severity.ERROR,
        "A configuration that names a module has Keras import from it, and call what it finds.",
        _IMPORT,
        "the configuration has Keras import system from os, which is not part of any model",
    ),
    (
        Danger.LOAD_CALL,
        Severity.ERROR,
        "A TFOpLambda or ClassMethod layer calls a function with constants as soon as the model is loaded.",
        _CALL,
        "a TFOpLambda layer calls tf.io.write_file when the model is loaded, which writes files",
    ),
    (
        Danger.UNKNOWN_CALL,
        Severity.WARNING,
        "A layer that calls a function while the model is loaded can do what that function does.",
        _UNKNOWN,
        (
            "a TFOpLambda layer calls tf.map_fn when the model is loaded, which is not known to compute on"
            " tensors only"
        ),
    ),
    (
        Danger.FILE,
        Severity.WARNING,
        "Loading a model that names files or addresses reads them (CVE-2025-12058).",
        _FILE,
        "StringLookup layer 'words' reads https://example.com/words.txt when the model is loaded",
    ),
)
CUSTOM_OBJECT = Rule(
    "custom-object",
    Severity.NOTE,
    "What a model needs besides Keras is code that somebody has to bring.",
    _find_custom,
    advice=_CUSTOM,
    example="1 class or function of no known package: unsafe.Doubling",
    group=Group.UNSAFE,
)
RULES = (
    *(
        Rule(
            danger.value,
            severity,
            reason,
            _search(danger, advice),
            example,
            advice=advice,
            group=Group.UNSAFE,
        )
        for danger, severity, reason, advice, example in _ROWS
    ),
    CUSTOM_OBJECT,
)
