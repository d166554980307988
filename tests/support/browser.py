"""Drives a real browser without a window: Chromium behind chromedriver, spoken to over WebDriver on this
machine alone.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MISSING = "needs chromium and chromedriver"
_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
]


def has_browser() -> bool:
    """Tell whether Chromium and its driver are installed."""
    return shutil.which("chromedriver") is not None and shutil.which("chromium") is not None


_WILL_BE_READY = (
    "return 'ready' in document.documentElement.dataset"
    " || document.querySelector('meta[name=generator][content=modelinspect]') !== null"
)
"""Whether a page is one that sets ``data-ready`` when all is drawn: any other is not waited for."""


class Browser:
    """A session of the browser: one window."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        options = {"binary": shutil.which("chromium"), "args": _ARGUMENTS}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{made['sessionId']}"
        self.post("/timeouts", {"script": 600_000, "pageLoad": 600_000})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._base}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=1800) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a command of WebDriver."""
        return self._call("POST", path, body)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.post("/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, seconds: float = 600) -> Any:
        """Run a script until it returns something true, and return that."""
        end = time.monotonic() + seconds
        while not (found := self.run(f"return {script}")):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {script}; the console says {self.console()}")
            time.sleep(0.05)
        return found

    def size(self, width: int, height: int) -> None:
        """Make the page that wide and high, in pixels, also narrower than a window can be."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Let the system prefer light or dark pages."""
        self.devtools(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def open(self, page: Path) -> int:
        """Open a page of modelinspect, wait until all is drawn, and return the milliseconds it says that
        took. Fail at once where the page is not one of modelinspect.
        """
        self.post("/url", {"url": page.resolve().as_uri()})
        assert self.run(_WILL_BE_READY), f"not a page of modelinspect: {page}"
        return int(self.until("document.documentElement.dataset.ready"))

    def processor_time(self) -> float:
        """Return the seconds that a processor worked on the page since it was opened: its one thread,
        whatever else runs.
        """
        self.devtools("Performance.enable", timeDomain="threadTicks")
        return float(
            next(
                one["value"]
                for one in self.devtools("Performance.getMetrics")["metrics"]
                if one["name"] == "ThreadTime"
            )
        )

    def console(self) -> list[str]:
        """Return what the console got since it was last asked: warnings, errors, what the policy refused."""
        return [
            f"{entry['level']}: {entry['message']}" for entry in self.post("/se/log", {"type": "browser"})
        ]

    def picture(self, place: Path, *, whole: bool = False) -> None:
        """Write a picture of the page as PNG."""
        data = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        place.write_bytes(base64.b64decode(data))

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        for type in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and type == "keyDown" else {}
            self.devtools(
                "Input.dispatchKeyEvent",
                type=type,
                key=key,
                code=key,
                windowsVirtualKeyCode=_CODES.get(key, 0),
                **text,
            )

    def move(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        self.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        for type in ("mousePressed", "mouseReleased"):
            self.devtools("Input.dispatchMouseEvent", type=type, x=x, y=y, button="left", clickCount=1)


_CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
}


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser of one's own and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}", f"--log-path={folder}/driver.log"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        session = None
        try:
            _wait_for(port)
            session = Browser(port)
            yield session
        finally:
            if session is not None:
                session._call("DELETE", "")
            driver.terminate()
            driver.wait(20)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 600
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
