"""Asks flatbuffers' own verifier whether a TFLite model is sound.

The Python package of flatbuffers has none; TensorFlow's importer begins with it (FlatBufferToMlir in
tensorflow/compiler/mlir/lite/flatbuffer_import.cc calls FlatBufferModel::VerifyAndBuildFromBuffer). What it
does afterwards may end the process, so each model gets a separate one: run as a program, this module loads
TensorFlow once and forks for each model.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any, BinaryIO, Self

REFUSED = b"couldn't parse flatbuffer"
ENDED = b"?"
SECONDS_PER_MODEL = 60
ACCEPTS, REFUSES = 101, 102


class Verifier:
    """A process that verifies models, each in a fork."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def accepts(self, data: bytes) -> bool | None:
        """Tell whether the verifier accepts a model; None where the importer ended the process."""
        if self._process is None:
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the pipes are open")
        try:
            process.stdin.write(struct.pack("<I", len(data)) + data)
            process.stdin.flush()
            verdict = process.stdout.read(1)
        except BrokenPipeError:
            verdict = b""
        if not verdict:
            self.__exit__(None, None, None)
            return None
        return None if verdict == ENDED else verdict == b"1"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _serve(models: BinaryIO) -> None:
    """Read models, each behind its size, and write a byte for each: 1 where it was accepted, ? where the
    importer ended its process.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from tensorflow.compiler.mlir.lite.python import wrap_converter

    verdicts = os.dup(1)
    while size := models.read(4):
        data = models.read(*struct.unpack("<I", size))
        child = os.fork()
        if not child:
            signal.alarm(SECONDS_PER_MODEL)
            os._exit(_verdict(wrap_converter, data))
        _, status = os.waitpid(child, 0)
        ended = not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (ACCEPTS, REFUSES)
        os.write(verdicts, ENDED if ended else b"1" if os.WEXITSTATUS(status) == ACCEPTS else b"0")


def _verdict(converter: Any, data: bytes) -> int:
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        converter.wrapped_flat_buffer_file_to_mlir(data, False)
        return REFUSES if REFUSED in os.pread(2, 1 << 16, 0) else ACCEPTS


if __name__ == "__main__":
    _serve(sys.stdin.buffer)
