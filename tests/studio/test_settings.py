"""The user's settings: read in a stated shape; what is unknown is refused by name."""

from pathlib import Path

import pytest

from woosh.studio.settings import StudioSettings, read_settings

WHOLE = """
[names]
creator = "JDOE"
source = "MYLIB"
[credentials]
certificate = "chain.pem"
key = "key.pem"
"""


def test_settings_lie_where_the_platform_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a file has no settings; XDG's variable is heeded on Linux."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert read_settings() == StudioSettings()
    (tmp_path / "woosh").mkdir()
    (tmp_path / "woosh" / "studio.toml").write_text(WHOLE)
    found = read_settings()
    assert (found.names.creator, found.names.source) == ("JDOE", "MYLIB")
    assert found.credentials.certificate == "chain.pem"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[names", "is not valid TOML"),
        ("[name]", "unknown name 'name': known are names, credentials"),
        ("[names]\nauthor = 'x'", "names has an unknown name 'author': known are creator, source"),
        ("[names]\ncreator = 7", "creator"),
        ("names = 'JDOE'", "names"),
        ("[credentials]\nkey = 'a'", "certificate and key belong together"),
        ("a = " + "[" * 5000, "is not valid TOML"),
        ("#" * (2**20 + 1), "more than 1 MiB"),
    ],
)
def test_wrong_settings_are_refused_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "studio.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(path)
    assert "studio.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
