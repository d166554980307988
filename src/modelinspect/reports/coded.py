"""Make enumerations whose members are numbered and say what they mean."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Coded(StrEnum):
    """A closed list of names; ``code`` is a member's place in it, ``meaning`` says what it stands for."""

    code: int
    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.code = len(cls.__members__)
        member.meaning = meaning
        return member
