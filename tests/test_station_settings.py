"""Settings of a station: what is right is read, what is wrong is named, what is secret stays so."""

import builtins
import re
import sys

import pytest

from edge.errors import UserError
from edge.station.masks import Region
from edge.station.sections import (
    DriftSettings,
    FailureSettings,
    JudgementSettings,
    MaskSettings,
    PageSettings,
    StoreSettings,
)
from edge.station.settings import EXAMPLE, load, station_name
from edge.station.sinks import SinkOptions
from edge.station.sources.base import SourceOptions

LEAST = """
[bundle]
path = "bundle"
[source]
open = "camera:0"
"""


@pytest.fixture
def read(tmp_path):
    """Loads a station that adds the text to the least there must be."""

    def read(text="", options=None, least=LEAST):
        path = tmp_path / "station.toml"
        path.write_text(least + text, encoding="utf-8")
        return load(path, options)

    return read


def complaint(read, text, **arguments):
    with pytest.raises(UserError) as caught:
        read(text, **arguments)
    said = str(caught.value)
    assert "\n" not in said
    return said


# What is right


def test_defaults(read, tmp_path):
    settings = read()
    assert settings.folder == tmp_path
    assert settings.bundle.path == str(tmp_path / "bundle")
    assert (settings.bundle.precision, settings.bundle.threads) == (None, 1)
    assert (settings.source.open, settings.source.options) == ("camera:0", SourceOptions())
    assert settings.sinks == ()
    assert settings.judgement == JudgementSettings()
    assert settings.masks == MaskSettings()
    assert settings.drift == DriftSettings()
    assert settings.store == StoreSettings()
    assert settings.failures == FailureSettings()
    assert settings.page == PageSettings()


def test_the_example_names_every_key_with_its_default(read):
    text = EXAMPLE.read_text(encoding="utf-8")
    settings = read(text, least="")
    plain = read('[[sink]]\nto = "jsonl:verdicts.jsonl"')
    assert settings == plain, "the values of the example are the defaults"
    names = {*SourceOptions._fields, *SinkOptions._fields}
    for section in (settings.bundle, settings.judgement, settings.masks, settings.drift):
        names |= set(section.__dataclass_fields__)
    for section in (settings.store, settings.failures, settings.page):
        names |= set(section.__dataclass_fields__)
    for name in names | {"folder", "open", "to", "user", "password"}:
        assert re.search(rf"^(# )?{name} = ", text, re.MULTILINE), f"{name} is not in the example"


def test_what_the_example_has_behind_a_hash_can_be_used(read, tmp_path, monkeypatch):
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    monkeypatch.setenv("CAMERA_PASSWORD", "s3cret")
    for name in ("upload.token", "hook.token", "page.token"):
        (tmp_path / name).write_text("0123456789abcdef\n")
    text = EXAMPLE.read_text(encoding="utf-8").replace('"camera:0"', '"rtsp://camera/1"')
    text = re.sub(r"^# (\w+ = |\[\[)", r"\1", text, flags=re.MULTILINE)
    settings = read(text, least="")
    assert str(settings.folder) == "/var/lib/edge/line-1"
    assert settings.source.open == "rtsp://viewer:s3cret@camera/1"
    assert settings.source.options.size == (1280, 720)
    assert settings.sinks[1].to == "mqtts://line-1:s3cret@broker.example/line-1/verdicts"
    assert settings.sinks[1].options.ca == str(tmp_path / "ca.pem")
    assert settings.sinks[2].options.token == "0123456789abcdef"
    assert settings.masks.roi == Region(0.1, 0.0, 0.9, 1.0)
    assert settings.masks.picture == str(tmp_path / "mask.png")
    assert settings.judgement.gap == 2.0


def test_paths_are_relative_to_the_file(read, tmp_path):
    for text, expected in [
        ("watch:in", f"watch:{tmp_path}/in"),
        ("video:/a/b.mp4", "video:/a/b.mp4"),
        ("pictures", f"{tmp_path}/pictures"),
        ("camera:/dev/video2", "camera:/dev/video2"),
        ("-", "-"),
        ("upload:8000", "upload:8000"),
        ("command:rpicam-vid -t 0 -o -", "command:rpicam-vid -t 0 -o -"),
    ]:
        least = LEAST.replace("camera:0", text)
        assert read(least=least).source.open == expected
    sinks = '[[sink]]\nto = "jsonl:a/b.jsonl"\n[[sink]]\nto = "jsonl:-"\n'
    assert [s.to for s in read(sinks).sinks] == [f"jsonl:{tmp_path}/a/b.jsonl", "jsonl:-"]


