"""What `mldlc lock` pins: every git revision of a config, every ref of versioned data that its stages read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mldlc.compiler.compose import outputs_root
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import front
from mldlc.config.compose import Composition, Request, compose
from mldlc.config.lock import Lock, lock_of
from mldlc.plan.codec import flatten
from mldlc.store.pinning import pin_all
from mldlc.store.repository import connection, is_versioned, parse_address


def relock(ask: CompileRequest, known: Lock) -> Lock:
    """The lock of a config, its names in `ask.repin` made anew. known: the lock as it stands.

    Data that this config does not name stays pinned; git revisions that it does not name go.
    """
    asked = Request(ask.config_name, ask.overrides, ask.multirun, ask.config_dir)
    composition = compose(ask.project, asked)
    kept = known.data if ask.repin == () else ask.project.lock.data
    return lock_of(composition.pins, {**known.data, **_data(ask, composition, {} if ask.repin == () else kept)})


def _data(ask: CompileRequest, composition: Composition, held: dict[str, str]) -> dict[str, str]:
    """Ref -> commit of the versioned data that stages read. A config without an address need not make a plan."""
    if not any(isinstance(text, str) and is_versioned(text) for text in _values(composition)):
        return {}
    draft = front(ask)
    uris = {ref.uri for node in draft.nodes.values() for ref in node.typed.sources if is_versioned(ref.uri)}
    config = composition.points[0].config
    pins = pin_all(sorted(uris), outputs_root(draft.root, config), connection(config), held)
    places = {uri: parse_address(uri) for uri in pins}
    return {place.pinned_as: pins[uri].commit for uri, place in places.items() if place.ref != pins[uri].commit}


def _values(composition: Composition) -> Iterator[Any]:
    for point in composition.points:
        for value in flatten(point.config).values():
            yield from value if isinstance(value, list) else (value,)
