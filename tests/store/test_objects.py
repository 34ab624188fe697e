"""Objects and trees: what goes in comes out, equal content has one name, and strange files are refused."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.codec import canonical
from mldlc.plan.context import StepError
from mldlc.store.durable import each
from mldlc.store.hashing import hash_bytes, hash_file
from mldlc.store.layout import Store
from mldlc.store.objects import has_tree, put_bytes, put_tree, read_tree, tree_files
from mldlc.store.verify import verify
from tests.store.making import fill, put

FORK = multiprocessing.get_context("fork")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_name = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
_path = st.lists(_name, min_size=1, max_size=4).map("/".join)


def _no_file_is_a_folder(files: dict[str, bytes]) -> bool:
    folders = {"/".join(name.split("/")[:n]) for name in files for n in range(1, name.count("/") + 1)}
    return not folders & set(files)


trees = st.dictionaries(_path, st.binary(max_size=64), max_size=12).filter(_no_file_is_a_folder)


@MANY
@given(files=trees)
def test_a_tree_reads_back_as_it_was_put(store: Store, files: dict[str, bytes]) -> None:
    output = put(store, files, "Table")
    assert (output.type, output.size, output.files) == ("Table", sum(map(len, files.values())), len(files))
    assert {name: path.read_bytes() for name, path in tree_files(store, output.digest).items()} == files
    assert has_tree(store, output.digest)
    assert read_tree(store, output.digest).size == output.size


@MANY
@given(files=trees, order=st.randoms())
def test_equal_trees_have_equal_digests_in_any_order(store: Store, files: dict[str, bytes], order) -> None:
    shuffled = list(files.items())
    order.shuffle(shuffled)
    listing = {"files": [[name, blake3(files[name]).hexdigest(), len(files[name])] for name in sorted(files)]}
    assert put(store, files).digest == put(store, dict(shuffled)).digest == blake3(canonical(listing)).hexdigest()


@MANY
@given(files=trees.filter(bool), data=st.data())
def test_a_changed_tree_has_another_digest(store: Store, files: dict[str, bytes], data) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    assert put(store, files).digest != put(store, files | {name: files[name] + b"!"}).digest


def test_files_are_moved_and_cannot_be_written(store: Store) -> None:
    folder = fill(store.work / "run" / "out", {"a": b"one", "b/c": b"two", "b/again": b"one"})
    inode = (folder / "b" / "c").stat().st_ino
    output = put_tree(store, folder)
    files = tree_files(store, output.digest)
    assert files["b/c"].stat().st_ino == inode, "moved, not copied"
    assert files["a"] == files["b/again"]
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o444}
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not list(store.work.glob("tmp-*"))


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (8 << 20) + 3, (17 << 20) + 5])
def test_small_and_large_files_hash_alike(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hash_bytes(data) == blake3(data).hexdigest()


def test_a_hard_link_of_somebody_else_is_copied(store: Store, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_bytes(b"before")
    folder = fill(store.work / "run" / "out", {})
    os.link(mine, folder / "copy.csv")
    output = put_tree(store, folder)
    mine.write_bytes(b"AFTER!")
    assert tree_files(store, output.digest)["copy.csv"].read_bytes() == b"before"
    assert os.access(mine, os.W_OK) and mine.stat().st_mode & 0o200


def test_an_input_linked_into_an_output_is_the_same_object(store: Store) -> None:
    path = tree_files(store, put(store, {"a": b"bytes"}).digest)["a"]
    folder = fill(store.work / "run2" / "out", {})
    os.link(path, folder / "b")
    assert tree_files(store, put_tree(store, folder).digest)["b"] == path
    assert path.read_bytes() == b"bytes" and not list(folder.iterdir())


def test_a_symbolic_link_is_refused(store: Store) -> None:
    folder = fill(store.work / "run" / "out", {"sub/a": b"x"})
    (folder / "sub" / "link").symlink_to("/etc/hostname")
    with pytest.raises(StepError, match="output 'sub/link' is a symbolic link"):
        put_tree(store, folder)


def test_a_pipe_is_refused(store: Store) -> None:
    folder = fill(store.work / "run" / "out", {})
    os.mkfifo(folder / "pipe")
    with pytest.raises(StepError, match="output 'pipe' is not a regular file"):
        put_tree(store, folder)


def test_a_name_that_is_not_utf8_is_refused(store: Store) -> None:
    folder = fill(store.work / "run" / "out", {})
    (folder / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    with pytest.raises(StepError, match="not valid UTF-8"):
        put_tree(store, folder)


def test_a_tree_with_a_missing_or_cut_file_is_not_there(store: Store) -> None:
    output = put(store, {"a": b"one", "b": b"two"})
    path = tree_files(store, output.digest)["b"]
    path.unlink()
    assert not has_tree(store, output.digest)
    path.write_bytes(b"tw")
    assert not has_tree(store, output.digest)
    assert put(store, {"a": b"one", "b": b"two"}) == output, "putting it again mends it"
    assert has_tree(store, output.digest) and path.read_bytes() == b"two"
    assert not has_tree(store, "0" * 64)


def test_a_damaged_tree_object_is_not_believed(store: Store) -> None:
    output = put(store, {"a": b"one"})
    path = store.object(output.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(ValueError, match="is damaged"):
        read_tree(store, output.digest)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_tree(store, output.digest)


def test_a_blob(store: Store) -> None:
    digest = put_bytes(store, b"hello")
    assert digest == put_bytes(store, b"hello") == blake3(b"hello").hexdigest()
    assert store.object(digest).read_bytes() == b"hello"


def test_processes_may_put_the_same_objects_at_once(store: Store) -> None:
    files = {f"d{n % 7}/f{n}": bytes([n % 50]) * 3000 for n in range(150)}

    def child(number: int, start) -> None:
        folder = fill(store.work / f"run{number}" / "out", files)
        start.wait(60)
        (store.work / f"digest{number}").write_text(put_tree(store, folder).digest)

    start = FORK.Barrier(4)
    children = [FORK.Process(target=child, args=(n, start)) for n in range(4)]
    for process in children:
        process.start()
    for process in children:
        process.join()
    assert [process.exitcode for process in children] == [0] * 4
    digests = {(store.work / f"digest{n}").read_text() for n in range(4)}
    assert len(digests) == 1
    assert {n: p.read_bytes() for n, p in tree_files(store, digests.pop()).items()} == files
    assert verify(store) == []


FULL_DISK = """
import errno, sys
from pathlib import Path
from mldlc.store.layout import open_store
from mldlc.store.objects import put_tree, has_tree
from mldlc.store.verify import verify
store = open_store(Path(sys.argv[1]))
folder = store.work / "run" / "out"
folder.mkdir(parents=True)
for n in range(300):
    (folder / f"file{n}").write_bytes(b"")
