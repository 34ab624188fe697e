"""The nearest name for a misspelt one."""

from __future__ import annotations

from mldlc.plan.diagnostic import did_you_mean, nearest


def test_the_nearest_name_whatever_its_case() -> None:
    assert nearest("drpout", ["dropout", "depth"]) == "dropout"
    assert nearest("Y", ["x", "y"]) == "y" and nearest("label", ["Label", "LABEL"]) == "Label"
    assert nearest("zzz", ["dropout"]) == "" and did_you_mean("zzz", []) == ""
    assert did_you_mean("PRICE", iter(["id", "price"])) == "did you mean 'price'?"
