"""A user's steps for tests of the engine: small, honest, each with one behaviour to look at."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from kit import words
from mldlc.config.schema import Config, result, secret
from mldlc.plan.artifact import Any
from mldlc.plan.context import Cancelled, GateRejected, GateWaiting, NotDue, StepError, TransientError
from mldlc.plan.spec import Resources, StepSpec, many, optional, port


class Value(Config):
    """What most steps read. log: a file that gets a line an execution; seconds: how long it takes."""

    value: int = result(0)
    seconds: float = result(0.0)
    log: str = result("")
    mode: str = result("")


class Login(Config):
    """A step that needs a password."""

    password: str = secret()
    user: str = result("")


def _note(ctx, cfg) -> None:
    """One line per execution in a log shared by all processes: who wrote which key, and when."""
    if cfg.step.log:
        start = time.time()
        time.sleep(cfg.step.seconds)
        line = json.dumps({"key": ctx.key, "pid": os.getpid(), "start": start, "end": time.time()}) + "\n"
        with Path(cfg.step.log).open("a") as file:
            file.write(line)
    else:
        time.sleep(cfg.step.seconds)


def _write(folder: Path, value) -> None:
    (folder / "value.json").write_text(json.dumps(value))


def source(ctx, cfg, inputs) -> None:
    """Gives its config value, on three ports."""
    _note(ctx, cfg)
    _write(ctx.out("value"), cfg.step.value)
    _write(ctx.out("double"), 2 * cfg.step.value)
    for number in range(5):
        (ctx.out("files") / f"{number}.txt").write_text(f"{cfg.step.value} {number}\n" * 50)
    ctx.summary({"metrics": {"value": cfg.step.value}})


def add(ctx, cfg, inputs) -> None:
    """Sum of all inputs and the config value."""
    _note(ctx, cfg)
    total = sum(item.json("value.json") for item in inputs["values"].values()) + cfg.step.value
    _write(ctx.out("value"), total)
    ctx.summary({"metrics": {"sum": total}})


def parity(ctx, cfg, inputs) -> None:
    """Only whether the input is odd: the step whose output often stays equal."""
    _note(ctx, cfg)
    _write(ctx.out("value"), inputs["value"].json("value.json") % 2)


def read_file(ctx, cfg, inputs) -> None:
    """The outside file, as it is."""
    _note(ctx, cfg)
    _write(ctx.out("value"), Path(ctx.sources[0]["paths"][0]).read_text())


def bad(ctx, cfg, inputs) -> None:
    """Every way to end badly."""
    attempt = ctx.scratch / "tries"
    tries = len(attempt.read_text()) if attempt.exists() else 0
    attempt.write_text("x" * (tries + 1))
    print("going to", cfg.step.mode)
    match cfg.step.mode:
        case "raise":
            words.shout(cfg.step.value)
        case "step_error":
            raise StepError("column 'age' has no value in row 7", where="people.csv:7", hint="fill it in")
        case "transient" if tries < cfg.step.value:
            raise TransientError("the server is busy")
        case "die" if tries < cfg.step.value:
            block = bytearray(50_000_000)
            block[::4096] = b"x" * len(block[::4096])
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "sys_exit":
            sys.exit("user code called exit")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(ctx.temp / "x"))
        case "fsize":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            (ctx.out("value") / "big.bin").write_bytes(b"x" * 5_000_000)
        case "link":
            (ctx.out("value") / "link").symlink_to("/etc/hostname")
    _write(ctx.out("value"), tries)


def patient(ctx, cfg, inputs) -> None:
    """A long step with checkpoints: counts in scratch, stops when asked, goes on where it was."""
    mark = ctx.scratch / "count"
    start = count = int(mark.read_text()) if mark.exists() else 0
    while count < cfg.step.value:
        count += 1
        mark.write_text(str(count))
        ctx.progress(count, cfg.step.value)
        ctx.metric("loss", 1 / count, count)
        time.sleep(0.02)
        if ctx.cancelled():
            raise Cancelled
    _write(ctx.out("value"), count)
    ctx.summary({"started_at": start})


def family(ctx, cfg, inputs) -> None:
    """Starts processes that outlive it if they can: one in its group, one in a session of its own."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    Path(cfg.step.log).write_text(json.dumps([os.getpid()] + [child.pid for child in children]))
    if cfg.step.mode == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(cfg.step.seconds)
    _write(ctx.out("value"), 1)


