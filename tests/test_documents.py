"""Every code block of the documentation runs, in order and in an empty folder: Python, YAML and console lines.

Numbers that set the length of a run are cut (`LONGEST`), nothing else is changed. A YAML block names in its first line
the file and the command that reads it; it is validated as that command does, and left in the folder. A console block
runs its ``$ gnnspin ...`` lines in this process.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

import gnnspin as gs
from gnnspin.analysis import ComparisonConfig, LocalityConfig, TrajectoryAnalysisConfig
from gnnspin.cli import main
from gnnspin.core.yaml_loader import Loader
from gnnspin.datasets.import_config import ImportConfig
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.labels import GenerateConfig
from gnnspin.learning import LearnConfig
from gnnspin.training.job import TrainJob

ROOT = Path(__file__).parents[1]

#: Largest value of each setting that only makes a run longer, better or larger.
LONGEST = {"n_steps": 40, "n_sweeps": 10, "n_samples": 8, "max_epochs": 2, "count": 2, "save_every": 10, "folds": 2}

CONFIGURATIONS = {
    "generate": GenerateConfig,
    "import": ImportConfig,
    "train": TrainJob,
    "learn": LearnConfig,
    "simulate": SimulationConfig,
    "analyze locality": LocalityConfig,
    "analyze trajectory": TrajectoryAnalysisConfig,
    "compare": ComparisonConfig,
}


def shortened(text: str) -> str:
    """The same code with the length of its runs cut."""
    names = "|".join(LONGEST)
    return re.sub(
        rf"\b({names})(\s*[=:]\s*)(\d[\d_]*)\b",
        lambda found: f"{found[1]}{found[2]}{min(LONGEST[found[1]], int(found[3]))}",
        text,
    )


class ShortPython(CodeBlockParser):
    """Python blocks with shortened runs."""

    language = "python"

    def evaluate(self, example: Example) -> None:
        """Run the block in the namespace of its document."""
        code = compile(shortened(example.parsed), f"{example.path}:{example.line}", "exec", dont_inherit=True)
        exec(code, example.namespace)


class Configuration(CodeBlockParser):
    """YAML blocks: validated by the command that their first line names, and written to the folder."""

    language = "yaml"

    def evaluate(self, example: Example) -> None:
        """Validate the block."""
        named = re.match(r"# (\S+\.yaml):\s+gnnspin (analyze \w+|\w+) ", example.parsed)
        assert named, f"{example.path}:{example.line}: the first line must be '# FILE.yaml:  gnnspin COMMAND FILE.yaml'"
        text = shortened(example.parsed)
        CONFIGURATIONS[named[2]].model_validate(yaml.load(text, Loader))
        Path(named[1]).write_text(text)


class Console(CodeBlockParser):
    """Lines ``$ gnnspin ...`` run in this process; other lines are output or other programs."""

    language = "console"

    def evaluate(self, example: Example) -> None:
        """Run the commands."""
        for line in example.parsed.splitlines():
            if line.startswith("$ gnnspin "):
                status: object = 0
                with patch.object(sys, "argv", shlex.split(line.removeprefix("$ "), comments=True)):
                    try:
                        main()
                    except SystemExit as end:
                        status = end.code
                assert not status, line


class Toml(CodeBlockParser):
    """TOML blocks: parsed."""

    language = "toml"

    def evaluate(self, example: Example) -> None:
        """Parse the block."""
        tomllib.loads(example.parsed)


SYBIL = Sybil(
    parsers=[ShortPython(), Configuration(), Console(), Toml(), SkipParser()],
    path=str(ROOT),
    patterns=["*.md", "docs/**/*.md"],
    excludes=["CHANGELOG.md"],
)


def documents() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in pages if page.name != "CHANGELOG.md" and "_build" not in page.parts)


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain_fit = gs.training.fit

    def short_fit(model, train, validation, config=None, **options):  # type: ignore[no-untyped-def]
        return plain_fit(model, train, validation, config or gs.training.TrainingConfig(max_epochs=2), **options)

    monkeypatch.setattr(gs.training, "fit", short_fit)
    document: Document = SYBIL.parse(page)
    document.namespace["gs"] = gs
    ran = 0
    for example in document.examples():
        example.evaluate()
        ran += 1
    fences = re.findall(r"^```(?:python|yaml|console|toml)$", page.read_text(encoding="utf-8"), re.M)
    assert ran >= len(fences)


def test_every_block_has_a_language_that_runs() -> None:
    for page in documents():
        for language in re.findall(r"^```(\S+)", page.read_text(), re.M):
            assert language in {"python", "yaml", "console", "toml", "text", "{toctree}", "{eval-rst}"}, page