def test_the_line_may_stay_high_until_the_next_pass(read):
    held = read('[[sink]]\nto = "gpio:17"\nhold = 0\n[[sink]]\nto = "gpio:18"').sinks
    assert [sink.options.hold for sink in held] == [None, 0.5]


def test_votes_say_of_how_many(read):
    assert read("[judgement]\nvotes = 3").judgement == JudgementSettings(3, 3)
    assert read("[judgement]\nof = 5").judgement == JudgementSettings(1, 5)


# The command line


def test_options_alone_make_a_station():
    options = {"bundle.path": "b", "source.open": "pictures", "sink": ["-", "jsonl:x.jsonl"]}
    settings = load(None, {**options, "bundle.precision": None, "folder": "line"})
    assert settings.bundle.path == "b"
    assert settings.source.open == "pictures"
    assert [sink.to for sink in settings.sinks] == ["-", "jsonl:x.jsonl"]
    assert (str(settings.folder), settings.name) == ("line", "line")


def test_options_win_over_the_file(read, tmp_path):
    text = '[judgement]\nvotes = 2\nof = 9\n[[sink]]\nto = "-"'
    options = {"judgement.votes": 3, "bundle.path": "elsewhere", "sink": ["jsonl:y"], "folder": "f"}
    settings = read(text, options)
    assert settings.judgement == JudgementSettings(3, 9)
    assert settings.bundle.path == "elsewhere", "relative to the current folder"
    assert [sink.to for sink in settings.sinks] == ["jsonl:y"]
    assert str(settings.folder) == "f"
    assert settings.source.open == "camera:0"
    said = complaint(read, text, options={"judgement.votes": 10})
    assert said == "command line: [judgement] votes: expected at most 9, as many as `of` says, " \
        "got 10"  # fmt: skip


def test_options_that_are_missing():
    with pytest.raises(UserError) as caught:
        load(None, {"source.open": "camera:0"})
    assert str(caught.value) == "command line: [bundle] path: missing; expected a text"


def test_an_option_of_no_table_is_the_programs_mistake():
    with pytest.raises(ValueError, match=r"page2.port"):
        load(None, {"page2.port": 1})


# What is wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[judgement]\nvote = 2", "[judgement] vote: unknown key; did you mean votes?"),
        ("[store]\nzzz = 2", "[store] zzz: unknown key; known: keep, sync_seconds"),
        ("[judgment]\nvotes = 2", "top level: judgment: unknown key; did you mean judgement?"),
        ("[judgement]\nvotes = 0", "[judgement] votes: expected a whole number from 1 to 1000"),
        ("[judgement]\nvotes = 1.0", "votes: expected a whole number from 1 to 1000, got 1.0"),
        ("[judgement]\nvotes = true", "votes: expected a whole number from 1 to 1000, got true"),
        ("[judgement]\nvotes = 5\nof = 3", "votes: expected at most 3, as many as `of` says"),
        ("[judgement]\ngap = 'long'", "[judgement] gap: expected 0.001 to 86400, got 'long'"),
        ("[drift]\nevery = nan", "[drift] every: expected 0 to 86400, got nan"),
        ("[drift]\nwatch = 1", "[drift] watch: expected true or false, got 1"),
        ("[drift]\ndefects = 20", "[drift] defects: expected 0 to 1, got 20"),
        ("[store]\nkeep = -1", "[store] keep: expected a whole number from 1 to 1000000000"),
        ("[failures]\nform = 'gif'", "[failures] form: expected one of png, jpeg, got 'gif'"),
        ("[masks]\nroi = [0, 0, 1]", "[masks] roi: expected 4 numbers from 0, got [0, 0, 1]"),
        ("[masks]\nroi = [1, 0, 0, 1]", "[masks] roi: expected left below right"),
        ("[masks]\nignore = [0, 0, 1, 1]", "[masks] ignore: expected a list of lists of 4"),
        ("[masks]\nignore = [[0, 0, 1.5, 2]]", "[masks] ignore: expected shares up to 1, or whole"),
        ("[masks]\npicture = ''", "[masks] picture: expected a text, got ''"),
        ("[[sink]]\nto = 5", "[[sink]] to: expected a text, got 5"),
        ("[[sink]]\ncap_mb = 5", "[[sink]] to: missing; expected a text"),
        ("[sink]\nto = '-'", "[sink]: expected [[sink]], with two brackets"),
        ("[[sink]]\nto='-'\n[[sink]]\nto='-'\nqos=3", "[[sink]] 2: qos: expected a whole number"),
        ("[[sink]]\nto='-'\nuser='me'", "user: expected an address such as mqtts://host/topic"),
        ("[[sink]]\nto='mqtt://h/t'\npassword='p'", "password: expected a user with it"),
        ("[page]\nhost = '0.0.0.0'", "[page] token: missing; expected one where others may"),
        ("[page]\ntoken = 'short'", "[page] token: expected at least 8 characters"),
        ("[page]\ntoken = 'env:NOT_SET'", "[page] token: expected a variable 'NOT_SET' of the env"),
        ("[page]\ntoken = 'file:none'", "token: expected a file that can be read (none: No such"),
        ("[page]\ntoken = 'file:/'", "token: expected a file that can be read (/: Is a dir"),
        ("page = 5", "[page]: expected a table, got 5"),
        ("[bundle", "not TOML: "),
        ("\x00", "not TOML: "),
    ],
)
def test_mistakes_are_named(text, says, read, tmp_path):
    least = LEAST
    if text.startswith("page"):
        text, least = "", f"{text}\n{LEAST}"
    said = complaint(read, text, least=least)
    assert said.startswith(f"{tmp_path / 'station.toml'}: ")
    assert says in said


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("size = [640, 4]", "[source]: size: expected WIDTH x HEIGHT from 8 x 8 pixels"),
        ("size = 640", "[source] size: expected 2 numbers from 0, got 640"),
        ("timeout = 0", "[source] timeout: expected 0.1 to 86400, got 0"),
        ("existing = 'yes'", "[source] existing: expected true or false, got 'yes'"),
        ("fps = 5", "[source] fps: unknown key; known: "),
    ],
)
def test_mistakes_of_the_source(source, says, read):
    assert says in complaint(read, "", least=LEAST + source)


