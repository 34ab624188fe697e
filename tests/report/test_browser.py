"""The page in headless Chromium: no error in its console, everything has a size, and its script does what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.report.conftest import page_of
from tests.step_harness import StepRun

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr",
)  # fmt: skip
PROBE = """
<script>
window.addEventListener("load", function () {
  function size(q) { var r = document.querySelector(q).getBoundingClientRect(); return [r.width, r.height]; }
  function rows(q) { return Array.from(document.querySelectorAll(q)); }
  var seen = {};
  seen.sizes = {};
  ["#plan svg.dag", "#metrics table", "#slice-table", "#profile-table", "#lineage-table", "#training svg", ".card"]
    .forEach(function (q) { seen.sizes[q] = size(q); });
  seen.empty = rows("section").filter(function (s) { return s.getBoundingClientRect().height < 60; }).length;
  seen.flat = rows("svg").filter(function (s) { return s.getBoundingClientRect().width < 20; }).length;
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  seen.folded = rows("#slice-rows tr").filter(function (r) { return r.offsetHeight > 0; }).length;
  var head = document.querySelector("#slice-table thead th:nth-child(2)");
  head.click();
  seen.sorted = rows("#slice-rows tr").map(function (r) { return Number(r.cells[1].dataset.value); });
  var field = document.querySelector("input[data-groups]");
  field.value = "layers";
  field.dispatchEvent(new Event("input"));
  seen.found = rows("#config dl > div").filter(function (d) { return d.offsetHeight > 0; })
    .map(function (d) { return d.textContent; });
  var step = document.querySelector('.dag [data-step="prepare"]');
  step.dispatchEvent(new Event("mouseenter"));
  seen.panels = rows("[data-facts]:not([hidden])").map(function (p) { return p.dataset.facts; });
  seen.edges = rows(".dag .edge.chosen").length;
  var out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.appendChild(out);
});
</script>
</body>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser's binary; the tests are skipped where there is none."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        pytest.skip("no chromium or google-chrome on the PATH: the page is not looked at in a browser")
    return found


def browse(chromium: str, page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's DOM after its scripts ran, and its console messages."""
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 600])
def test_it_works_in_a_browser(full: StepRun, chromium: str, tmp_path: Path, width: int) -> None:
    page = tmp_path / "probed.html"
    page.write_text(page_of(full).read_text("utf-8").replace("</body>", PROBE), "utf-8")
    dom, console = browse(chromium, page, tmp_path / "profile", f"--window-size={width},900")
    assert console == []
    match = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    assert match, "the probe did not run to its end"
    seen = json.loads(unescape(match[1]))
    assert all(w > 100 and h > 60 for w, h in seen["sizes"].values()), seen["sizes"]
    assert (seen["empty"], seen["flat"], seen["wide"]) == (0, 0, 0)
    assert seen["folded"] == 15
    assert seen["sorted"] == sorted(seen["sorted"], reverse=True)
    assert len(seen["sorted"]) > 20
    assert seen["found"] == ["model.layers[256, 128]"]
    assert seen["panels"] == ["prepare"]
    assert seen["edges"] == 3 + 5


def test_the_console_is_heard(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!DOCTYPE html><html><body><script>undefinedName();</script></body></html>")
    _, console = browse(chromium, page, tmp_path / "profile")
    assert len(console) == 1
    assert "undefinedName" in console[0]
