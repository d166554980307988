"""Chat templates: what reaches for Python's internals is found wherever a template is stored, and honest
templates are not.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from pathlib import Path

import jinja2
import jinja2.sandbox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_lm_builder import litertlm_builder as lm
from litert_lm_builder.runtime.proto import llm_metadata_pb2

import modelinspect
from modelinspect.encodings.jinja import pieces
from modelinspect.reports.lint import LintFinding
from modelinspect.rules.unsafe import templates
from tests.support.fixtures import fixture_path

HOSTILE = [
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ x.__init__['__globals__'] }}",
    "{%- set y = namespace(a='') -%}{{ lipsum['__glo' ~ 'bals__']['os'] }}",
    "{{ lipsum['__glo' + 'bals__'] }}",
    "{{ lipsum['__glo' 'bals__'] }}",
    r"{{ lipsum['\x5f\x5fglobals\x5f\x5f'] }}",
    r'{{ lipsum["\u005f_globals__"] }}',
    "{{ lipsum | attr('__globals__') }}",
    "{{ lipsum|attr(['__glo', 'bals__']|join) }}",
    "{{ [x]|map(attribute='__class__.__mro__')|list }}",
    "{% for c in ().__class__.mro() %}{{ c }}{% endfor %}",
    "{{ {'a': {'b': x}}.a.b.__class__ }}",
    "{% raw %}{{ a }}{% endraw %}{# {{ b }} #}{{ x.__class__ }}",
    "{{ '}}' ~ x.__class__ }}",
    "{{ 1.__class__ }}",
    "text {%+ if x.__class__ %}{% endif %}",
]
HONEST = [
    (
        "{% for message in messages %}<start>{{ message.role }}\n{{ message['content'] | trim }}<end>\n{%"
        " endfor %}"
    ),
    (
        "{%- set ns = namespace(last=0) -%}{%- for m in messages -%}{%- set ns.last = loop.index0 -%}{%-"
        " endfor -%}{{ ns.last }}"
    ),
    (
        "{%- macro tool(t) -%}{{ t.function.parameters.properties | tojson(indent=2) }}{%- endmacro -%}{{"
        " tool(tools[0]) }}"
    ),
    "{% generation %}{{ '__media__' }}{% endgeneration %}{{ raise_exception('no __class__ here') }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
    "{% raw %}{{ x.__class__ }}{% endraw %}{# {{ x.__globals__ }} #}__init__ is text",
    (
        "{{ cycler('odd', 'even').next() }} {{ strftime_now('%d %b') }}{% break %}{{ messages[loop.index0 -"
        " 1]|attr('role') }}"
    ),
    "{{ '{{ x.__class__ }}' }}",
]
LOADS = [
    "{% include 'other.jinja' %}",
    "{%- from 'a' import b -%}",
    "{% import x as y %}",
    "{% extends 'base' %}",
]


def findings(path: Path) -> dict[str, list[LintFinding]]:
    by_rule: dict[str, list[LintFinding]] = {}
    for finding in modelinspect.lint(path, select=("template-*",)).findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def preset(folder: Path, **files: str) -> Path:
    """Write a folder of Hugging Face with further files (``__`` in a name is a dot)."""
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny", "architectures": ["Tiny"]}))
    (folder / "model.safetensors").write_bytes(fixture_path("safetensors_files/mlp.safetensors").read_bytes())
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def litertlm(path: Path, template: str) -> Path:
    metadata = llm_metadata_pb2.LlmMetadata(max_num_tokens=8, jinja_prompt_template=template)
    (path.parent / "llm.pb").write_bytes(metadata.SerializeToString())
    builder = lm.LitertLmFileBuilder()
    builder.add_system_metadata(lm.Metadata(key="Authors", value="a test", dtype=lm.DType.STRING))
    builder.add_llm_metadata(str(path.parent / "llm.pb"))
    stream = io.BytesIO()
    builder.build(stream)
    path.write_bytes(stream.getvalue())
    return path


class Watching(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """A sandbox that keeps the attributes that it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Return whether the sandbox gives an attribute out."""
        safe = super().is_safe_attribute(obj, attr, value)
        self.refused += [] if safe else [attr]
        return safe


@pytest.mark.parametrize("template", HOSTILE)
def test_what_jinjas_sandbox_refuses_is_found(template: str, tmp_path: Path) -> None:
    sandbox = Watching()
    with contextlib.suppress(jinja2.exceptions.SecurityError, jinja2.exceptions.UndefinedError):
        sandbox.from_string(template).render(x=Path)
    assert sandbox.refused
    assert set(findings(preset(tmp_path, chat_template__jinja=template))) == {"template-code"}


@pytest.mark.parametrize("template", HONEST)
def test_honest_templates_have_no_finding(template: str, tmp_path: Path) -> None:
    assert not findings(preset(tmp_path, chat_template__jinja=template))


@pytest.mark.parametrize("template", LOADS)
def test_templates_that_load_others_are_found(template: str, tmp_path: Path) -> None:
    found = findings(preset(tmp_path, chat_template__jinja=template))
    assert set(found) == {"template-load"}
    assert template in found["template-load"][0].message


def test_the_finding_names_the_bytes_of_the_expression(tmp_path: Path) -> None:
    text = "{{ 'é' }}\n" * 3 + HOSTILE[0] + "{{ x }}" + HOSTILE[7]
    path = preset(tmp_path, chat_template__jinja=text) / "chat_template.jinja"
    data = path.read_bytes()
    found = findings(tmp_path)["template-code"]
    stored = [
        data[one.offset : one.offset + one.size]
        for one in found
        if one.offset is not None and one.size is not None
    ]
    assert stored == [HOSTILE[0].encode(), HOSTILE[7].encode()]
    assert {one.member for one in found} == {"chat_template.jinja"}


@pytest.mark.parametrize(
    "value",
    [
        HOSTILE[0],
        [{"name": "default", "template": HONEST[0]}, {"name": "tools", "template": HOSTILE[0]}],
        {"default": HOSTILE[0]},
    ],
    ids=["text", "list", "object"],
)
def test_templates_in_the_settings_of_a_tokenizer_are_looked_at(value: object, tmp_path: Path) -> None:
    found = findings(preset(tmp_path, tokenizer_config__json=json.dumps({"chat_template": value})))
    assert [one.member for one in found["template-code"]] == ["tokenizer_config.json"]


def test_the_template_of_a_litertlm_file_is_looked_at(tmp_path: Path) -> None:
    path = litertlm(tmp_path / "bad.litertlm", f"{HONEST[0]}{HOSTILE[0]}")
    (finding,) = findings(path)["template-code"]
    assert finding.offset is not None
    assert path.read_bytes()[finding.offset :].startswith(HOSTILE[0].encode())
    assert not findings(litertlm(tmp_path / "good.litertlm", HONEST[0]))


def test_what_is_too_long_to_look_at_is_reported_and_what_is_just_short_enough_is_quick(
    tmp_path: Path,
) -> None:
    long = "{{a.b}}" * (templates._MOST // 7)
    preset(tmp_path, chat_template__jinja=long)
    began = time.process_time()
    assert not findings(tmp_path)
    assert time.process_time() - began < 10
    (tmp_path / "chat_template.jinja").write_text(long + "{{a}}" * 2)
    assert [one.bytes for one in findings(tmp_path)["template-code"]] == [len(long) + 10]


@pytest.mark.parametrize(
    "text", ["{{ '" + "\\'" * 60_000, "{{" * 60_000, "{{ [" * 60_000, "{#" * 60_000, "{% raw %}" * 20_000]
)
def test_broken_templates_take_no_longer_than_their_length(text: str) -> None:
    began = time.process_time()
    assert pieces(text)[1]
    assert time.process_time() - began < 5


def test_what_jinja_does_not_read_is_reported_and_what_is_before_it_is_checked(tmp_path: Path) -> None:
    found = findings(preset(tmp_path, chat_template__jinja=HOSTILE[0] + "{{ x ? }}" + HOSTILE[1]))[
        "template-code"
    ]
    assert len(found) == 2
    assert "does not read" in found[1].message
    assert found[1].bytes == len((tmp_path / "chat_template.jinja").read_bytes())


_PARTS = """{{ }} {% %} {# #} 'a' "b}}" x . __class__ [ ] { } | ( ) - ~ 1 0x1f 1_0 1.5e3 01 _ raw endraw if : , 'c' text"""  # noqa: E501


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*_PARTS.split(), " ", "\n", "\r\n", "\r"]), max_size=30).map("".join))
def test_pieces_and_tokens_are_where_jinja_reads_them(template: str) -> None:
    """jinja2 gives no places: what is at ours is spelled as its lexer says, in its order, between
    delimiters.
    """
    try:
        expected = [
            text
            for _, kind, text in jinja2.Environment().lex(template)
            if kind in ("name", "string", "operator", "integer", "float")
        ]
    except jinja2.TemplateSyntaxError:
        return
    codes, problem = pieces(template)
    tokens = [token for code in codes for token in code.tokens]
    assert [re.sub("\r\n|\r", "\n", template[token.begin : token.end]) for token in tokens] == expected
    for code in codes[:-1] if problem else codes:
        assert template[code.begin : code.begin + 2] == ("{%" if code.is_block else "{{")
        assert template[code.end - 2 : code.end] == ("%}" if code.is_block else "}}")
        assert all(code.begin < token.begin < token.end <= code.end - 2 for token in code.tokens)
