"""The verbs as a user types them: output, exit codes, JSON, another directory, mistakes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.projects import TALLY, Repository, repository


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def last(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_help_version_and_unknown_verbs(repo: Repository) -> None:
    usage = repo.mldlc().stdout
    assert "usage: mldlc VERB" in usage
    for what in re.search(r"  ls +(.*)", usage)[1].replace(" or ", ", ").split(", "):  # type: ignore[index]
        assert repo.inside("ls", what).returncode == 0
    assert repo.mldlc("--version").stdout.startswith("mldlc ")
    done = repo.mldlc("pln")
    assert done.returncode == 2 and "did you mean 'plan'?" in done.stderr
    done = repo.mldlc("noop.value=2")
    assert done.returncode == 2 and "the verb comes first: mldlc plan noop.value=2" in done.stderr
    done = repo.mldlc("-m", "noop.value=1,2", "run")
    assert done.returncode == 2 and "the verb comes first: mldlc run -m noop.value=1,2" in done.stderr
    assert "would run, and why" in repo.mldlc("plan", "--help").stdout


def test_plan_run_plan_converges(repo: Repository) -> None:
    done = repo.inside("plan", "--detailed-exitcode")
    assert done.returncode == 4 and "+ a" in done.stdout and "Nothing was executed." in done.stdout
    assert not (repo.root / "outputs" / "store").exists()
    done = repo.inside("run", "--json")
    assert done.returncode == 0 and last(done)["counts"] == {
        "run": 3,
        "reuse": 0,
        "skip": 0,
        "failed": 0,
        "gate": 0,
        "applied": 0,
    }
    assert repo.inside("plan", "--detailed-exitcode").returncode == 0
    assert "3 reuse" in repo.inside("run").stdout


def test_reasons_name_the_old_and_new_value_and_the_place(repo: Repository) -> None:
    repo.inside("run")
    repo.write("conf/second/default.yaml", "# two lines\nvalue: 5\n")
    out = repo.inside("plan").stdout
    assert "second.value: 2 -> 5  (conf/second/default.yaml:2)" in out and "= a" in out


def test_early_cutoff_equal_bytes_stop_the_rerun(repo: Repository) -> None:
    follow = "+lifecycle.stages.u={kind: scope.noop, inputs: {after: t}}"
    assert repo.inside("run", TALLY, follow).returncode == 0
    repo.write("src/tallying/counting.py", "def total(size):\n    return sum(list(range(size)))\n")
    plan = repo.inside("plan", TALLY, follow).stdout
    assert "code: tallying.counting" in plan
    done = repo.inside("run", TALLY, follow)
    assert "upstream ran again, same bytes" in done.stdout and "1 run" in done.stdout


def test_errors_with_json_end_in_a_summary(repo: Repository) -> None:
    done = repo.inside("plan", "noop.valu=3", "--json")
    assert done.returncode == 2
    summary = last(done)
    assert summary["status"] == "error"
    assert "did you mean 'noop.value'?" in str(summary["diagnostics"])
    assert "Traceback" not in done.stderr


def test_many_mistakes_come_at_once_with_file_and_line(repo: Repository) -> None:
    repo.write("conf/tally/default.yaml", "size: three\nlabel: x\nlabell: y\n")
    done = repo.inside("plan", TALLY)
    assert done.returncode == 2
    assert "conf/tally/default.yaml:1: tally.size:" in done.stderr
    assert "conf/tally/default.yaml:3: unknown key 'labell' in group 'tally'; did you mean 'label'?" in done.stderr


def test_a_broken_user_module_is_one_message(repo: Repository) -> None:
    repo.write("src/tallying/counting.py", "def total(size:\n")
    done = repo.inside("plan", TALLY)
    assert done.returncode == 2 and "counting.py:1" in done.stderr and "Traceback" not in done.stderr
    repo.write("src/tallying/counting.py", "raise RuntimeError('no such luck')\n")
    done = repo.inside("plan", TALLY)
    assert done.returncode == 2 and "no such luck" in done.stderr


def test_a_saved_plan_runs_and_a_stale_one_is_refused(repo: Repository) -> None:
    assert repo.inside("plan", TALLY, "-o", "plan.json").returncode == 0
    assert repo.inside("run", "plan.json").returncode == 0
    repo.write("src/tallying/counting.py", "def total(size):\n    return size\n")
    repo.write("conf/second/default.yaml", "value: 9\n")
    done = repo.inside("run", "plan.json")
    assert done.returncode == 2
    assert "stale plan: code of t changed: tallying.counting" in done.stderr
    assert "second/default.yaml changed" in done.stderr
    assert repo.inside("run", "nope.json").returncode == 2
    repo.write("bad.json", "{}")
    assert "no mldlc.plan/1 document" in repo.inside("run", "bad.json").stderr


def test_a_saved_plan_runs_the_part_it_was_made_for(repo: Repository) -> None:
    assert repo.inside("plan", "--until", "b", "-o", "plan.json").returncode == 0
    assert "2 run, 1 skip" in repo.inside("run", "plan.json").stdout
    assert "1 run, 2 reuse" in repo.inside("run", "plan.json", "--until", "c").stdout
    repo.inside("plan", "--force", "b", "-o", "plan.json")
    assert "1 run, 2 reuse" in repo.inside("run", "plan.json").stdout
    repo.inside("plan", "--from", "b", "-o", "plan.json")
    assert "2 run, 1 reuse" in repo.inside("run", "plan.json").stdout


def test_from_another_directory_and_another_outputs_root(repo: Repository, tmp_path: Path) -> None:
    deep = repo.root / "src" / "tallying"
    assert repo.inside("run", cwd=deep).returncode == 0
    assert (repo.root / "outputs" / "latest").exists() and not (deep / "outputs").exists()
    elsewhere = tmp_path / "elsewhere"
    assert repo.inside("run", env={"MLDLC_OUTPUTS": str(elsewhere)}).returncode == 0
    assert (elsewhere / "latest").exists()
    assert repo.inside("run", f"paths.outputs={tmp_path / 'third'}").returncode == 0
    assert (tmp_path / "third" / "store").is_dir()


def test_sweeps_merge_to_one_plan(repo: Repository) -> None:
    out = repo.inside("plan", "-m", "second.value=range(3)").stdout
    assert "b x3" in out and "3 points, 7 steps, 1 shared" in out
    done = repo.inside("run", "-m", "second.value=range(3)", "--json")
    assert last(done)["counts"]["run"] == 7


def test_graph_why_explain(repo: Repository) -> None:
    text = repo.inside("graph").stdout
    assert "layer 2" in text and "after <- b.done" in text
    named = "+lifecycle.stages.with_a_name={kind: scope.noop, config: {noop: second}, inputs: {after: b}}"
    swept = repo.inside("graph", "-m", named, "second.value=1,2").stdout.splitlines()
    assert {line.split()[2] for line in swept if not line.startswith("layer")} == {"scope.noop"}
    mermaid = repo.inside("graph", "--mermaid").stdout.splitlines()
    assert mermaid[0] == "flowchart TD" and sum("-->|after|" in line for line in mermaid) == 3
    repo.inside("run")
    why = repo.inside("why", "b", "second.value=7").stdout
    assert "~   second.value = 7   (was 2)" in why
    assert repo.inside("why", "second.value=7", "b").stdout == why
    assert repo.inside("why", "bb").returncode == 2
    explained = repo.inside("explain", "second.value", "second.value=7").stdout.splitlines()
    assert "conf/second/default.yaml:1" in explained[1] and explained[2].strip().startswith("-> command line")
    assert "did you mean" in repo.inside("explain", "second.valu").stderr


def test_diff_of_plans_runs_and_revisions(repo: Repository) -> None:
    repo.inside("plan", "-o", "a.json")
    repo.inside("plan", TALLY, "second.value=3", "-o", "b.json")
    out = repo.inside("diff", "a.json", "b.json").stdout
    assert "second.value: 2 -> 3" in out and "+ t: tallying.steps:TALLY" in out
    git = ["git", "-C", str(repo.root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "conf", "src", "mldlc.yaml"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    repo.write("conf/second/default.yaml", "value: 4\n")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    done = repo.inside("diff", "HEAD~1..HEAD")
    assert "second.value: 2 -> 4" in done.stdout, done.stderr
    done = [repo.inside("run", f"second.value={value}", "--json").stdout for value in (2, 3)]
    first, second = (json.loads(text.splitlines()[-1])["run"] for text in done)
    assert "second.value: 2 -> 3" in repo.inside("diff", first, second).stdout
    assert "data" not in repo.inside("diff", first, second).stdout
    assert "No difference." in repo.inside("diff", "a.json", "a.json").stdout
    assert "no plan file, no run and no git revision" in repo.inside("diff", "a.json", "nope").stderr


COUNT = '''\
"""A step with a metric: the rows of a file."""

from pathlib import Path

from mldlc.config.schema import Config, location, result
from mldlc.plan.artifact import Decision
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import StepSpec


class CountConfig(Config):
    path: str = location()
    factor: int = result(1)


def sources(cfg):
    return (SourceRef(f"file:{cfg.count.path}", "rows", (cfg.count.path,)),)


COUNT = StepSpec(
    kind="count", version=1, impl="tallying.count:run", outputs={"sum": Decision}, reads={"count": CountConfig},
    sources=sources,
)


def run(ctx, cfg, inputs):
    rows = len(Path(ctx.sources[0]["paths"][0]).read_text().splitlines()) * cfg.count.factor
    (ctx.out("sum") / "sum.txt").write_text(str(rows))
    ctx.summary({"metrics": {"test": {"rows": rows}}})
'''


def test_diff_of_revisions_and_plans_knows_what_their_last_runs_found(repo: Repository) -> None:
    """Config, code, data and metrics, also where the sides are names of intent: a revision, a saved plan."""
    repo.write("src/tallying/count.py", COUNT)
    repo.write("conf/count/default.yaml", "path: rows.txt\nfactor: 1\n")
    repo.write("rows.txt", "a\n")
    git = ["git", "-C", str(repo.root), "-c", "user.name=a", "-c", "user.email=a@b"]
    stage = ["+count@count=default", "+lifecycle.stages.n={kind: tallying.count:COUNT}"]
    for command in (["init", "-q"], ["add", "conf", "src", "mldlc.yaml"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    assert repo.inside("run", *stage).returncode == 0
    repo.inside("plan", *stage, "-o", "a.json")
    repo.write("conf/count/default.yaml", "path: rows.txt\nfactor: 10\n")
    repo.write("src/tallying/count.py", COUNT.replace("* cfg", "* 2 * cfg"))
    repo.write("rows.txt", "a\nb\n")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    assert "metric" not in repo.inside("diff", "HEAD~1", "HEAD", *stage).stdout
    assert repo.inside("run", *stage).returncode == 0
    repo.inside("plan", *stage, "-o", "b.json")
    for sides in (["HEAD~1..HEAD"], ["a.json", "b.json"], ["a.json", "HEAD"], ["a.json", "latest"]):
        told = repo.inside("diff", *sides, *stage).stdout
        for line in ("count.factor: 1 -> 10", "n: tallying.count: ", "  rows: ", "test.rows: 1 -> 40 (+39)"):
            assert line in told, (sides, told)


def test_show_ls_data_doctor(repo: Repository) -> None:
    done = repo.inside("show")
    assert done.returncode == 2 and "there is no run under" in done.stderr and "mldlc run makes one" in done.stderr
    for command in (["show"], ["ls", "runs"]):
        done = repo.inside(*command, "paths.outputs=other")
        assert done.returncode == 2
        assert "'paths.outputs=other' is" in done.stderr and "outputs elsewhere: --outputs DIR" in done.stderr
    repo.inside("run")
    shown = repo.inside("show").stdout
    assert " ran" in shown
    assert [line.split()[1] for line in shown.splitlines() if " ran" in line] == list("abc")
    assert "ok" in repo.inside("ls").stdout
    assert "second" in repo.inside("ls", "groups").stdout and "scope.noop" in repo.inside("ls", "kinds").stdout
    assert repo.inside("data", "verify").returncode == 0
    victim = next(p for p in (repo.root / "outputs" / "store" / "objects").rglob("*") if p.is_file())
    victim.chmod(0o644)
    victim.write_bytes(b"x" * victim.stat().st_size)
    done = repo.inside("data", "verify")
    assert done.returncode == 1 and victim.name in done.stdout
    assert "would free" in repo.inside("data", "gc", "--dry-run").stdout
    told = repo.mldlc("doctor", env={"PYTHONDONTWRITEBYTECODE": "1"}).stdout
    assert "note   bytecode        not kept" in told
    assert all(f" {name} " in told for name in ("pydantic", "jinja2", "scikit-learn")) and " ruff " not in told


def test_a_read_only_outputs_folder_is_one_clear_message(repo: Repository) -> None:
    blocked = repo.root / "blocked"
    blocked.write_text("a file where a folder should be")
    done = repo.inside("run", f"paths.outputs={blocked}")
    assert done.returncode == 2 and "blocked" in done.stderr and "Traceback" not in done.stderr


def test_hydras_own_flags(repo: Repository) -> None:
    done = repo.mldlc("--cfg", "job", "second.value=8")
    assert done.returncode == 0 and "value: 8" in done.stdout
    assert not (repo.root / "outputs").exists()
    done = repo.mldlc("plan", "hydra/launcher=joblib")
    assert done.returncode == 2 and "executor=" in done.stderr


def test_trace_passes_shows_all_eleven(repo: Repository) -> None:
    err = repo.inside("plan", "--trace-passes").stderr
    names = [line[3:] for line in err.splitlines() if line.startswith("-- ")]
    assert names == [
        "observe",
        "compose",
        "type",
        "stages",
        "artifacts",
        "fingerprint",
        "dedupe",
        "resolve",
        "reasons",
        "cost",
        "lower",
    ]
    assert "wire      c.after <- a.done, b.done" in err or "wire" in err
