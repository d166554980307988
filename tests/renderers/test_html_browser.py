"""Pages in a real browser: they draw without a complaint, zoom, filter, obey the keyboard, and show hostile
names as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect
from modelinspect.core.bytemap import RegionKind
from modelinspect.renderers.escape import plain
from tests.renderers.test_html import HOSTILE, drawn, hostile, page
from tests.support.artifacts import Build
from tests.support.browser import MISSING, Browser, browser, has_browser
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

pytestmark = pytest.mark.skipif(not has_browser(), reason=MISSING)

SIZE_LIMIT = 3 << 20


@pytest.fixture(scope="module")
def shown() -> Iterator[Browser]:
    with browser() as session:
        yield session


@pytest.fixture
def window(shown: Browser) -> Browser:
    shown.size(1280, 1000)
    shown.prefer("light")
    shown.console()
    return shown


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    before, after = fixture_path("mlp/original.h5"), fixture_path("mlp/wrapped.h5")
    for arguments in (
        ("inspect", after),
        ("diff", before, after),
        ("explain", before, after),
        ("map", after),
    ):
        assert run_cli(*arguments, "--format", "html", "-o", folder / f"{arguments[0]}.html").code == 0
    (folder / "hostile.html").write_text(page(drawn(hostile())), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["inspect", "diff", "explain", "map"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_a_page_draws_without_a_complaint_and_fits_its_window(
    window: Browser, pages: Path, name: str, scheme: str, width: int
) -> None:
    window.size(width, 900)
    window.prefer(scheme)
    window.open(pages / f"{name}.html")
    assert window.console() == []
    assert window.run("return document.documentElement.scrollWidth <= innerWidth")
    assert window.run("return document.querySelectorAll('[role=alert]').length") == 0
    charts = window.run("return document.querySelectorAll('svg.chart .slice, .waterfall .step').length")
    assert (charts > 3) == (name != "map")
    assert window.run("return performance.getEntriesByType('resource').length") == 0
    dark = window.run("return getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(18, 21, 26)" if scheme == "dark" else "rgb(246, 247, 249)")


def test_hostile_names_show_as_text_everywhere(window: Browser, pages: Path) -> None:
    window.open(pages / "hostile.html")
    for details in range(window.run("return document.querySelectorAll('details').length")):
        window.run("document.querySelectorAll('details')[arguments[0]].open = true", details)
    window.until("document.querySelectorAll('details .data').length == 2")
    window.run("document.querySelector('canvas').focus()")
    for _ in range(6):
        window.press("ArrowRight")
    assert window.console() == []
    text = window.run("return document.body.textContent")
    for name in HOSTILE:
        assert plain(name) in text
    assert window.run("return [...document.querySelectorAll('body img, main script')].length") == 0
    assert "<script>" in window.run("return document.querySelector('h1').textContent")
    assert "<script>" in window.run("return document.querySelector('.chart').textContent")


def test_the_policy_refuses_what_the_page_did_not_bring(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    window.run(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        " document.body.append(s)"
    )
    assert window.run("return window.broken") is None
    window.run(
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i)"
    )
    window.until("true")
    complaints = window.console()
    assert any("Content Security Policy" in one and "script" in one for one in complaints)
    assert any("Content Security Policy" in one and "x.png" in one for one in complaints)


def rows(window: Browser, place: str) -> list[str]:
    found = window.run(
        f"return [...document.querySelector('{place}').querySelectorAll('tbody tr')].map(row =>"
        " row.firstElementChild.textContent)"
    )
    assert isinstance(found, list)
    return found


def test_a_table_filters_and_sorts_and_says_so(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    table = "section.table"
    everything = rows(window, table)
    window.run(
        f"const i = document.querySelector('{table} input'); i.value = 'MASK'; i.dispatchEvent(new"
        " Event('input'))"
    )
    window.until(f"document.querySelector('{table} .status').textContent.startsWith('2 of 19 rows')")
    assert rows(window, table) == [name for name in everything if "mask" in name]
    window.run(
        f"const i = document.querySelector('{table} input'); i.value = ''; i.dispatchEvent(new"
        " Event('input'))"
    )
    window.until(f"document.querySelector('{table} .status').textContent.startsWith('19 rows')")
    button = f"document.querySelector('{table} thead button')"
    window.run(f"{button}.focus()")
    window.press("Enter")
    window.run(f"{button}.click()")
    assert rows(window, table) == sorted(everything, key=str.lower)
    assert window.run(f"return {button}.parentElement.getAttribute('aria-sort')") == "ascending"
    window.run(f"{button}.click()")
    assert rows(window, table) == sorted(everything, key=str.lower, reverse=True)
    assert window.run(f"return {button}.parentElement.getAttribute('aria-sort')") == "descending"


def test_a_scan_leads_to_the_page_of_each_model(window: Browser, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("plain.h5", "<img src=x>`%23?'javascript:.h5"):
        (models / name).write_bytes(fixture_path("mlp/stripped.h5").read_bytes())
    (models / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3))
    out = tmp_path / "scan.html"
    assert run_cli("scan", models, "--jobs", "1", "-o", out, "--pages", tmp_path / "pages #1%").code == 0
    for number in range(2):
        window.size(400, 900)
        window.open(out)
        shown = rows(window, "section.table")
        assert [Path(name).name for name in shown] == sorted(
            path.name for path in models.iterdir() if path.name != "broken.h5"
        )
        assert "broken.h5" in window.run("return document.querySelector('section.notes').textContent")
        assert window.run("return document.documentElement.scrollWidth <= innerWidth")
        assert window.run("return document.querySelectorAll('main a').length") == 2
        assert window.run("return document.querySelectorAll('td.share').length") >= 2
        window.run("document.querySelectorAll('main a')[arguments[0]].click()", number)
        window.until(
            "document.documentElement.dataset.ready && document.querySelector('.treemap, svg.chart')"
        )
        assert window.run("return document.querySelector('h1').textContent") == shown[number]
        assert window.console() == []


def test_the_treemap_zooms_by_click_by_choice_and_by_keys(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    window.run("document.querySelector('section.tree').scrollIntoView()")
    chosen = "document.querySelector('section.tree select').selectedOptions[0].textContent"
    slices = "[...document.querySelectorAll('section.tree .slice')]"
    assert window.run(f"return {chosen}") == "all bytes"
    x, y = window.run(f"""
        const box = {slices}.find(one => one.textContent.startsWith('optimizer-state:')).querySelector('rect').getBoundingClientRect();
        return [box.x + box.width / 2, box.y + 8];""")  # noqa: E501
    window.move(x, y)
    assert window.run("return document.querySelector('section.tree .readout').textContent").startswith(
        "optimizer-state: 21,592 bytes"
    )
    window.click(x, y)
    assert window.run(f"return {chosen}") == "optimizer-state"
    assert not window.run(f"return {slices}.some(one => one.textContent.includes('zero-weights'))")
    window.run("document.querySelector('section.tree svg').focus()")
    window.press("Escape")
    assert window.run(f"return {chosen}") == "all bytes"
    window.press("ArrowRight")
    window.press("Enter")
    assert window.run(f"return {chosen}") != "all bytes"
    window.run(
        "const s = document.querySelector('section.tree select'); s.value = 0; s.dispatchEvent(new"
        " Event('change'))"
    )
    assert window.run(f"return {slices}.some(one => one.textContent.includes('zero-weights'))")
    window.run("document.querySelectorAll('section.tree .tools button')[1].click()")
    assert window.run("return document.querySelectorAll('section.tree .icicle .slice').length") > 10
    assert window.console() == []


def test_the_areas_of_boxes_are_in_proportion_to_their_bytes(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    areas = window.run(
        """
        const tree = { labels: ['', 'a', 'b', 'c', 'd'], parents: [-1, 0, 0, 0, 0], sizes: [1000, 500, 300, 199, 1] };
        return treemapBoxes(withChildren(tree), 0, 400, 250).map(([node, x, y, w, h]) => [tree.sizes[node], w * h, x, y, w, h]);"""  # noqa: E501
    )
    for size, area, *_ in areas:
        assert area == pytest.approx(100 * size)
    for one in areas:
        for other in areas:
            if one is not other:
                (_, _, x, y, w, h), (_, _, left, top, wide, high) = one, other
                apart = (
                    x + w <= left + 1e-6
                    or left + wide <= x + 1e-6
                    or y + h <= top + 1e-6
                    or top + high <= y + 1e-6
                )
                assert apart


def test_every_label_in_a_treemap_fits_its_box(window: Browser, pages: Path) -> None:
    for width in (1280, 400):
        window.size(width, 900)
        window.open(pages / "inspect.html")
        outside = window.run("""
            return [...document.querySelectorAll('section.tree .slice text')].filter(text => {
                const box = text.parentElement.firstElementChild.getBoundingClientRect(), own = text.getBoundingClientRect();
                return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 4;
            }).map(text => text.textContent)""")  # noqa: E501
        assert outside == []
        assert window.run("return document.querySelectorAll('section.tree .slice text').length") > 10


def test_the_search_finds_a_tensor_in_pictures_and_tables(window: Browser, pages: Path) -> None:
    for name in ("inspect", "explain"):
        window.open(pages / f"{name}.html")
        window.run(
            "const i = document.querySelector('header input'); i.value = 'dense_1/mask';"
            " i.form.requestSubmit()"
        )
        assert window.run("return document.querySelector('header .status').textContent").startswith("Found: ")
        assert window.run("return document.querySelectorAll('.slice.match').length") == 1
        named = window.run(
            "return document.querySelector('section.tree .readout, section.compare .readout').textContent"
        )
        assert "prune_low_magnitude_dense_1/mask" in named
        shown = window.run(
            "return [...document.querySelectorAll('section.table tbody tr')].map(row => row.textContent)"
        )
        assert any("dense_1/mask" in row for row in shown)
        window.run(
            "const i = document.querySelector('header input'); i.value = 'no such tensor';"
            " i.form.requestSubmit()"
        )
        assert window.run("return document.querySelector('header .status').textContent").startswith(
            "Nothing on this page"
        )
    assert window.console() == []


@pytest.mark.parametrize("name", ["inspect", "explain"])
def test_a_page_is_ready_when_its_pictures_are_drawn(window: Browser, pages: Path, name: str) -> None:
    made = window.devtools(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""
            new MutationObserver(() => {
                const charts = [...document.querySelectorAll('svg.chart')];
                window.atReady = [charts.length, charts.filter(one => !one.hasAttribute('viewBox')).length];
            }).observe(document, { attributes: true, attributeFilter: ['data-ready'], subtree: true });""",
    )
    try:
        window.open(pages / f"{name}.html")
        charts, missing = window.run("return window.atReady")
    finally:
        window.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=made["identifier"])
    assert charts > 0
    assert missing == 0


