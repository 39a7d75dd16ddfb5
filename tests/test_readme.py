"""What the README says is so: its commands exist, its links lead somewhere, its Python runs."""

import argparse
import importlib
import re
import shlex
import shutil

import pytest
from conftest import ROOT

from export import web

READMES = {path: (ROOT / path).read_text() for path in ("README.md", "edge/README.md")}
README = READMES["README.md"]
ALL = "\n".join(READMES.values())
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", ALL, re.S))
COMMANDS = sorted(
    (module, re.split(r"[#|>]", arguments)[0].strip())
    for module, arguments in re.findall(r"python -m (vae_tf|edge|export)\b(.*)", SHELL)
)


def parser_of(module: str) -> argparse.ArgumentParser:
    return importlib.import_module(f"{module}.__main__")._parser()


def subcommands(module: str) -> set[str]:
    actions = parser_of(module)._subparsers._group_actions
    return set(actions[0].choices)


@pytest.mark.parametrize(("module", "arguments"), COMMANDS)
def test_commands_are_understood(module, arguments):
    words = shlex.split(arguments.replace("…", ""))
    if (module, words[0]) == ("export", "web"):
        web.parser().parse_args(words[1:])
    else:
        parser_of(module).parse_args(words)


@pytest.mark.parametrize("module", ["vae_tf", "edge"])
def test_every_command_is_mentioned(module):
    for name in subcommands(module):
        assert f"python -m {module} {name}" in ALL, name


@pytest.mark.parametrize("path", READMES)
def test_links_lead_somewhere(path):
    text = READMES[path]
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    headings = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in HEADING.findall(text)}
    for link in links:
        file, _, heading = link.partition("#")
        assert (ROOT / path).parent.joinpath(file).exists() if file else heading in headings, link


def test_the_two_commands_of_the_beginning():
    for command in ("python -m vae_tf demo", "python -m pytest"):
        assert f"pip install -r requirements.txt && {command}" in README


def test_python_on_the_device(bundle, pictures, tmp_path, monkeypatch, capsys):
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", README, re.S) if "Runner" in c]
    shutil.copytree(bundle, tmp_path / "bundle")
    shutil.copy(next(pictures.glob("test/good/*.png")), tmp_path / "part.jpg")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.split()[0] in ("pass", "warn", "fail")


def test_python_in_training(monkeypatch, pictures):
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", README, re.S) if "vae.fit" in c]
    code = re.sub("^  ", "", code, flags=re.M).replace("epochs=10", "epochs=1")
    names: dict = {}
    exec(code.replace('"surfaces"', repr(str(pictures))), names)
    assert names["vae"].sample(2).shape == (2, *names["splits"].spec.shape)