(folder / "data").write_bytes(b"x" * 1000)
filler = open(store.work / "filler", "wb", buffering=0)
try:
    while True:
        filler.write(b"y" * 4096)
except OSError as error:
    assert error.errno == errno.ENOSPC
try:
    put_tree(store, folder)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
else:
    sys.exit("a full disk went unnoticed")
assert not list(store.work.glob("tmp-*")), "a half file is left"
assert verify(store) == []
filler.truncate(0)
(folder / "data").write_bytes(b"x" * 1000)
output = put_tree(store, folder)
assert output.size == 1000 and has_tree(store, output.digest), "after making room it goes on"
"""


def test_a_full_disk_is_an_os_error_and_leaves_nothing_half(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=256k tmpfs {tmp_path} || exit 77"
    script = f'{mount}; exec {sys.executable} -c "$0" {tmp_path}'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, FULL_DISK], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"needs a small file system of its own: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def test_each_keeps_order_raises_the_first_error_and_nests() -> None:
    assert each(lambda n: n * n, range(1000)) == [n * n for n in range(1000)]
    assert each(lambda n: sum(each(lambda m: n * m, range(20))), range(40)) == [n * 190 for n in range(40)]
    begun: list[int] = []

    def work(n: int) -> int:
        begun.append(n)
        if n == 3:
            raise ValueError("three")
        threading.Event().wait(0.01)
        return n

    with pytest.raises(ValueError, match="three"):
        each(work, range(1000))
    assert len(begun) < 1000
