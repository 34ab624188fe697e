"""A lakeFS server in the lifecycle: `mldlc run`, `plan` and `lock` against the wire-level double."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from mldlc.plan.versions import Commit
from mldlc.store.lakefs.versions import LakeFSVersions
from tests.e2e.test_versions import FILES
from tests.lakefs_double.running import running
from tests.lakefs_double.server import ACCESS_KEY, SECRET_KEY, Double
from tests.projects import Repository
from tests.store.lakefs.test_secrets import TOKENS
from tests.thorough import thoroughly

READ = "source.path=lakefs://lake@main/raw/*.csv"
PUBLISH = ("versions=lakefs", "versions.repository=lake")


class Lake(NamedTuple):
    """A project whose environment leads to a double that has the rows on `main`."""

    repo: Repository
    double: Double
    versions: LakeFSVersions

    def run(self, *overrides: str) -> dict[str, object]:
        """The summary of a run that ended well."""
        done = self.repo.inside("run", "--json", *overrides)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def fails(self, *overrides: str, code: int = 1) -> str:
        """What a run says that does not end well."""
        done = self.repo.inside("run", *overrides)
        assert done.returncode == code and "Traceback" not in done.stderr + done.stdout, done.stderr
        return done.stderr + done.stdout

    def plan(self, *overrides: str) -> dict[str, int]:
        """The counts of a plan."""
        done = self.repo.inside("plan", "--json", *overrides)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1])["counts"])

    def put(self, name: str, text: str) -> Commit:
        """One more file on main."""
        draft = self.versions.draft("main", run="more")
        draft.path(name).write_text(text)
        draft.commit(f"put {name}", {})
        return draft.publish("main")

    def written(self) -> str:
        """Everything that lies in the project after its runs."""
        return "".join(p.read_text(errors="replace") for p in self.repo.root.rglob("*") if p.is_file())


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    repo = Repository(tmp_path / "p")
    for name, text in FILES.items():
        repo.write(name, text)
    repo.write("a.csv", "age,income\n1,x\n2,y\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("LAKECTL_", "MLDLC_LAKEFS_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path / "server") as (double, made):
        monkeypatch.setenv("MLDLC_LAKEFS_ENDPOINT", double.endpoint)
        monkeypatch.setenv("MLDLC_LAKEFS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("MLDLC_LAKEFS_SECRET_ACCESS_KEY", SECRET_KEY)
        pl.read_csv(repo.root / "a.csv").write_parquet(repo.root / "a.parquet")
        draft = made.draft("main", run="put")
        draft.put_many({"raw/a.csv": repo.root / "a.csv", "columns/a.parquet": repo.root / "a.parquet"})
        draft.commit("rows", {})
        draft.publish("main")
        yield Lake(repo, double, made)


@pytest.mark.parametrize(
    "source", [(READ,), ("source=parquet", "source.path=lakefs://lake@main/columns/a.parquet")], ids=["csv", "parquet"]
)
def test_a_run_reads_at_a_commit_publishes_and_converges(lake: Lake, source: tuple[str, ...]) -> None:
    config = (*source, *PUBLISH, "versions.tag='v-{key}'")
    before = lake.versions.resolve("main")
    summary = lake.run(*config)
    assert summary["counts"]["applied"] == 1  # type: ignore[index]
    head = lake.versions.commit("main")
    assert head.parents[0] == before
    for commit in (head, lake.versions.commit(head.parents[1])):
        assert commit.metadata["mldlc.run"] == summary["run"] and commit.metadata["mldlc.checks"] == "passed"
        assert json.loads(commit.metadata["mldlc.inputs"])[0][0].startswith(f"lakefs://lake@{before}/")
    assert list(lake.versions.tags().values()) == [head.id]
    files = {entry.path for entry in lake.versions.entries("main")}
    assert {"default/manifest.json", "default/dataset/part-00000.arrow"} <= files
    assert lake.plan(*config) == {"run": 0, "maybe": 0, "reuse": 2, "apply": 0, "gate": 0, "in_place": 1}
    assert not [token for token in TOKENS if token in lake.written()]
    gateway = [request for request in lake.double.requests if request.operation == "gateway"]
    assert bool(gateway) == (len(source) == 2), "a table that Polars can read in place is"


@thoroughly
def test_publishing_again_uploads_only_what_changed(lake: Lake) -> None:
    lake.run(READ, *PUBLISH)
    old = {entry.path for entry in lake.versions.entries("main", "default/")}
    before = lake.put("raw/b.csv", "age,income\n3,z\n").id
    lake.run(READ, *PUBLISH)
    changed = {change.path for change in lake.versions.diff(before, "main")}
    assert changed == {"default/dataset/part-00001.arrow", "default/dataset/manifest.json", "default/manifest.json"}
    assert old <= {entry.path for entry in lake.versions.entries("main", "default/")}
    lake.run(*PUBLISH, "source.path=lakefs://lake@main/raw/a.csv")
    assert {entry.path for entry in lake.versions.entries("main", "default/")} == old, "what is no longer made goes"


@pytest.mark.parametrize("moment", [pytest.param("uploadObject", marks=thoroughly), "mergeIntoBranch"])
def test_a_branch_that_moves_under_a_run_is_planned_again(lake: Lake, moment: str) -> None:
    lake.double.fail(moment, "before", action=lambda: lake.put("raw/b.csv", "age,income\n3,z\n"))
    done = lake.repo.inside("run", READ, *PUBLISH)
    assert done.returncode == 0 and "planning again" in done.stdout + done.stderr, done.stderr
    assert len(list((lake.repo.root / "outputs" / "runs").iterdir())) == 2
    assert {"default/dataset/part-00001.arrow", "raw/b.csv"} <= {e.path for e in lake.versions.entries("main")}
    last = lake.versions.commit("main")
    read = json.loads(last.metadata["mldlc.inputs"])[0][0].split("@")[1].split("/")[0]
    assert lake.versions.digest(read, "raw/") == lake.versions.digest("main", "raw/")
    assert list(lake.double.repository("lake").heads) == ["main"], "a stale draft is not kept"


@thoroughly
def test_a_branch_that_moves_elsewhere_is_merged_into(lake: Lake) -> None:
    lake.double.fail("mergeIntoBranch", "before", action=lambda: lake.put("other/b.csv", "age,income\n3,z\n"))
    lake.run(READ, *PUBLISH)
    assert len(list((lake.repo.root / "outputs" / "runs").iterdir())) == 1
    assert {"default/manifest.json", "other/b.csv"} <= {entry.path for entry in lake.versions.entries("main")}


def test_a_conflict_names_its_paths_and_a_strategy_settles_it(lake: Lake) -> None:
    lake.double.fail("mergeIntoBranch", "before", action=lambda: lake.put("default/manifest.json", "{}"))
    said = lake.fails(READ, *PUBLISH)
    assert "default/manifest.json" in said and "both sides changed" in said
    with lake.versions.open("main", "default/manifest.json") as file:
        assert file.read() == b"{}"
    lake.double.fail("mergeIntoBranch", "before", action=lambda: lake.put("other/manifest.json", "{}"))
    lake.run(READ, *PUBLISH, "versions.prefix=other", "versions.strategy=source-wins")
    with lake.versions.open("main", "other/manifest.json") as file:
        assert "artifacts" in json.loads(file.read())


TROUBLES: dict[str, dict[str, object]] = {
    "uploadObject": {"status": 403},
    "commit": {"status": 401},
    "mergeIntoBranch": {"status": 400, "body": json.dumps({"message": f"you sent {SECRET_KEY}"}).encode()},
    "createTag": {"status": 403, "body": SECRET_KEY.encode()},
}


def test_no_failure_of_a_run_shows_a_secret(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are known by reference in the config alone; the same command again goes on where it failed."""
    for name in ("ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"MLDLC_LAKEFS_{name}")
    monkeypatch.setenv("MY_KEY", ACCESS_KEY)
    monkeypatch.setenv("MY_SECRET", SECRET_KEY)
    keys = (
        f"versions.endpoint={lake.double.endpoint}",
        "versions.access_key=env:MY_KEY",
        "versions.secret_key=env:MY_SECRET",
    )
    config = (READ, *PUBLISH, *keys, "versions.tag=v1")
    said = ""
    for operation, fault in TROUBLES.items():
        lake.double.fail(operation, "status", **fault)
        said += lake.fails(*config)
    lake.run(*config)
    assert lake.versions.tags() == {"v1": lake.versions.resolve("main")}
    done = lake.repo.inside("plan", *config, "-o", "plan.json")
    assert done.returncode == 0
    everything = said + done.stdout + done.stderr + lake.written()
    assert not [token for token in TOKENS if token in everything]
    assert "env:MY_SECRET" in everything, "only who holds it is written down"


def test_wrong_keys_are_told_with_where_they_came_from(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"MLDLC_LAKEFS_{name}")
    (tmp_path / ".lakectl.yaml").write_text(
        f"server: {{endpoint_url: '{lake.double.endpoint}'}}\n"
        f"credentials: {{access_key_id: {ACCESS_KEY}, secret_access_key: 'wrong-{SECRET_KEY}'}}\n"
    )
    said = lake.fails(READ, *PUBLISH, code=2)
    assert ".lakectl.yaml" in said and "401" in said and SECRET_KEY not in said
    assert SECRET_KEY not in lake.written()


def test_a_server_that_is_not_there_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLDLC_LAKEFS_ENDPOINT", "http://127.0.0.1:1")
    assert "127.0.0.1:1" in lake.fails(READ, code=2)


def test_nobody_to_be_for_lakefs_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"MLDLC_LAKEFS_{name}")
    assert ".lakectl.yaml" in lake.fails(READ, code=2)


def test_a_locked_branch_of_a_server_is_read_at_its_pin(lake: Lake) -> None:
    first = lake.versions.resolve("main")
    refused = lake.repo.inside("plan", READ, "--locked")
    assert refused.returncode == 2 and "'lakefs://lake@main' is not pinned; mldlc lock pins it" in refused.stderr
    assert f"+ lakefs://lake@main  {first[:12]}" in lake.repo.inside("lock", READ).stdout
    lake.put("raw/b.csv", "age,income\n3,z\n")
    for wanted, args in ((first, ("--locked",)), (lake.versions.resolve("main"), ())):
        if not args:
            assert "-> " in lake.repo.inside("lock", READ, "--update", "lakefs://lake@main").stdout
        assert lake.repo.inside("plan", READ, *args, "-o", "plan.json").returncode == 0
        refs = json.loads((lake.repo.root / "plan.json").read_text())["snapshot"]["refs"]
        assert refs == {READ.removeprefix("source.path="): wanted}