def test_pointing_at_a_tensor_outlines_its_counterpart(window: Browser, pages: Path) -> None:
    window.open(pages / "explain.html")
    window.run("document.querySelector('section.compare').scrollIntoView()")
    x, y = window.run(
        """
        const after = document.querySelectorAll('section.compare svg')[1];
        const box = [...after.querySelectorAll('.slice')].find(one => one.textContent.includes('Adam/m/dense/kernel:'));
        const place = box.querySelector('rect').getBoundingClientRect(); return [place.x + 8, place.y + 8];"""  # noqa: E501
    )
    window.move(x, y)
    outlined = window.run(
        """
        const { compare } = document.querySelector('section.compare');
        return compare.views.map((view, side) => [compare.trees[side].labels[view.chosen], view.edge.hasAttribute('hidden')]);"""  # noqa: E501
    )
    assert outlined == [["Adam/m/dense/kernel", False], ["Adam/m/dense/kernel", False]]
    readout = window.run("return document.querySelector('section.compare .readout').textContent")
    assert readout.endswith("5,120 → 5,120 bytes (no change)")
    window.run("document.querySelector('section.compare .tools button').click()")
    assert window.run("return document.querySelector('section.compare .legend').offsetParent !== null")
    moved = window.run("return document.querySelector('section.table tfoot').textContent")
    assert moved.endswith("+14,660")
    assert window.console() == []


