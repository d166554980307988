"""Run modelinspect from one file: unpack it into the user's cache once, and import it from there.

This is the ``__main__`` of ``modelinspect.pyz``; scripts/build_pyz.py puts it there. Compiled modules cannot
be imported from a zip archive. The folder of the cache is named after the digest of the build, and appears
whole or not at all. MODELINSPECT_CACHE names another one.
"""

import json
import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path


def main() -> None:
    """Unpack what is not unpacked, and run the command line."""
    with zipfile.ZipFile(Path(sys.argv[0]).resolve()) as archive:
        build = json.loads(archive.read("build.json"))
        require_fitting(build)
        site = unpacked(archive, build)
    sys.path.insert(0, str(site))
    from modelinspect.cli.main import entry

    entry()


def require_fitting(build: dict) -> None:
    """End the process with a sentence where Python or the system is another one than the file was built
    for.
    """
    python, system = tuple(build["python"]), sysconfig.get_platform()
    if python != sys.version_info[:2] or system != build["system"]:
        here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {system}"
        needed = f"Python {python[0]}.{python[1]} on {build['system']}"
        sys.stderr.write(
            f"modelinspect: this file is for {needed}, and this is {here}; use pip install modelinspect, or"
            " another file\n"
        )
        sys.exit(3)


def unpacked(archive: zipfile.ZipFile, build: dict) -> Path:
    """Return the folder with the packages, unpacked before or now."""
    folder = cache() / f"pyz-{build['digest'][:32]}"
    if is_whole(folder, build):
        return folder
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        sys.stderr.write(
            f"modelinspect: {folder.parent}: cannot be written: {error.strerror}; MODELINSPECT_CACHE names"
            " another folder to unpack into\n"
        )
        sys.exit(3)
    try:
        for name in build["files"]:
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"site/{name}") as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
        if folder.exists():  # it is damaged: files are missing or have another size
            shutil.rmtree(folder, ignore_errors=True)
        try:
            part.rename(folder)
        except OSError:
            if not is_whole(folder, build):  # another process was not quicker
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def is_whole(folder: Path, build: dict) -> bool:
    """Return whether every file is there with its size."""
    try:
        return all((folder / name).stat().st_size == size for name, size in build["files"].items())
    except OSError:
        return False


def cache() -> Path:
    """Return the folder of the user's cache."""
    named = os.environ.get("MODELINSPECT_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "modelinspect"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "modelinspect"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelinspect"


if __name__ == "__main__":
    main()
