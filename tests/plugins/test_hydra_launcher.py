"""`hydra/launcher=mldlc` beside Hydra's own launcher, on an app that knows neither: same jobs, folders, return values."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hatchling")

from tests.plugins.hydra_app import HELPER, App, app
from tests.thorough import thoroughly

LAUNCHER = "hydra/launcher=mldlc"
Install = Callable[[str], Path]


@pytest.fixture
def plain(tmp_path: Path, install: Install) -> App:
    return app(tmp_path, install("mldlc-hydra"))


def tree(folder: Path) -> dict[str, str]:
    """Files with their text, but for times of logs, the name of the folder and of the launcher.

    The program is `__mp_main__` in a process of its own, as multiprocessing has it.
    """
    clean = re.compile(r"\[\d{4}-[^]]*\]|sweep_[ab]|\n *- hydra/launcher=mldlc|(?<=launcher: )(mldlc|basic)|(?<=__)mp_")
    return {
        str(path.relative_to(folder)): clean.sub("", _settings(path.read_text()))
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def _settings(text: str) -> str:
    """Hydra's own YAML without the settings of a launcher, which differ."""
    return re.sub(r"\n  launcher:\n(    .*\n|    ?- .*\n)+", "\n", text)


def rows(plain: App) -> list[dict[str, Any]]:
    return [
        {name: re.sub(r"sweep_[ab]", "", value) if isinstance(value, str) else value for name, value in row.items()}
        | {"cfg": {**row["cfg"], "place": ""}}
        for row in plain.returns()
    ]


def test_jobs_are_those_of_hydras_own_launcher(plain: App) -> None:
    sweep = ["-m", "lr=1,2", "name=b,object", "hydra.job.chdir=true", "+hydra.job.env_set.MARK=x"]
    code, text = plain.run(*sweep, "hydra.sweep.dir=sweep_a", script="driver.py")
    assert code == 0, text
    basic, jobs = rows(plain), plain.executed()
    code, text = plain.run(*sweep, "hydra.sweep.dir=sweep_b", LAUNCHER, script="driver.py")
    assert code == 0, text
    assert plain.executed() == jobs and len(jobs) == 4
    strip = [{**row, "overrides": [item for item in row["overrides"] if "launcher" not in item]} for row in rows(plain)]
    assert strip == basic and {row["type"] for row in basic} == {"Conf"}
    found = tree(plain.root / "sweep_b")
    assert found == tree(plain.root / "sweep_a") and {"0/app.log", "3/in_cwd.txt", "3/.hydra/hydra.yaml"} <= set(found)

    code, _ = plain.run(*sweep, "hydra.sweep.dir=sweep_b", "hydra.sweep.subdir=again_${hydra.job.num}", LAUNCHER,
                        script="driver.py")  # fmt: skip
    assert code == 0 and plain.executed() == []
    assert [row["value"] for row in rows(plain)] == [row["value"] for row in basic]
    for number in range(4):
        old, new = (set(tree(plain.root / "sweep_b" / name)) for name in (f"{number}", f"again_{number}"))
        assert old == new


def test_only_what_changed_runs_again(plain: App) -> None:
    assert plain.run("-m", "lr=1,3", LAUNCHER)[0] == 0
    assert plain.executed() == ["1 a", "3 a"]
    (plain.root / "helper.py").write_text(f"# a comment\n{HELPER}")
    code, text = plain.run("-m", "lr=1,2,3", LAUNCHER)
    assert code == 0 and plain.executed() == ["2 a"] and "3 jobs on mldlc: 1 to run, 2 known" in text
    assert plain.run("-m", "lr=1", "+hydra.job.env_set.MARK=x", LAUNCHER)[0] == 0
    assert plain.executed() == ["1 a"]  # its environment is another one
    (plain.root / "helper.py").write_text(HELPER.replace("2 * x", "x + x"))
    assert plain.run("-m", "lr=1", LAUNCHER)[0] == 0 and plain.executed() == ["1 a"]
    assert plain.run("-m", "lr=1", LAUNCHER, "hydra.launcher.reuse=false")[0] == 0 and plain.executed() == ["1 a"]


def test_a_job_that_fails_loses_no_other_and_raises_what_it_raised(plain: App) -> None:
    code, text = plain.run("-m", "lr=9,1", LAUNCHER)
    assert code == 1 and "ValueError: nine is bad, a" in text and plain.executed() == ["1 a", "9 a"]
    code, text = plain.run("-m", "lr=9,1", LAUNCHER)
    assert code == 1 and "Error executing job with overrides: ['lr=9'" in text and plain.executed() == ["9 a"]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=thoroughly), signal.SIGINT])
def test_stopped_or_killed_it_goes_on_and_an_edit_does_not_leak_into_it(plain: App, number: int) -> None:
    gate = plain.root / "gate"
    gate.write_text("")
    process = plain.start("-m", "lr=1,2,3", LAUNCHER, "hydra.launcher.jobs=1", WAIT=str(gate))
    while "2 a" not in (plain.root / "executed").read_text() if (plain.root / "executed").exists() else True:
        assert process.poll() is None
        time.sleep(0.05)
    (plain.root / "helper.py").write_text("broken(\n")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    (plain.root / "helper.py").write_text(HELPER)
    gate.unlink()
    assert "1 a" in plain.executed()
    code, text = plain.run("-m", "lr=1,2,3", LAUNCHER)
    assert code == 0, text
    assert plain.executed() == ["2 a", "3 a"]


DECORATED = "hydra.main(version_base='1.3', config_path=None, config_name='config')"


@pytest.mark.parametrize(
    ("last", "args", "told"),
    [
        (f"    (lambda: {DECORATED}(lambda cfg: 1))()()\n", [], "is not found by its name: define it at the top"),
        (f"    @{DECORATED}\n    def late(cfg): pass\n    late()\n", [], "app.late is not there when the app is imported"),
        ("    main()\n", ["hydra.launcher.jbos=1"], "Key 'jbos' not in 'LauncherConf'"),
        ("    main()\n", ["hydra.launcher.code=[nothing.py]"], "code file nothing.py does not exist"),
    ],
)  # fmt: skip
def test_mistakes(plain: App, last: str, args: list[str], told: str) -> None:
    file = plain.root / "app.py"
    file.write_text(file.read_text().replace("    main()\n", last))
    code, said = plain.run("-m", "lr=1", LAUNCHER, *args)
    assert code == 1 and told in said


def test_what_cannot_be_kept_is_told(plain: App) -> None:
    file = plain.root / "app.py"
    file.write_text(file.read_text().replace("return Score(", "return (lambda: 1) or Score("))
    code, said = plain.run("-m", "lr=1", "name=object", LAUNCHER)
    assert code == 1 and "what the job returned cannot be kept" in said
