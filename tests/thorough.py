"""What `make test-all` asks for (MLDLC_TEST_ALL=1) and an ordinary run leaves out, as it takes minutes."""

from __future__ import annotations

import os

import pytest

ALL = bool(os.environ.get("MLDLC_TEST_ALL"))
thoroughly = pytest.mark.skipif(not ALL, reason="many runs: MLDLC_TEST_ALL=1")
