"""Hypothesis strategies for entries, tree changes and cuts small enough for many ranges."""

from __future__ import annotations

from hypothesis import strategies as st

from mldlc.plan.versions import Entry
from mldlc.store.versions.ranges import Cut
from tests.store.versions.nodes_memory import entry

SEGMENTS = ("a", "b", "ab", "a-b", "a.b", ".a", "...", "é", "z0", " ", "\n", "\x7f", "\uffff", "\U0001f600")
paths = st.one_of(
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("/".join),
    st.integers(0, 60).map("d/{:02d}".format),
)
entries = st.builds(entry, paths, st.integers(0, 2), st.sampled_from(["", "", "", "image/png", "é"]))
removals = st.one_of(paths, paths.map("{}/".format), st.just("d/"))
cuts = st.builds(Cut, st.integers(1, 6), st.integers(1, 12))
prefixes = st.one_of(
    st.just(""), paths, paths.map("{}/".format), st.sampled_from(["d", "d/0", "d/1", "q", "\U0010ffff"])
)
changes = st.tuples(st.lists(entries, max_size=8), st.lists(removals, max_size=4))


def after_changes(before: dict[str, Entry], put: list[Entry], remove: list[str]) -> dict[str, Entry]:
    """What `apply_changes` does, on a dict."""
    gone = tuple(name for name in remove if name.endswith("/"))
    kept = {path: item for path, item in before.items() if path not in remove and not path.startswith(gone)}
    return kept | {item.path: item for item in put}
