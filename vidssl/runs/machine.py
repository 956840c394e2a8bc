"""Where runs work and what each of them gets: cores and cards of this machine, or a cluster's.

A profile is a folder with Snakemake's own settings (``config.yaml``); one with an ``executor`` of
its own, such as Slurm's, sends the runs elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidssl.core import counted, one_of
from vidssl.runs.cards import VISIBLE, chosen_cards, cores_here
from vidssl.runs.execute import STALL_LIMIT
from vidssl.runs.graph import Job


@dataclass(frozen=True)
class Share:
    """What `Machine.share` hands on: to the graph, to Snakemake, and to all that it starts."""

    config: dict[str, Any]
    options: list[str]
    environment: dict[str, str]
    is_remote: bool


@dataclass(frozen=True)
class Machine:
    """Where runs work, and how much of it they may use.

    Args:
        profile: a name in papermill_runs/profiles, or the path of a folder.
        jobs: runs at once; None: one here, as many as the profile says on a cluster.
        gpus: cards that all runs together may use; None: all that torch sees here, as many as it
            gives on a cluster. 0: none.
        runs_per_gpu: runs that share a card of this machine at a time, for networks that leave
            most of it idle.
        gpus_per_run: cards of a training, whose page's ``processes`` becomes this number.
        cell_limit, stall_limit: minutes, see `vidssl.runs.execute`.

    Raises ValueError for what is below 1, or below 0 where there may be none.
    """

    profile: str = "local"
    jobs: int | None = None
    gpus: int | None = None
    gpus_per_run: int | None = None
    runs_per_gpu: int = 1
    cell_limit: float = 0.0
    stall_limit: float = STALL_LIMIT

    def __post_init__(self) -> None:
        least = {"jobs": 1, "gpus_per_run": 1, "runs_per_gpu": 1}
        least |= {"gpus": 0, "cell_limit": 0, "stall_limit": 0}
        for name, least_of in least.items():
            if (value := getattr(self, name)) is not None and not value >= least_of:
                raise ValueError(f"{name}={value} must be at least {least_of}")

    def share(self, project: Path, jobs: Sequence[Job]) -> Share:
        """What there is for ``jobs``. ValueError for an unknown profile, or too few cards."""
        folder, settings = _profile(self.profile, project)
        executor = settings.get("executor", "local")
        is_remote = executor != "local"
        if executor == "slurm" and not shutil.which("sbatch"):
            raise ValueError(
                f"profile={self.profile!r} sends runs to Slurm, but there is no sbatch here: type "
                "this where your cluster takes jobs, or leave --profile out"
            )
        if is_remote and self.runs_per_gpu > 1:
            raise ValueError(
                f"runs_per_gpu={self.runs_per_gpu} shares the GPUs of this machine; a cluster "
                "shares its own as its administrators set it up"
            )
        options = ["--workflow-profile", str(folder)]
        limits = f"--cell-limit {self.cell_limit:g} --stall-limit {self.stall_limit:g}"
        if is_remote:
            threads = (settings.get("default-resources") or {}).get("cpus_per_task", 1)
            options += ["--jobs", str(self.jobs)] if self.jobs else []
            options += ["--resources", f"cards={self.gpus}"] if self.gpus else []
            gpus, environment = "" if self.gpus == 0 else "slurm", {}
        else:
            cores, at_once = cores_here(), self.jobs or 1
            threads = max(1, cores // at_once)
            options += ["--cores", str(threads * at_once)]  # a rest would be another run's
            cards = self._cards(jobs)
            options += ["--resources", f"cards={len(cards) * self.runs_per_gpu}"] if cards else []
            gpus = "own" if cards else ""
            limits += f" --runs-per-gpu {self.runs_per_gpu}" if self.runs_per_gpu > 1 else ""
            environment = {VISIBLE: ",".join(cards)} if cards or self.gpus == 0 else {}
        config = {"threads": threads, "limits": limits, "gpus": gpus}
        return Share(config, options, environment, is_remote)

    def _cards(self, jobs: Sequence[Job]) -> list[str]:
        cards = chosen_cards(self.gpus)
        most = max([self.gpus_per_run or 0, *(job.gpus for job in jobs if cards)])
        if most > len(cards):
            raise ValueError(
                f"a run asks for {counted(most, 'GPU')} (--gpus-per-run, or its page's processes), "
                f"but there are {len(cards)} for it here"
            )
        return cards


def _profile(name: str, project: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a profile and its settings."""
    import yaml

    known = project / "papermill_runs" / "profiles"
    folder = Path(os.path.abspath(name))
    if os.sep not in name:
        folder = known / one_of("profile", name, sorted(path.name for path in known.iterdir()))
    path = folder / "config.yaml"
    if not path.is_file():
        raise ValueError(f"profile={name!r}: there is no {path}")
    return folder, yaml.safe_load(path.read_text(encoding="utf-8")) or {}
