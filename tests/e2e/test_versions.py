"""Versioned data in the lifecycle: sources pinned to commits, publishing as an effect, reads that went stale."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import open_store
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from tests.projects import Repository, actions

LIFECYCLE = """
stages:
  collect: {kind: data.collect}
  mover: {kind: 'moving.steps:MOVER', inputs: {table: collect.table}}
  version: {kind: versions.publish, inputs: {dataset: collect.table, decision: mover}}
"""
CONFIG = """
defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {source: csv}, {versions: local}, {lifecycle: moving}]
source: {path: "store://main/raw/*.csv"}
"""
STEPS = '''
from pathlib import Path

from mldlc.config.schema import Config
from mldlc.plan.artifact import Decision, Table
from mldlc.plan.spec import StepSpec, port

MOVER = StepSpec(
    kind="mover", version=1, impl="moving.steps:run", inputs={"table": port(Table)}, outputs={"decision": Decision}
)


def run(ctx, cfg, inputs):
    """Moves the branch once, while the run goes on, if a file tells it to."""
    order = Path(ctx.outputs) / "move.txt"
    if order.exists():
        from mldlc.store.layout import open_store
        from mldlc.store.versions.embedded import open_versions

        source = Path(order.read_text())
        order.unlink()
        draft = open_versions(open_store(Path(ctx.outputs))).draft("main", run="mover")
        draft.put("raw/b.csv", source)
        draft.commit("more rows", {})
        draft.publish("main")
    rows = inputs["table"].scan().collect().height
    (ctx.out("decision") / "rows.txt").write_text(str(rows))
'''
FILES = {
    "mldlc.yaml": "name: moving\nconf: conf\ncode: [src]\n",
    "conf/config.yaml": CONFIG,
    "conf/lifecycle/moving.yaml": LIFECYCLE,
    "src/moving/__init__.py": "",
    "src/moving/steps.py": STEPS,
}


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    for name, text in FILES.items():
        made.write(name, text)
    made.write("a.csv", "age,income\n1,x\n2,y\n")
    put(made, "raw/a.csv", tmp_path / "a.csv")
    return made


def versions(repo: Repository) -> EmbeddedVersions:
    return open_versions(open_store(repo.root / "outputs"))


def put(repo: Repository, name: str, source: Path) -> str:
    draft = versions(repo).draft("main", run="put")
    draft.put(name, source)
    draft.commit(f"put {name}", {})
    return draft.publish("main").id


def run(repo: Repository, *overrides: str) -> dict[str, object]:
    done = repo.inside("run", "--json", *overrides)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_reads_a_commit_publishes_and_converges(repo: Repository) -> None:
    before = versions(repo).resolve("main")
    assert actions(repo.plan()) == {"collect": "run", "mover": "maybe", "version": "apply"}
    run(repo)
    store = versions(repo)
    head = store.commit("main")
    assert head.id != before
    kept = {entry.path for entry in store.entries("main", "default/")}
    assert "default/manifest.json" in kept and any(path.startswith("default/dataset/") for path in kept)
    for key in ("mldlc.run", "mldlc.plan", "mldlc.stage", "mldlc.key", "mldlc.env", "mldlc.inputs", "mldlc.checks"):
        assert head.metadata[key], key
    assert json.loads(head.metadata["mldlc.inputs"])[0][0] == f"store://{before}/raw/*.csv"
    plan = repo.plan()
    assert actions(plan) == {"collect": "reuse", "mover": "reuse", "version": "in place"}
    assert not plan.changes()
    run(repo)
    assert versions(repo).resolve("main") == head.id


def test_only_what_was_published_is_replaced(repo: Repository) -> None:
    put(repo, "default/raw/a.csv", repo.root / "a.csv")
    config = "source.path=store://main/default/raw/*.csv"
    run(repo, config)
    assert not repo.plan(config).changes()
    repo.write("b.csv", "age,income\n3,z\n")
    put(repo, "default/raw/b.csv", repo.root / "b.csv")
    run(repo, config)
    kept = {entry.path for entry in versions(repo).entries("main", "default/")}
    assert {"default/raw/a.csv", "default/raw/b.csv", "default/dataset/part-00001.arrow"} <= kept
    assert not repo.plan(config).changes()
    put(repo, "default/metrics/mine.json", repo.root / "b.csv")
    run(repo, config, "source.path=store://main/raw/a.csv")
    kept = {entry.path for entry in versions(repo).entries("main", "default/")}
    assert "default/dataset/part-00001.arrow" not in kept and "default/metrics/mine.json" in kept


def test_a_file_of_others_where_a_part_should_go_is_in_the_way(repo: Repository) -> None:
    put(repo, "default/dataset/mine.csv", repo.root / "a.csv")
    done = repo.inside("run")
    assert done.returncode == 1 and "default/dataset/mine.csv is in the way" in done.stderr + done.stdout
    assert [entry.path for entry in versions(repo).entries("main", "default/")] == ["default/dataset/mine.csv"]
    assert repo.inside("data", "rm", "main:default/dataset/mine.csv").returncode == 0
    run(repo)


def test_reading_what_one_publishes_is_refused(repo: Repository) -> None:
    for path in ("default/dataset/*.arrow", "default/dataset/part-00000.arrow", "default/", "**", "default/**/*.json"):
        done = repo.inside("plan", f"source.path=store://main/{path}")
        assert done.returncode == 2 and "that this run would publish there" in done.stderr, path
    run(repo)
    head = versions(repo).resolve("main")
    for other in (f"store://{head}/default/dataset/*.arrow", "store://main/raw/*.csv", "store://main/default/*.csv"):
        assert "own_source" not in repo.inside("plan", f"source.path={other}", "--json").stdout
    alone = ("versions=none", "~lifecycle.stages.version")
    assert repo.inside("plan", "source.path=store://main/**", *alone).returncode == 0


def test_publishing_copies_nothing(repo: Repository) -> None:
    run(repo)
    store = open_store(repo.root / "outputs")
    table = next(e for e in versions(repo).entries("main", "default/dataset/") if e.path.endswith(".arrow"))
    assert store.object(table.digest).exists()
    objects = [path for path in store.objects.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size == table.size for path in objects) == 1


def test_new_data_on_the_branch_is_seen_and_old_data_stays_readable(repo: Repository) -> None:
    run(repo)
    versions(repo).tag("v1", "main")
    repo.write("b.csv", "age,income\n3,z\n")
    put(repo, "raw/b.csv", repo.root / "b.csv")
    plan = repo.plan()
    assert actions(plan)["collect"] == "run"
    assert [reason.code for reason in plan.by_id()["collect"].reasons] == ["source_changed"]
    assert actions(repo.plan("source.path=store://v1/raw/*.csv"))["collect"] == "reuse"
    put(repo, "elsewhere/b.csv", repo.root / "b.csv")
    assert actions(repo.plan("source.path=store://main/raw/a.csv"))["collect"] == "reuse"


def test_a_branch_that_moves_under_a_run_is_planned_again(repo: Repository) -> None:
    repo.write("b.csv", "age,income\n3,z\n")
    (repo.root / "outputs" / "move.txt").write_text(str(repo.root / "b.csv"))
    done = repo.inside("run")
    assert done.returncode == 0, done.stderr
    assert "planning again" in done.stdout + done.stderr
    assert len(list((repo.root / "outputs" / "runs").iterdir())) == 2
    assert not repo.plan().changes()
    with versions(repo).open("main", "default/manifest.json") as file:
        published = json.loads(file.read())
    step = repo.plan().by_id()["collect"]
    assert published["artifacts"]["dataset"] == step.digests["table"]
    assert json.loads(versions(repo).commit("main").metadata["mldlc.inputs"])[0][1] == step.sources[0].token


def test_a_revert_is_published_again(repo: Repository) -> None:
    run(repo)
    versions(repo).revert("main", "main")
    plan = repo.plan()
    assert actions(plan) == {"collect": "reuse", "mover": "reuse", "version": "apply"}
    assert [reason.code for reason in plan.by_id()["version"].reasons] == ["observed_differs"]
    run(repo)
    assert not repo.plan().changes()


def test_a_tag_that_is_missing_is_made(repo: Repository) -> None:
    """As when a run is killed between the merge and the tag."""
    tagged = "versions.tag='v-{key}'"
    run(repo, tagged)
    store = versions(repo)
    ((name, head),) = store.tags().items()
    assert head == store.resolve("main") and repo.plan(tagged).by_id()["version"].action == "in place"
    store.delete_tag(name)
    step = repo.plan(tagged).by_id()["version"]
    assert step.action == "apply" and f"without tag {name}" in str(step.reasons[0].old)
    run(repo, tagged)
    assert store.tags() == {name: head} and store.resolve("main") == head
    assert not repo.plan(tagged).changes()


def test_a_saved_plan_stands_while_its_files_do(repo: Repository) -> None:
    assert repo.inside("plan", "-o", "plan.json").returncode == 0
    repo.write("b.csv", "age,income\n3,z\n")
    put(repo, "elsewhere/b.csv", repo.root / "b.csv")
    assert repo.inside("run", "plan.json").returncode == 0
    assert repo.inside("plan", "-o", "plan.json").returncode == 0
    put(repo, "raw/b.csv", repo.root / "b.csv")
    done = repo.inside("run", "plan.json")
    assert done.returncode == 2 and "store://main/raw/*.csv changed" in done.stderr


def test_what_is_not_there_is_named(repo: Repository) -> None:
    for address, message in {
        "store://mian/raw/a.csv": "mian",
        "store://main/raw/c.csv": "raw/c.csv",
        "store:///raw": "no address in the store",
        "lakefs://repo/main/raw": "lakefs://repo@main/raw",
    }.items():
        with pytest.raises(DiagnosticError, match=message.replace("*", "."), check=lambda e: bool(e.diagnostics)):
            repo.plan(f"source.path={address}")


def test_a_bad_row_names_the_file_not_the_object(repo: Repository) -> None:
    repo.write("a.csv", "age,income\n1,x\noops,y\n")
    put(repo, "raw/a.csv", repo.root / "a.csv")
    columns = "source.columns={age: {dtype: int64}, income: {dtype: string}}"
    done = repo.inside("run", columns)
    assert done.returncode == 1 and "a.csv" in done.stderr + done.stdout and "age" in done.stderr + done.stdout


def test_points_that_publish_to_one_place_are_told(repo: Repository) -> None:
    plan = repo.plan("source.separator=',',';'", multirun=True)
    assert [d.code for d in plan.diagnostics] == ["same_target"] and plan.diagnostics[0].severity == "warning"
    own = repo.plan("versions.prefix=a,b", multirun=True)
    assert not own.diagnostics


def test_planning_a_versioned_source_stays_light(repo: Repository) -> None:
    code = (
        "import sys\nfrom mldlc.cli.main import main\nmain(['plan'])\n"
        "heavy = {'torch', 'polars', 'numpy', 'lakefs_client', 'urllib3', 'whylogs'} & set(sys.modules)\nsys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repo.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_secret_in_the_config_is_refused_and_not_repeated(repo: Repository) -> None:
    done = repo.inside("plan", "versions=lakefs", "versions.repository=abc", "versions.secret_key=hunter2")
    assert done.returncode == 2 and "versions.secret_key: a reference" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    kept = [path for path in (repo.root / "outputs").rglob("*.json") if "hunter2" in path.read_text(errors="replace")]
    assert not kept


def test_another_outputs_folder_has_its_own_store(repo: Repository) -> None:
    shutil.copytree(repo.root / "outputs", repo.root / "other")
    done = repo.inside("run", env={"MLDLC_OUTPUTS": str(repo.root / "other")})
    assert done.returncode == 0, done.stderr
    assert not list(versions(repo).entries("main", "default/"))


def test_a_run_that_reads_a_locked_commit_publishes_to_the_branch_that_moved(repo: Repository) -> None:
    first = versions(repo).resolve("main")
    assert repo.inside("lock").returncode == 0
    head = put(repo, "raw/b.csv", repo.root / "a.csv")
    summary = run(repo)
    assert summary["counts"]["applied"] == 1  # type: ignore[index]
    commit = versions(repo).commit("main")
    assert commit.parents[0] == head and json.loads(commit.metadata["mldlc.inputs"])[0][0].startswith(
        f"store://{first}/"
    )
