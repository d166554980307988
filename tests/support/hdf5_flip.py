"""Reads HDF5 files with single bytes changed, through h5py, in a separate process: libhdf5 may crash or
hang on them.

Run as a script: the first line of stdin is a JSON object with the file and the patches (lists of offset and
hex), and each patch's outcome is a line of stdout: the things that read differently than in the file as it
is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

Patch = list[tuple[int, str]]
SECONDS_PER_PATCH = 20


def differences(path: Path, patches: list[Patch]) -> Iterator[list[str]]:
    """Yield, for each patch, what h5py reads differently; ["crash"] where libhdf5 ends or hangs."""
    done = 0
    while done < len(patches):
        job = json.dumps({"path": str(path), "patches": patches[done:]})
        process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            out, _ = process.communicate(job, timeout=SECONDS_PER_PATCH + 0.2 * (len(patches) - done))
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        lines = out.splitlines()
        for line in lines:
            yield json.loads(line)
        done += len(lines)
        if done < len(patches):
            yield ["crash"]
            done += 1


def read_all(image: bytes) -> dict[str, object]:
    """Return everything that h5py reads of a file: objects, links, attributes, types and data."""
    import h5py

    found: dict[str, object] = {}
    try:
        file_id = h5py.h5f.open_file_image(image)
    except Exception as error:
        return {"file": type(error).__name__}
    with h5py.File(file_id) as file:
        pending: list[tuple[str, object]] = [("/", file)]
        seen: set[int] = set()
        while pending:
            path, thing = pending.pop()
            try:
                info = h5py.h5o.get_info(thing.id)  # type: ignore[attr-defined]
                if info.addr in seen:
                    continue
                seen.add(info.addr)
                _attributes(found, path, thing)
                if isinstance(thing, h5py.Group):
                    pending += reversed(_members(found, path, thing))  # in the order of the walk
                elif isinstance(thing, h5py.Dataset):
                    found[f"type {path}"] = (
                        str(thing.dtype),
                        thing.shape,
                        thing.maxshape,
                        thing.chunks,
                        thing.compression,
                    )
                    found[f"data {path}"] = _data(thing)
                else:
                    found[f"type {path}"] = str(thing.dtype)  # type: ignore[attr-defined]
            except Exception as error:
                found[f"object {path}"] = type(error).__name__
    return found


def _attributes(found: dict[str, object], path: str, thing) -> None:  # type: ignore[no-untyped-def]
    for name in thing.attrs:
        try:
            value = thing.attrs[name]
            found[f"attribute {path} {name}"] = (
                str(getattr(value, "dtype", "")),
                repr(getattr(value, "tolist", lambda v=value: v)()),
            )
        except Exception as error:
            found[f"attribute {path} {name}"] = type(error).__name__


def _members(found: dict[str, object], path: str, group) -> list[tuple[str, object]]:  # type: ignore[no-untyped-def]
    members: list[tuple[str, object]] = []
    for name in group:
        full = f"{path.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        found[f"link {full}"] = (
            type(link).__name__,
            getattr(link, "path", ""),
            getattr(link, "filename", ""),
        )
        if type(link).__name__ == "HardLink":
            try:
                members.append((full, group[name]))
            except Exception as error:
                found[f"object {full}"] = type(error).__name__
    return members


def _data(dataset) -> object:  # type: ignore[no-untyped-def]
    import h5py

    try:
        value = dataset[()]
    except Exception as error:
        return type(error).__name__
    if isinstance(value, h5py.Empty):
        return "empty"
    return (
        value.tobytes() if getattr(getattr(value, "dtype", None), "hasobject", True) is False else repr(value)
    )


def main() -> None:
    """Answer the job on stdin, in forks of this process: where libhdf5 ends one or hangs, the next goes on
    behind that patch.
    """
    job = json.loads(sys.stdin.readline())
    data = Path(job["path"]).read_bytes()
    whole = read_all(data)
    patches: list[Patch] = job["patches"]
    done = 0
    while done < len(patches):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _answer(data, whole, patches[done:], writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                done += 1
                sys.stdout.buffer.write(line)
        os.waitpid(child, 0)
        if done < len(patches):
            done += 1
            sys.stdout.buffer.write(b'["crash"]\n')
        sys.stdout.flush()


def _answer(data: bytes, whole: dict[str, object], patches: list[Patch], place: int) -> NoReturn:
    """Write a line for each patch and end the process."""
    for patch in patches:
        signal.alarm(SECONDS_PER_PATCH)
        changed = bytearray(data)
        for offset, text in patch:
            new = bytes.fromhex(text)
            changed[offset : offset + len(new)] = new
        found = read_all(bytes(changed))
        differ = sorted(key for key in whole.keys() | found.keys() if whole.get(key) != found.get(key))
        os.write(place, json.dumps(differ).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()
