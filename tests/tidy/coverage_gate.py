"""Run the suite under coverage and hold it to its gates; `make cov` calls it.

Every kernel must be covered completely, branches included, by its own tests: what happens to be
run by a test of something else shows nothing about a kernel. Over everything 95 % is asked for.
Tests marked `slow` are left out: they run campaigns, which must see nodes at their own speed.

What talks over sockets or starts processes meets the machine it runs on: outside the kernels a test
that fails is run once more, and the summary names it (`RERUN`). Kernels see no machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage
from coverage.exceptions import NoDataError

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ("dag", "consensus", "market", "meshnode/core", "meshnode/routing")
KERNEL_PERCENT = 100.0
OVERALL_PERCENT = 95.0
COVERED = ("--cov", "--cov-report=")
AGAIN = ("--reruns", "1", "--reruns-delay", "1", "-raR")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate found."""

    name: str
    percent: float
    percent_min: float
    passed: bool
    """Whether the tests themselves passed."""

    @property
    def holds(self) -> bool:
        """Whether the tests passed and covered enough."""
        return self.passed and self.percent >= self.percent_min


def main(pytest_arguments: list[str]) -> int:
    """Measure, print a table, and answer 0 if every gate holds."""
    verdicts: list[Verdict] = []
    with TemporaryDirectory(prefix="meshnode-coverage-") as folder:
        data_files: list[Path] = []
        for kernel in filter(has_code, KERNELS):
            data_files.append(Path(folder) / kernel.replace("/", "."))
            passed = run_tests(data_files[-1], [f"tests/{kernel}", *pytest_arguments])
            percent = measure(kernel, data_files[-1:], [f"{kernel}/*"])
            verdicts.append(Verdict(kernel, percent, KERNEL_PERCENT, passed))
        data_files.append(Path(folder) / "rest")
        rest = [f"--ignore=tests/{kernel}" for kernel in KERNELS]
        passed = run_tests(data_files[-1], [*rest, *AGAIN, *pytest_arguments])
        percent = measure("everything", data_files, None)
        verdicts.append(Verdict("everything", percent, OVERALL_PERCENT, passed))
    print_table(verdicts)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def has_code(kernel: str) -> bool:
    """Whether a kernel holds more than its package docstring."""
    return any(path.name != "__init__.py" for path in (ROOT / kernel).rglob("*.py"))


def run_tests(data_file: Path, arguments: list[str]) -> bool:
    """Run pytest with the coverage data in `data_file`; answers whether it passed."""
    environment = {**os.environ, "COVERAGE_FILE": str(data_file), "HYPOTHESIS_PROFILE": "coverage"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *COVERED, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def measure(name: str, data_files: list[Path], include: list[str] | None) -> float:
    """Print what is not covered, and answer how many percent of lines and branches are."""
    present = [str(data_file) for data_file in data_files if data_file.exists()]
    coverage = Coverage(data_file=None, config_file=str(ROOT / "pyproject.toml"))
    if present:
        coverage.combine(present, strict=True, keep=True)
    print(f"\n-- not covered in {name}", flush=True)
    try:
        return coverage.report(include=include)
    except NoDataError:
        return 0.0


def print_table(verdicts: list[Verdict]) -> None:
    """Print one line per gate."""
    print("\ngate                 covered   asked")
    for verdict in verdicts:
        remark = "" if verdict.holds else "too low" if verdict.passed else "tests failed"
        figures = f"{verdict.percent:8.2f} {verdict.percent_min:7.2f}"
        print(f"{verdict.name:18} {figures}   {remark}".rstrip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
