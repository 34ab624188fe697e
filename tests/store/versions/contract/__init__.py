"""What every version store does, whatever it stands on: the port of mldlc.plan.versions, clause by clause."""

import pytest

for _part in ("refs", "reading", "history", "merging", "drafts"):
    pytest.register_assert_rewrite(f"{__name__}.{_part}")
