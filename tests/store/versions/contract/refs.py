"""Branches, tags, commit ids, and what a ref may be."""

from __future__ import annotations

import pytest

from mldlc.plan.versions import Denied, InvalidName, RefExists, RefNotFound, Versions
from tests.store.versions.contract.making import publish


class RefsContract:
    """Branches, tags, commit ids, and what a ref may be."""

    def test_a_new_repository_has_main_and_nothing_on_it(self, versions: Versions) -> None:
        assert list(versions.branches()) == ["main"]
        assert versions.tags() == {}
        assert list(versions.entries("main")) == []
        assert versions.commit("main").parents == ()

    def test_a_ref_is_a_branch_a_tag_a_commit_or_steps_back(self, versions: Versions) -> None:
        first = publish(versions, {"a": b"1"})
        second = publish(versions, {"a": b"2"})
        versions.tag("v1", first.id)
        assert versions.resolve("main") == versions.resolve(second.id) == second.id
        assert versions.resolve("main~1") == versions.resolve("v1") == first.id
        assert versions.resolve("main~2") == versions.resolve(f"{second.id}~2") == first.parents[0]
        assert versions.commit("v1") == versions.commit(first.id)

    @pytest.mark.parametrize("ref", ["mian", "main~9", "f" * 64, "v1~1"])
    def test_an_unknown_ref_is_not_found(self, versions: Versions, ref: str) -> None:
        with pytest.raises(RefNotFound) as error:
            versions.resolve(ref)
        if ref == "mian":
            assert "'main'" in str(error.value)

    def test_a_branch_is_made_once_and_goes(self, versions: Versions) -> None:
        first = publish(versions, {"a": b"1"})
        versions.branch("side", "main")
        publish(versions, {"a": b"2"})
        assert versions.branches()["side"] == first.id
        with pytest.raises(RefExists):
            versions.branch("side", "main")
        assert versions.branches()["side"] == first.id
        versions.delete_branch("side")
        assert list(versions.branches()) == ["main"]
        with pytest.raises(RefNotFound):
            versions.resolve("side")
        with pytest.raises(RefNotFound):
            versions.delete_branch("side")
        versions.branch("side", first.id)
        assert versions.resolve("side") == first.id

    def test_main_stays(self, versions: Versions) -> None:
        with pytest.raises(Denied):
            versions.delete_branch("main")

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a.b", "mldlc-run-x"])
    def test_a_branch_cannot_have_any_name(self, versions: Versions, name: str) -> None:
        with pytest.raises(InvalidName):
            versions.branch(name, "main")

    def test_a_branch_needs_a_commit_to_begin_at(self, versions: Versions) -> None:
        with pytest.raises(RefNotFound):
            versions.branch("side", "nothing")

    def test_a_tag_does_not_move(self, versions: Versions) -> None:
        first = publish(versions, {"a": b"1"})
        versions.tag("v1.0", "main")
        versions.tag("v1.0", first.id)
        publish(versions, {"a": b"2"})
        with pytest.raises(RefExists):
            versions.tag("v1.0", "main")
        assert versions.tags() == {"v1.0": first.id}
        versions.delete_tag("v1.0")
        assert versions.tags() == {}
        with pytest.raises(RefNotFound):
            versions.delete_tag("v1.0")
        with pytest.raises(InvalidName):
            versions.tag("a/b", "main")
