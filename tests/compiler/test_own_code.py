"""What mldlc's own modules import is remembered, and equals what walking their files finds."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mldlc import catalog
from mldlc.compiler import code, own_code
from mldlc.compiler.code import CodeHasher

IMPLS = sorted({catalog.load_spec(kind).impl.partition(":")[0] for kind in catalog.kinds()})


@pytest.fixture(autouse=True)
def forget() -> Iterator[Callable[[], None]]:
    """Makes this process one that has planned nothing yet; it knows again what it knew when the test is over."""
    kept = own_code._DIGESTS.copy(), own_code._REACH.copy()

    def clear() -> None:
        own_code._DIGESTS.clear()
        own_code._REACH.clear()

    clear()
    yield clear
    own_code._DIGESTS.update(kept[0])
    own_code._REACH.update(kept[1])


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The closure of every shipped step without the memory."""
    with monkeypatch.context() as patch:
        patch.setattr(CodeHasher, "_reached", lambda self, start: None)
        hasher = CodeHasher((), tmp_path / "walked" / "code.json")
        return {impl: hasher.closure([impl]) for impl in IMPLS}


def test_remembered_closures_equal_walked_ones(
    walked: dict[str, dict[str, str]], tmp_path: Path, forget: Callable[[], None]
) -> None:
    for _ in range(2):  # found, then read from the file
        forget()
        hasher = CodeHasher((), tmp_path / "code.json")
        assert {impl: hasher.closure([impl]) for impl in IMPLS} == walked
        hasher.save()
    assert hasher.closure(IMPLS) == {name: value for found in walked.values() for name, value in sorted(found.items())}


def test_nothing_is_parsed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]) -> None:
    first = CodeHasher((), tmp_path / "code.json")
    first.closure(IMPLS)
    first.save()
    monkeypatch.setattr(CodeHasher, "_parse", lambda self, name, path: pytest.fail(f"{name} was read again"))
    forget()
    CodeHasher((), tmp_path / "code.json").closure(IMPLS)
    elsewhere = CodeHasher((), tmp_path / "other" / "code.json")  # another project, in the same process
    elsewhere.closure(IMPLS)
    elsewhere.save()
    forget()
    CodeHasher((), tmp_path / "other" / "code.json").closure(IMPLS)


@pytest.mark.parametrize("shadow", ["torch.py", "torch/nn.py"])
def test_a_module_of_the_user_that_hides_a_package_counts(tmp_path: Path, shadow: str) -> None:
    root = tmp_path / "src"
    (root / shadow).parent.mkdir(parents=True)
    (root / shadow).write_text("x = 1\n")
    plain = CodeHasher((), tmp_path / "code.json").closure(["mldlc.training.train"])
    hidden = CodeHasher((root,), tmp_path / "code.json").closure(["mldlc.training.train"])
    assert set(hidden) - set(plain) == {shadow.removesuffix(".py").replace("/", ".")}


BLOCKS = """
match x:
    case [a]:
        import m1
    case _ if (lambda: 1)():
        from m2 import n
try:
    import t1
except* ValueError:
    import t2
else:
    import t3
finally:
    import t4
async def f():
    "doc"
    async with a as b:
        for i in x:
            import l1
        else:
            import l2
    while 1:
        if y: import i1
        elif z: import i2
        else: import i3
class C:
    "doc"
    def g(self):
        "doc"
"""


@pytest.mark.parametrize("module", [ast, dataclasses, subprocess, tarfile, BLOCKS])
def test_no_statement_is_passed_over(module: ModuleType | str) -> None:
    tree = ast.parse(module if isinstance(module, str) else Path(str(module.__file__)).read_bytes())
    wanted = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    found = [node for node in code._statements(tree) if isinstance(node, ast.stmt)]
    assert len(found) == len(wanted) and set(map(id, found)) == set(map(id, wanted))


EVERY_SORT = '''
@mark(1, *a, k=None, **{"x": b"\\x00", **c})
async def f(a, /, b: int = 1, *args: "T", c=..., **kw) -> None:
    """Said."""
    global g
    async with a as b, c: yield await d
    return f"{a!r:>{width}} {b:{w}.{p}f}{c=}" "" f"" 'x', f"", lambda: (x := -1.5e300 + 2j), [*y], not z
class C(D, metaclass=E):
    x: int
    y = {1, 2} if a < b <= c is not d else [i for i in j if k for _ in l][1:2, ..., ::3]
    def g(self): pass
try: del a.b, c[0]
except* (A, B) as error: raise X from error
match p:
    case {"k": [1, *_, None], **rest} | P(0, q="") as r if True: assert s, ""
'''
WRITTEN = "46961772f93664f1c70f80f553352326"


def test_code_has_one_hash_on_every_python() -> None:
    assert code._normalised(ast.parse(EVERY_SORT)) == WRITTEN
    assert code._normalised(ast.parse(EVERY_SORT.replace('q=""', "q=0"))) != WRITTEN
    assert code._normalised(ast.parse(EVERY_SORT.replace("k=None", "k=0"))) != WRITTEN
