"""Leave out operators that nothing needs: the shapes of what is known, roots that something is divided by,
and a softmax before an index.
"""

from __future__ import annotations

from modelinspect.conversion.network import Network
from modelinspect.conversion.operators import ARG_MAX, SHAPE, SOFTMAX, SQRT


def drop_unused(network: Network) -> None:
    """Drop shapes and roots that no operator takes, and softmaxes of which only the index of the largest is
    taken (optimize_patterns.td): they do not change it.
    """
    makers = {id(op.output): op for op in network.ops}
    users = network.users()
    given_out = {id(value) for _, value in network.outputs}
    gone = set()
    for op in network.ops:
        maker = makers.get(id(op.inputs[0])) if op.code == ARG_MAX else None
        if maker is None or maker.code != SOFTMAX or id(maker.output) in given_out:
            continue
        if len(users[id(maker.output)]) == 1:
            op.inputs[0] = maker.inputs[0]
            gone.add(id(maker))
    gone |= {
        id(op)
        for op in network.ops
        if op.code in (SHAPE, SQRT) and id(op.output) not in users and id(op.output) not in given_out
    }
    network.ops = [op for op in network.ops if id(op) not in gone]
