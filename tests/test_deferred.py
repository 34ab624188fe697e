"""What a training does without is not imported, and is what it always was once something asks for it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mldlc import deferred

FIT = """
from mldlc import deferred
deferred.install()
import sys, warnings, torch, lightning.pytorch as pl
warnings.simplefilter("ignore")
HEAVY = ("sympy", "torch._dynamo.eval_frame", "torch._inductor.utils", "scipy.signal._signaltools", "torch.distributed.tensor")
import mldlc.training.train

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), fused=True)

rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 4)), 8)
options = dict(max_epochs=2, accelerator="cpu", deterministic=True, gradient_clip_val=1.0, logger=False)
trainer = pl.Trainer(**options, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False)
trainer.fit(Net(), rows)
assert not [name for name in HEAVY if name in sys.modules]
"""
COMPILED = """
compiled = torch.compile(torch.nn.Linear(4, 2), backend="eager")
from lightning.fabric.wrappers import OptimizedModule
assert compiled(torch.ones(3, 4)).shape == (3, 2)
assert isinstance(compiled, OptimizedModule) and not isinstance(torch.nn.Linear(1, 1), OptimizedModule)
import torch._dynamo.config, torch._inductor.config
assert type(sys.modules["torch._dynamo"]) is type(sys)
assert torch._inductor.config.deterministic and torch._dynamo.eval_frame.OptimizedModule is torch._dynamo.OptimizedModule
optimizer = torch.optim.SGD(compiled.parameters(), 0.1)
compiled(torch.ones(3, 4)).sum().backward()
optimizer.step()
optimizer.zero_grad()

@torch.compiler.disable
def apart(x):
    assert not torch.compiler.is_compiling()
    return x + 1

assert torch.compile(lambda x: apart(x * 2), backend="eager")(torch.ones(2)).tolist() == [3.0, 3.0]
"""


def python(code: str, cwd: Path) -> str:
    """What the code prints in a process of its own."""
    ended = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


def test_a_training_imports_no_compiler_and_one_that_compiles_does(tmp_path: Path) -> None:
    python(FIT + COMPILED, tmp_path)


def test_a_profile_imports_no_scikit_learn_and_who_wants_it_has_it(tmp_path: Path) -> None:
    code = """
    from mldlc import deferred
    deferred.install()
    import sys, mldlc.profile.profile
    assert "sklearn" in sys.modules and not {"sklearn.base", "scipy.stats"} & set(sys.modules)
    import sklearn.metrics, sklearn.cluster
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from whylogs.core import stubs
    assert stubs.is_not_stub(stubs.sklp.cosine_distances) and sklearn.metrics.roc_auc_score([0, 1], [0.1, 0.9]) == 1.0
    assert sklearn.cluster.KMeans and PCA and HistGradientBoostingClassifier and sklearn.__version__
    """
    python(textwrap.dedent(code), tmp_path)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `heavy` with submodules, deferred in a process of its own by `PRELUDE`."""
    root = tmp_path / "heavy"
    root.mkdir()
    (root / "__init__.py").write_text("print('executed')\nfrom heavy import inner\nvalue = inner.value + 1\n")
    (root / "inner.py").write_text("print('inner')\nvalue = 1\n")
    (root / "other.py").write_text("value = 5\n")
    (root / "apart.py").write_text("value = 7\n")
    (root / "late.py").write_text("print('late')\nfrom heavy import value\n")
    return tmp_path


PRELUDE = """
from mldlc import deferred
deferred.LIGHT["heavy"] = lambda module: {"quick": 3}
deferred.LIGHT["heavy.late"] = lambda module: {}
deferred.APART += ("heavy.apart", "heavy.late")
deferred.install()
"""


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("import heavy", ""),
        ("from heavy import quick; print(quick)", "3"),
        ("import heavy.apart; print(heavy.apart.value)", "7"),
        ("import heavy.late as late; print(type(late).__name__)", "Deferred"),
        ("import heavy.late; print(heavy.late.value)", "executed inner late 2"),
        ("import heavy.late; print(heavy.value); print(heavy.late.value)", "executed inner 2 late 2"),
        ("from heavy.late import value; print(value)", "executed inner late 2"),
        ("import heavy; heavy.extra = 2; print(heavy.extra)", "2"),
        ("import heavy; print(heavy.value, heavy.quick)", "executed inner 2 3"),
        ("from heavy import value; print(value)", "executed inner 2"),
        ("from heavy import other; print(other.value)", "executed inner 5"),
        ("import heavy.other; print(heavy.other.value)", "executed inner 5"),
        ("import heavy.apart, heavy; print(heavy.value, heavy.apart.value)", "executed inner 2 7"),
        ("import heavy; before = heavy; heavy.value; import heavy; print(heavy is before)", "executed inner True"),
        ("import heavy; print(hasattr(heavy, 'nothing'), hasattr(heavy, 'value'))", "executed inner False True"),
        ("import heavy, inspect; inspect.getmodule(inspect); print(heavy.__name__, heavy.__file__[-11:])", "heavy __init__.py"),
        ("import heavy, importlib; heavy.value; importlib.reload(heavy)", "executed inner executed"),
    ],
)  # fmt: skip
def test_it_is_executed_once_and_when_asked(package: Path, code: str, printed: str) -> None:
    assert python(PRELUDE + code, package).split() == printed.split()


def test_threads_that_ask_at_once_all_get_it_whole(package: Path) -> None:
    (package / "heavy" / "inner.py").write_text("import time\ntime.sleep(0.3)\nvalue = 1\n")
    code = """
    import heavy
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        print(*pool.map(lambda _: heavy.value, range(8)))
    """
    assert python(PRELUDE + textwrap.dedent(code), package).split() == ["executed", *"22222222"]


def test_one_that_is_broken_says_so_each_time(package: Path) -> None:
    (package / "heavy" / "inner.py").write_text("raise RuntimeError('broken')\n")
    code = """
    import heavy
    for attempt in range(2):
        try:
            from heavy import value
        except RuntimeError as error:
            print(error)
    """
    assert python(PRELUDE + textwrap.dedent(code), package).split() == ["executed", "broken"] * 2


def test_what_is_not_installed_is_missed_as_ever(tmp_path: Path) -> None:
    code = PRELUDE + "\ntry:\n    import heavy\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert python(code, tmp_path).strip() == "No module named 'heavy'"


def test_only_what_is_named_is_deferred(package: Path) -> None:
    code = PRELUDE.replace("install()", "install('scipy.signal')") + "import heavy"
    assert python(code, package).split() == ["executed", "inner"]
    assert {"torch._dynamo", "torch._inductor", "scipy.signal", "sklearn"} <= set(deferred.LIGHT)
