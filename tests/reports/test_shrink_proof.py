"""The sentence that says what a proof compared."""

from __future__ import annotations

import pytest

from modelinspect.reports.shrink import ShrinkProof, told_proof


def proof(documents: tuple[int, int, int], dropped: int = 0) -> ShrinkProof:
    held, equal, changed = documents
    return ShrinkProof(
        tensors=10 + dropped,
        equal=10,
        dropped=dropped,
        documents=held,
        documents_equal=equal,
        documents_changed=changed,
        readers={"h5py": 12},
        loads_in=("keras",),
    )


@pytest.mark.parametrize(
    ("documents", "dropped", "told"),
    [
        ((0, 0, 0), 0, "10 of 10 tensors are equal bit by bit"),
        ((2, 2, 0), 0, "10 of 10 tensors and 2 of 2 documents are equal bit by bit"),
        (
            (1, 0, 1),
            18,
            "10 of 10 tensors are equal bit by bit; 18 tensors dropped on request; 1 document changed",
        ),
        ((2, 1, 1), 0, "10 of 10 tensors and 1 of 1 document are equal bit by bit; 1 document changed"),
    ],
)
def test_what_was_left_out_is_never_counted_as_unequal(
    documents: tuple[int, int, int], dropped: int, told: str
) -> None:
    assert told_proof(proof(documents, dropped)) == f"{told} (read again by modelinspect and h5py)."