def login(ctx, cfg, inputs) -> None:
    """Prints its password everywhere that it can."""
    print("the password is", cfg.login.password)
    ctx.log.warning("password %s", cfg.login.password)
    os.write(2, f"raw {cfg.login.password}\n".encode())
    subprocess.run(["echo", "child", cfg.login.password], check=True)
    _write(ctx.out("value"), len(cfg.login.password))
    if cfg.login.password.startswith("wrong"):
        raise ValueError(f"cannot log in with {cfg.login.password}")


def ask(ctx, cfg, inputs) -> None:
    """A gate on its input: asks a person, but of 7, which is not due."""
    value = inputs["value"].json("value.json")
    if value == 7:
        raise NotDue("seven comes later")
    answer = ctx.approval(f"evidence-{value}")
    if answer is None:
        raise GateWaiting({"value": value}, f"evidence-{value}")
    if answer["decision"] != "approve":
        raise GateRejected(f"{answer['by']} said no", {"value": value}, f"evidence-{value}")
    _write(ctx.out("value"), value)


def deploy(ctx, cfg, inputs) -> None:
    """An effect: counts in the outside world."""
    place = Path(cfg.step.log)
    place.write_text(str(int(place.read_text()) + 1 if place.exists() else 1))
    _write(ctx.out("value"), 1)


def parts(ctx, cfg, inputs) -> None:
    """One cached record a partition; the log has a line for each that was worked on."""

    def work(name, item, out) -> None:
        with Path(cfg.step.log).open("a") as file:
            file.write(f"{name}\n")
        _write(out, item["n"] * 10)

    items = [(f"p{n}", {"n": n, "digest": f"d{n}"}) for n in range(cfg.step.value)]
    done = ctx.map(items, work)
    _write(ctx.out("value"), sum(json.loads((path / "value.json").read_text()) for path in done.values()))


def look(ctx, cfg, inputs) -> None:
    """What the process around the step is like."""
    heavy = ["torch", "numpy", "polars", "lightning", "whylogs", "hydra"]
    facts = {
        "pid": os.getpid(), "threads": ctx.threads, "omp": os.environ["OMP_NUM_THREADS"], "cwd": str(Path.cwd()),
        "heavy": [name for name in heavy if name in sys.modules], "path": sys.path[:2], "word": words.WORD,
        "file": words.__file__, "colorsys": "colorsys" in sys.modules, "main": "pytest" in sys.modules,
        "parent": os.getppid(), "drawn": sys.modules["numpy"].random.random() if "numpy" in sys.modules else None,
        "waiting": {name: os.environ.get(name) for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")},
    }  # fmt: skip
    time.sleep(cfg.step.seconds)
    from kit import late

    facts["late"] = late.WORD
    ctx.summary(facts)
    _write(ctx.out("value"), cfg.step.value)


def _spec(name: str, run: str, **fields) -> StepSpec:
    fields.setdefault("outputs", {"value": Any})
    fields.setdefault("reads", {"step": Value})
    return StepSpec(kind=f"kit.steps:{name}", version=1, impl=f"kit.steps:{run}", **fields)


SOURCE = _spec("SOURCE", "source", outputs={"value": Any, "double": Any, "files": Any})
ADD = _spec("ADD", "add", inputs={"values": many(Any)})
PARITY = _spec("PARITY", "parity", inputs={"value": port(Any)})
READ = _spec("READ", "read_file")
BAD = _spec("BAD", "bad", inputs={"after": optional(Any)})
PATIENT = _spec("PATIENT", "patient")
FAMILY = _spec("FAMILY", "family")
LOGIN = _spec("LOGIN", "login", reads={"login": Login})
ASK = _spec("ASK", "ask", inputs={"value": port(Any)}, purity="gate")
DEPLOY = _spec("DEPLOY", "deploy", inputs={"value": optional(Any)}, purity="effect")
PARTS = _spec("PARTS", "parts")
LOOK = _spec("LOOK", "look", inputs={"after": optional(Any)}, needs=Resources(preload=("colorsys",)))