def test_every_mistake_is_told_at_once(read):
    said = complaint(read, "[judgement]\nvote = 1\n[drift]\nwindow = 1\n[store]\nkeep = 'x'")
    assert said.count("station.toml: ") == 3
    assert "vote: unknown" in said
    assert "window: expected" in said
    assert "keep: expected" in said


def test_files_that_are_none(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"# " + b"x" * 2**20)
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    for path, says in [
        (tmp_path / "none.toml", "cannot read .*none.toml: No such file"),
        (tmp_path, "cannot read .*: Is a directory"),
        (tmp_path / "large.toml", "more than 1 MiB"),
        (tmp_path / "latin.toml", "expected a TOML file in UTF-8"),
    ]:
        with pytest.raises(UserError, match=says):
            load(path)


def test_deep_files_end_in_a_line(read):
    assert "not TOML" in complaint(read, "x = " + "[" * 100_000)


def test_without_a_reader_of_toml_pip_is_named(read, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name in ("tomllib", "tomli"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "run `pip install tomli`" in complaint(read, "")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there it is what is used anyway")
def test_tomli_serves_older_pythons(read, monkeypatch):
    pytest.importorskip("tomli")
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert read("[judgement]\nvotes = 2").judgement.votes == 2
    assert "not TOML" in complaint(read, "[bundle")


# What is secret


def test_secrets_come_from_where_they_are_kept(read, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "from-the-environment")
    (tmp_path / "token").write_text("from-the-file\n")
    for given, token in [
        ("env:TOKEN", "from-the-environment"),
        ("file:token", "from-the-file"),
        (f"file:{tmp_path / 'token'}", "from-the-file"),
        ("as-it-stands", "as-it-stands"),
    ]:
        assert read(f'[page]\ntoken = "{given}"').page.token == token


def test_secrets_are_not_shown(read):
    text = (
        '[page]\ntoken = "hush-hush"\n[[sink]]\nto = "mqtt://h/t"\nuser = "me@home"\n'
        'password = "hush/hush"\n[[sink]]\nto = "https://h/"\ntoken = "hush-hush"'
    )
    settings = read(text)
    assert "hush" not in repr(settings)
    assert settings.sinks[0].to == "mqtt://me%40home:hush%2Fhush@h/t"
    for wrong in ('[page]\ntoken = "hush"', '[page]\nhost = "::"\ntoken = "hush"'):
        said = complaint(read, wrong)
        assert "hush" not in said
        assert said.count("token") == 1


# Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("line 1/station.toml", "line-1"),
        ("x/press_4.toml", "press_4"),
        ("x/äöü.toml", "station"),
        ("line-2", "line-2"),
        ("line-2/station", "line-2"),
    ],
)
def test_names_of_stations(path, name, tmp_path):
    assert station_name(tmp_path / path) == name