def test_code_is_copied_by_its_button(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    window.run("""
        const writeText = (text) => { window.copied = text; return Promise.resolve(); };
        Object.defineProperty(navigator, 'clipboard', { value: { writeText } })""")
    code = window.run(
        "const code = document.querySelector('.code'); code.querySelector('button').click(); return"
        " code.lastChild.textContent"
    )
    assert window.until("window.copied") == code
    window.until("document.querySelector('.code button').textContent === 'Copied'")


@pytest.mark.parametrize("name", ["inspect", "explain"])
def test_a_chart_stays_within_its_part_when_the_window_is_resized(
    window: Browser, pages: Path, name: str
) -> None:
    window.open(pages / f"{name}.html")
    for width in (700, 1_100):
        window.size(width, 900)
        window.until(
            "(chart => Number(chart.getAttribute('viewBox').split(' ')[2]) ==="
            " chart.clientWidth)(document.querySelector('svg.chart'))"
        )
        assert window.run(
            """
            const chart = document.querySelector('svg.chart').getBoundingClientRect();
            return chart.right <= document.querySelector('svg.chart').closest('section').getBoundingClientRect().right"""  # noqa: E501
        )


def test_the_ribbon_names_regions_under_the_pointer_and_by_keys(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    readout = "document.querySelector('.ribbon .readout').textContent"
    window.run("document.querySelector('.ribbon').scrollIntoView()")
    box = window.run(
        "const box = document.querySelector('canvas').getBoundingClientRect(); return [box.x, box.y,"
        " box.width]"
    )
    for share in (0.2, 0.5, 0.9):
        window.move(box[0] + share * box[2], box[1] + 20)
        at = window.until(
            "document.querySelector('.ribbon-part').ribbon.chosen + 1 && /byte ([\\d,]+)"
            f" /.exec({readout})[1]"
        )
        (region,) = json.loads(
            run_cli("map", fixture_path("mlp/wrapped.h5"), "--at", at, "--format", "json").text
        )["regions"]
        assert region["offset"] == int(at.replace(",", ""))
        assert window.run(f"return {readout}").startswith(f"{' / '.join(region['path'])}: ")
        assert abs(region["offset"] + region["size"] / 2 - share * 72_012) <= region["size"] / 2 + 100
    assert window.run("return document.querySelector('.tip').hidden") is False
    window.run("document.querySelector('canvas').focus()")
    window.press("End")
    last = window.run(f"return {readout}")
    assert "72,012" not in last
    window.press("Home")
    window.press("ArrowRight")
    second = window.run(f"return {readout}")
    window.press("ArrowLeft")
    assert second != window.run(f"return {readout}") != last
    window.press("Enter")
    ribbon = "document.querySelector('.ribbon-part').ribbon"
    width = window.run(f"return {ribbon}.view[1] - {ribbon}.view[0]")
    assert width < 1_000
    window.press("Escape")
    assert window.run(f"return {ribbon}.view[1] - {ribbon}.view[0]") == 72_012
    window.run(
        "const i = document.querySelector('.ribbon [role=search] input'); i.value = '0x3000';"
        " i.form.requestSubmit()"
    )
    told = window.run(
        f"return [{ribbon}.data.starts[{ribbon}.chosen], {ribbon}.data.starts[{ribbon}.chosen + 1]]"
    )
    assert told[0] <= 0x3000 < told[1]


def test_a_page_of_another_program_is_not_waited_for(window: Browser, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<!DOCTYPE html><title>other</title><p>other</p>", encoding="utf-8")
    with pytest.raises(AssertionError, match="not a page of modelinspect"):
        window.open(other)


def test_a_notebook_draws_the_same_figures_in_its_frame(window: Browser, tmp_path: Path) -> None:
    shown = modelinspect.inspect(fixture_path("mlp/wrapped.h5"))._repr_html_()
    cell = tmp_path / "cell.html"
    cell.write_text(
        f"<!DOCTYPE html><html data-ready='1'><title>cell</title><body>{shown}</body></html>",
        encoding="utf-8",
    )
    window.open(cell)
    window.post("/frame", {"id": 0})
    try:
        window.until("document.documentElement.dataset.ready")
        assert window.run(
            "return [document.querySelectorAll('canvas').length,"
            " document.querySelectorAll('g.treemap').length]"
        ) == [1, 1]
        assert (
            window.run("try { return parent.document.title } catch (error) { return error.name }")
            == "SecurityError"
        )
    finally:
        window.post("/frame", {"id": None})
    window.post("/frame", {"id": 0})
    try:
        content = window.run("return document.body.getBoundingClientRect().height")
    finally:
        window.post("/frame", {"id": None})
    assert content > 1_500
    frame = "document.querySelector('iframe').clientHeight"
    height = window.until(f"{frame} >= {content} && {frame}")
    assert height < content + 40
    assert window.console() == []


def test_every_control_can_be_reached_by_tab_and_shows_the_focus(window: Browser, pages: Path) -> None:
    window.open(pages / "inspect.html")
    window.run("document.activeElement.blur(); window.seen = new Set()")
    for _ in range(90):
        window.press("Tab")
        visible = window.run("""
            const now = document.activeElement; window.seen.add(now);
            return now === document.body || getComputedStyle(now).outlineStyle !== 'none'""")
        assert visible
    missed = window.run("""
        const all = [...document.querySelectorAll('a[href], button, select, input, summary, canvas, svg.chart, .scroll')];
        const missed = all.filter(one => !window.seen.has(one) && !one.disabled && one.checkVisibility());
        return missed.map(one => one.outerHTML.slice(0, 80))""")  # noqa: E501
    assert missed == []
    unnamed = window.run("""
        return [...document.querySelectorAll('input, select')].filter(one => !one.labels.length).length
             + [...document.querySelectorAll('table')].filter(one => !one.caption || !one.caption.textContent).length
             + document.querySelectorAll('section:not([aria-labelledby], .lines)').length""")  # noqa: E501
    assert unnamed == 0


def test_the_theme_button_turns_the_page_dark(window: Browser, pages: Path) -> None:
    window.open(pages / "explain.html")
    button = "document.querySelector('.brand button')"
    for theme, page_color in (("light", "rgb(246, 247, 249)"), ("dark", "rgb(18, 21, 26)")):
        window.run(f"{button}.click()")
        assert window.run(f"return {button}.textContent") == f"Theme: {theme}"
        assert window.run("return getComputedStyle(document.body).backgroundColor") == page_color
    assert window.console() == []


def test_text_stands_out_from_what_is_behind_it(window: Browser, pages: Path) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 for text, measured on what the browser computed."""
    for scheme in ("light", "dark"):
        window.prefer(scheme)
        window.open(pages / "explain.html")
        worst = window.run("""
            const channels = text => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map(c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 })
                .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
            const behind = node => {
                const c = channels(getComputedStyle(node).backgroundColor);
                return c.length < 4 || c[3] === 1 ? c : behind(node.parentElement);
            };
            let worst = 99;
            for (const node of document.querySelectorAll('h1, h2, p, li, th, td, button, label, summary, code, strong')) {
                if (!node.textContent.trim() || node.closest('.chart') || node.offsetParent === null || node.disabled) continue;
                const [one, other] = [light(channels(getComputedStyle(node).color)), light(behind(node))];
                worst = Math.min(worst, (Math.max(one, other) + .05) / (Math.min(one, other) + .05));
            }
            return worst;""")  # noqa: E501
        assert worst >= 4.5, scheme


def test_a_page_of_a_hundred_thousand_regions_stays_small_and_smooth(window: Browser, tmp_path: Path) -> None:
    build = Build("many.h5")
    for index in range(50_000):
        build.region(f"group {index // 100} / object header {index}", 8 + index % 90, RegionKind.CONTAINER)
        build.region(f"group {index // 100} / free", 4 + index % 7, RegionKind.FREE)
    path = tmp_path / "many.html"
    path.write_text(page(drawn(build)), encoding="utf-8")
    assert path.stat().st_size < SIZE_LIMIT
    window.open(path)
    assert window.run("return document.querySelector('.ribbon-part').ribbon.data.sizes.length") == 100_000
    median = window.run("""
        const { ribbon } = document.querySelector('.ribbon-part');
        const took = [...Array(21).keys()].map(step => {
            ribbon.chosen = step * 4000;
            ribbon.view = [0, ribbon.data.total / (1 + step)];
            const began = performance.now();
            paintRibbon(ribbon);
            return performance.now() - began;
        });
        return took.sort((one, other) => one - other)[10];""")
    assert median < 50  # a few milliseconds where nothing else runs
    assert window.console() == []


def test_a_page_of_two_thousand_tensors_is_small_and_opens(tmp_path: Path) -> None:
    """The shape of a network of 270 MB; its elements would change no byte of the page but their counts."""
    model, path = tmp_path / "network.h5", tmp_path / "network.html"
    with h5py.File(model, "w") as file:
        weights = file.create_group("model_weights")
        for layer in range(500):
            group = weights.create_group(f"block{layer // 20}_{layer % 20}_conv")
            for name in ("kernel:0", "bias:0", "gamma:0", "moving_mean:0"):
                group[f"{group.name.rpartition('/')[2]}/{name}"] = np.full(
                    256 if name == "kernel:0" else 16, 0.5, np.float32
                )
    assert run_cli(model, "--format", "html", "-o", path).code == 0
    assert path.stat().st_size < SIZE_LIMIT
    with browser() as fresh:
        fresh.size(1280, 1000)
        fresh.open(path)
        assert fresh.processor_time() < 3
        assert fresh.console() == []
        assert (
            fresh.run("return document.querySelector('section.table .status').textContent")
            == "2,000 rows, 1 to 50 shown"
        )


def test_code_of_a_remedy_is_a_block_of_its_own_lines(window: Browser, tmp_path: Path) -> None:
    wrapped = fixture_path("pruned_mlp/wrapped/saved-model")
    assert run_cli("inspect", wrapped, "--format", "html", "-o", tmp_path / "wrapped.html").code == 0
    window.open(tmp_path / "wrapped.html")
    codes = window.run("return [...document.querySelectorAll('.note pre')].map((block) => block.textContent)")
    assert any(code.startswith("import ") and code.count("\n") >= 2 for code in codes)
    assert window.run("return [...document.querySelectorAll('.note details')].every((one) => !one.open)")
    assert window.run(
        "return getComputedStyle(document.querySelector('.note pre')).whiteSpace.startsWith('pre')"
    )
