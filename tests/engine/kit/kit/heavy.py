"""Takes long to import, or dies of it: HEAVY in the environment says what. Every import is noted in HEAVY_LOG."""

import os
import signal
import time
from pathlib import Path

with Path(os.environ["HEAVY_LOG"]).open("a") as log:
    log.write(f"{os.getpid()}\n")
if os.environ.get("HEAVY") == "dies":
    os.kill(os.getpid(), signal.SIGSEGV)
time.sleep(float(os.environ.get("HEAVY", 0)))
