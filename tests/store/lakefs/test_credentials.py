"""Where credentials are found, in which order, and what is said when they are not."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mldlc.plan.versions import Denied
from mldlc.store.lakefs.credentials import Credentials, find_credentials, server_url

SECRET = "5ecr3t/+key"
OURS = {
    "MLDLC_LAKEFS_ENDPOINT": "https://ours.example.com",
    "MLDLC_LAKEFS_ACCESS_KEY_ID": "ours",
    "MLDLC_LAKEFS_SECRET_ACCESS_KEY": SECRET,
}
LAKECTL = {
    "LAKECTL_SERVER_ENDPOINT_URL": "https://theirs.example.com/api/v1",
    "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "theirs",
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "other",
}


@pytest.fixture
def lakectl(tmp_path: Path) -> Path:
    path = tmp_path / "lakectl.yaml"
    path.write_text(
        f"credentials:\n  access_key_id: file\n  secret_access_key: {SECRET}\nserver:\n  endpoint_url: http://file:8000\n"
    )
    return path


def find(config: dict[str, str], environ: dict[str, str], file: Path | None = None) -> Credentials:
    return find_credentials(config, environ=environ, lakectl_file=file or Path("/nonexistent/lakectl.yaml"))


def test_the_first_place_with_a_pair_wins(lakectl: Path) -> None:
    everything = OURS | LAKECTL | {"KEY": "config", "HIDDEN": SECRET}
    config = {"endpoint": "https://config.example.com/", "access_key": "env:KEY", "secret_key": "env:HIDDEN"}
    found = find(config, everything, lakectl)
    assert (found.endpoint, found.access_key, found.secret_key) == ("https://config.example.com", "config", SECRET)
    assert find({}, OURS | LAKECTL, lakectl).access_key == "ours"
    theirs = find({}, LAKECTL, lakectl)
    assert (theirs.endpoint, theirs.access_key) == ("https://theirs.example.com", "theirs")
    file = find({}, {}, lakectl)
    assert (file.endpoint, file.access_key, file.secret_key, file.origin) == (
        "http://file:8000",
        "file",
        SECRET,
        str(lakectl),
    )


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    config = {"endpoint": "http://x", "access_key": "AKIA", "secret_key": f"file:{tmp_path / 'secret'}"}
    assert find(config, {}).secret_key == SECRET


def test_an_endpoint_alone_may_come_from_elsewhere() -> None:
    keys = {name: value for name, value in OURS.items() if "ENDPOINT" not in name}
    assert find({"endpoint": "http://localhost:8000"}, keys).endpoint == "http://localhost:8000"
    assert find({}, keys | {"LAKECTL_SERVER_ENDPOINT_URL": "http://localhost"}).endpoint == "http://localhost"


def test_a_config_cannot_send_a_users_keys_to_another_server(lakectl: Path) -> None:
    for environ in (LAKECTL, {}):
        with pytest.raises(Denied, match="for another server"):
            find({"endpoint": "https://elsewhere.example.com"}, environ, lakectl)
    assert find({"endpoint": "http://file:8000/"}, {}, lakectl).access_key == "file"
    assert find({"endpoint": "http://file:8000/"}, LAKECTL, lakectl).access_key == "file", "the pair that fits"


def test_nothing_found_names_every_place() -> None:
    with pytest.raises(Denied) as error:
        find({"endpoint": "http://x"}, {})
    for place in ("the config", "MLDLC_LAKEFS_ACCESS_KEY_ID", "LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "lakectl.yaml"):
        assert place in str(error.value)
    with pytest.raises(Denied, match="LAKECTL_SERVER_ENDPOINT_URL"):
        find({}, {name: value for name, value in OURS.items() if "ENDPOINT" not in name})


@pytest.mark.parametrize("left_out", ["MLDLC_LAKEFS_ACCESS_KEY_ID", "MLDLC_LAKEFS_SECRET_ACCESS_KEY"])
def test_half_a_pair_is_no_pair(left_out: str) -> None:
    half = {name: value for name, value in (OURS | LAKECTL).items() if name != left_out}
    with pytest.raises(Denied, match=r"half .*MLDLC_LAKEFS_ACCESS_KEY_ID.* has no (access|secret)_key"):
        find({}, half)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"secret_key": SECRET}, "a reference, never the value"),
        ({"acces_key": "x"}, "did you mean 'access_key'"),
        ({"wholly_other": "x"}, "allowed: endpoint, access_key, secret_key"),
        ({"access_key": "env:ABSENT"}, "ABSENT, which is not set"),
        ({"secret_key": "file:/nonexistent/x"}, "/nonexistent/x, which cannot be read"),
    ],
)
def test_a_bad_config_is_named_without_its_secret(config: dict[str, str], message: str) -> None:
    with pytest.raises(Denied, match=message) as error:
        find(config, {})
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("text", [f"secret_access_key: {SECRET}: [", "- a list", "credentials: text", "\tx", "'"])
def test_a_damaged_lakectl_file_is_named_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lakectl.yaml"
    path.write_text(text)
    with pytest.raises(Denied, match=r"lakectl\.yaml is not lakectl's file") as error:
        find({"endpoint": "http://x"}, {}, path)
    assert error.value.__context__ is None, "the parser's error quotes the line"


def test_an_empty_lakectl_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "lakectl.yaml").write_text("server: {endpoint_url: 'http://x'}\ncredentials:\n")
    assert find(
        {}, {"MLDLC_LAKEFS_ACCESS_KEY_ID": "a", "MLDLC_LAKEFS_SECRET_ACCESS_KEY": "b"}, tmp_path / "lakectl.yaml"
    )


@pytest.mark.parametrize("text", ["lakefs.example.com", "ftp://x", "http://", "http://user:pw@x", "http://x?y=z"])
def test_an_endpoint_is_a_web_address_without_secrets(text: str) -> None:
    with pytest.raises(Denied) as error:
        server_url(text)
    assert "pw" not in str(error.value).replace("password", "")


def test_credentials_are_shown_and_pickled_nowhere() -> None:
    found = find({}, OURS)
    assert SECRET not in repr(found) and SECRET not in f"{found}"
    assert found.redact(f"key {SECRET}!") == "key ***!"
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(found)
