"""A Sphinx extension: the directive ``modelinspect`` puts what a command prints into a page, at build time.

In conf.py: ``extensions = ["modelinspect.integrations.sphinx"]``. In reStructuredText and in MyST Markdown::

    .. modelinspect:: explain before.h5 after.h5

    ```{modelinspect} explain before.h5 after.h5
    ```

The commands are those of `modelinspect embed`: only commands that read, with paths relative to the document.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst.states import RSTState
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from modelinspect.cli.embedded import Reading, parse_reading, run_reading
from modelinspect.errors import ModelInspectError
from modelinspect.renderers.registry import OutputFormat
from modelinspect.version import VERSION

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class ModelInspectDirective(SphinxDirective):
    """Put what a command of modelinspect prints into the page.

    The form ``markdown`` becomes headings, lists and tables, in MyST documents only; the others become a
    literal block. A command that is not allowed or fails is an error of the build, at the line of the
    directive.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the output."""
        document = Path(self.get_source_info()[0])
        try:
            reading = parse_reading(shlex.split(self.arguments[0]))
            if reading.form is OutputFormat.MARKDOWN and isinstance(self.state, RSTState):
                raise self.error(
                    "modelinspect: --format markdown needs a MyST document; reStructuredText shows --format"
                    " terminal"
                )
            output = run_reading(reading, document.parent)
        except (ModelInspectError, ValueError) as error:
            raise self.error(f"modelinspect: {error}") from error
        for path in _files(reading, document.parent):
            self.env.note_dependency(str(path))
        if not output.language:
            holder = nodes.container(classes=["modelinspect"])
            lines = output.text.rstrip("\n").split("\n")
            self.state.nested_parse(StringList(lines, str(document)), self.content_offset, holder)
            return list(holder.children)
        block = nodes.literal_block(
            output.text.rstrip("\n"), output.text.rstrip("\n"), language=output.language
        )
        self.set_source_info(block)
        return [block]


def _files(reading: Reading, folder: Path) -> Iterator[Path]:
    """Yield the files that the page depends on: those that are named, those of folders, and those of
    checkpoint prefixes.
    """
    for location in reading.locations:
        path = folder / location
        if path.is_dir():
            yield from (
                Path(parent) / name for parent, _, names in sorted(os.walk(path)) for name in sorted(names)
            )
        elif path.is_file():
            yield path
        elif path.parent.is_dir():
            yield from sorted(
                one for one in path.parent.iterdir() if one.name.startswith(path.name + ".") and one.is_file()
            )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("modelinspect", ModelInspectDirective)
    return {"version": VERSION, "parallel_read_safe": True, "parallel_write_safe": True}
