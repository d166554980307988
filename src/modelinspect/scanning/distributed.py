"""Reach a Dask cluster: `distributed` spreads the tasks, and starts them again elsewhere when a worker is
lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from modelinspect.errors import LocationError, MissingExtraError

_CONNECT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Cluster:
    """An executor on a cluster, how many threads it has, and the errors that mean that a task ended its
    worker again and again.
    """

    executor: Executor
    threads: int
    killed: tuple[type[BaseException], ...]


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Connect with the scheduler at HOST:PORT and wait for its first worker.

    Raises `LocationError`, `MissingExtraError`.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise MissingExtraError(
            "a Dask cluster needs distributed: pip install 'modelinspect[dask]'"
        ) from error
    try:
        client = distributed.Client(f"tcp://{address}", timeout=_CONNECT_SECONDS, set_as_default=False)
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise LocationError(f"dask://{address}: no scheduler with a worker answers: {error}") from error
    try:
        threads = sum(client.nthreads().values())
        yield Cluster(client.get_executor(pure=False), max(1, threads), (distributed.KilledWorker,))
    finally:
        client.close()
