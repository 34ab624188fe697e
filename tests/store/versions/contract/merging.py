"""Merges and reverts."""

from __future__ import annotations

import pytest

from mldlc.plan.versions import Conflict, RefNotFound, Versions, VersionsError
from tests.store.versions.contract.making import begin, contents, publish, write


class MergingContract:
    """Merges and reverts."""

    def test_a_merge_is_a_commit_with_two_parents(self, versions: Versions) -> None:
        versions.branch("side", "main")
        theirs = publish(versions, {"a": b"1"}, "side")
        ours = versions.commit("main")
        merged = versions.merge("side", "main", message="bring a", metadata={"why": "test", "ключ": "значение"})
        assert merged.parents == (ours.id, theirs.id)
        assert merged.message == "bring a"
        assert merged.metadata == {"why": "test", "ключ": "значение"}
        assert versions.commit("main") == merged
        assert merged.tree == theirs.tree

    def test_nothing_to_merge_is_the_head(self, versions: Versions) -> None:
        publish(versions, {"a": b"1"})
        versions.branch("side", "main")
        head = publish(versions, {"b": b"1"})
        assert versions.merge("side", "main") == head
        assert versions.merge("main", "main") == head
        publish(versions, {"b": b"1"}, "side")
        assert versions.merge("side", "main").tree == head.tree

    def test_a_conflict_names_the_paths_and_changes_nothing(self, versions: Versions) -> None:
        publish(versions, {"a": b"0", "b": b"0"})
        versions.branch("side", "main")
        publish(versions, {"a": b"1", "b": b"1"}, "side")
        head = publish(versions, {"a": b"2", "b": b"2", "c": b"2"})
        with pytest.raises(Conflict) as error:
            versions.merge("side", "main")
        assert error.value.paths == ("a", "b")
        assert versions.commit("main") == head
        with pytest.raises(Conflict):
            versions.merge("main", "side")

    def test_only_a_branch_is_merged_into(self, versions: Versions) -> None:
        publish(versions, {"a": b"1"})
        versions.tag("v1", "main")
        with pytest.raises(RefNotFound):
            versions.merge("main", "v1")
        with pytest.raises(RefNotFound):
            versions.merge("nothing", "main")

    def test_a_revert_undoes_one_commit(self, versions: Versions) -> None:
        publish(versions, {"a": b"1", "b": b"1"})
        undone = publish(versions, {"a": b"2", "c": b"2", "b": None}, message="bad")
        publish(versions, {"d": b"3"})
        made = versions.revert("main", undone.id, metadata={"why": "bad"})
        assert contents(versions, "main") == {"a": b"1", "b": b"1", "d": b"3"}
        assert len(made.parents) == 1
        assert made == versions.commit("main")
        assert made.metadata == {"why": "bad"}
        assert "bad" in made.message
        draft = begin(versions)
        write(draft, {"e": b"4"})
        single = draft.commit("on its own", {})
        draft.publish("main")
        versions.revert("main", single.id, message="away")
        assert contents(versions, "main") == {"a": b"1", "b": b"1", "d": b"3"}
        assert versions.commit("main").message == "away"

    def test_a_revert_of_what_changed_again_is_a_conflict(self, versions: Versions) -> None:
        publish(versions, {"a": b"1", "b": b"1"})
        undone = publish(versions, {"a": b"2", "b": b"2"})
        head = publish(versions, {"a": b"3"})
        with pytest.raises(Conflict) as error:
            versions.revert("main", undone.id)
        assert error.value.paths == ("a",)
        assert versions.commit("main") == head

    def test_a_revert_with_nothing_to_undo_is_the_head(self, versions: Versions) -> None:
        publish(versions, {"a": b"1"})
        undone = publish(versions, {"a": b"2"})
        versions.revert("main", undone.id)
        head = versions.commit("main")
        assert versions.revert("main", undone.id).tree == head.tree
        with pytest.raises(VersionsError):
            versions.revert("main", head.id + "~3")
