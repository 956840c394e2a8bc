"""``vidssl ...``: a thin command line over `vidssl.runs` and Snakemake."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vidssl import runs
from vidssl.core import counted, did_you_mean, one_of
from vidssl.files import drop_output
from vidssl.runs import listing
from vidssl.runs.execute import STALL_LIMIT

if TYPE_CHECKING:
    from vidssl.data.per_video import Outcome

REFUSALS = (ValueError, OSError, runs.RunFailed, runs.RunLocked)
MINI_SIDE = 40  # short_side of the notebooks

READER_LEFT = 141  # 128 + SIGPIPE, as a shell reports other programs that `head` has cut off


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 when it did what it was asked."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a sign that the terminal cannot show is no fault
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            arguments, given = _lift_parameters(sys.argv[1:] if arguments is None else arguments)
            args = _parser().parse_args(arguments)
            args.parameters = given
            return _obey(args)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        return READER_LEFT


def _obey(args: argparse.Namespace) -> int:
    try:
        return args.command(args)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt as stop:
        print(f"vidssl: {str(stop) or 'stopped'}", file=sys.stderr, flush=True)
        return 130
    except REFUSALS as error:
        print(f"vidssl: {error}", file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest word that it knows."""

    def parse_known_args(self, args=None, namespace=None):
        known_args, rest = super().parse_known_args(args, namespace)
        if rest:
            word = rest[0].partition("=")[0]
            if not word.startswith("-"):
                self.error(f"{rest[0]!r}: one word too many")
            known = [option for option in self._option_string_actions if option.startswith("--")]
            self.error(f"{word} is unknown{did_you_mean(word, known)}")
        return known_args, rest

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            hint = did_you_mean(str(value), list(action.choices))
            raise argparse.ArgumentError(action, f"{value!r} is unknown{hint}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vidssl",
        description="Run and trace the workbook.",
        epilog="`vidssl COMMAND --help` explains one.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _notebook_commands(commands)
    _data_commands(commands)
    _record_commands(commands)
    _command(commands, "pair", _pair, "bring the .ipynb of every notebook in line with its .py")
    doctor = _command(commands, "doctor", _doctor, "check this machine, or time a training on it")
    doctor.add_argument("--speed", metavar="PAGE", help="time this page's training: what limits it")
    _option(doctor, "--scale", default="mini", about="with --speed: parameter file")
    _takes_parameters(doctor)
    plan = _command(commands, "plan", _plan, "say how long a target takes, as far as measured")
    plan.add_argument("target", help="what to make; `vidssl run` lists them")
    _option(plan, "--scale", default="mini", about="parameter file")
    return parser


def _notebook_commands(commands) -> None:
    run = _command(commands, "run", _run, "make a table or figure with all it needs")
    run.add_argument("target", nargs="?", help="what to make; left out, lists the targets")
    run.add_argument("--scale", help="parameter file (default: the target's own, else mini)")
    run.add_argument("-j", "--jobs", type=int, help="runs at once (default 1; of a cluster, many)")
    run.add_argument("--gpus", type=int, help="GPUs for all runs together (default: all; 0: none)")
    run.add_argument(
        "--gpus-per-run", type=int, metavar="N", help="of one training: -p processes N"
    )
    about = "where runs work: local, slurm, or a folder of Snakemake's settings"
    _option(run, "--profile", default="local", about=about)
    run.add_argument("-n", "--dry-run", action="store_true", help="say what would run")
    run.add_argument("--unlock", action="store_true", help="free what a killed run left locked")
    run.add_argument(
        "--runs-root",
        default="",
        help="folder of all runs (default papermill_runs; with -p one below its variants/)",
    )
    execute = _command(commands, "execute", _execute, "run one notebook in one folder")
    execute.add_argument("notebook", help="its name, such as 11_mosi_pretrain")
    execute.add_argument("folder", type=Path, help="where all its files go")
    _option(execute, "--scale", default="mini", about="parameter file")
    execute.add_argument("--after", nargs="*", default=[], help="files whose change starts it anew")
    execute.add_argument("--gpus", type=int, help="GPUs for it alone (default: what there is)")
    execute.add_argument("--cores", type=int, help="its share of the cores (default: all)")
    execute.add_argument("--once", default="", help="a name of what it makes, which is made once")
    for command in (run, execute):
        about = "that share a GPU at a time, where one leaves most of it idle"
        _option(command, "--runs-per-gpu", default=1, about=about, metavar="N")
        minutes = {"metavar": "MINUTES"}
        about = "that a cell may take, 0: any time"
        _option(command, "--cell-limit", default=0.0, about=about, **minutes)
        about = "without a sign of life after which a run is stopped, 0: never"
        _option(command, "--stall-limit", default=STALL_LIMIT, about=about, **minutes)
        _takes_parameters(command)


def _option(command, *names: str, default: str | float, about: str, **more) -> None:
    """Add an option whose help ends with its default, which says its type, too."""
    about = f"{about} (default {str(default).removesuffix('.0')})"
    command.add_argument(*names, default=default, type=type(default), help=about, **more)


def _takes_parameters(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-p",
        nargs=2,
        action="append",
        metavar=("NAME", "VALUE"),
        help="a parameter, as often as needed; texts are taken as they are, lists as YAML; "
        "NAME.KEY sets one entry of a dictionary, such as dataset_options.test_groups",
    )


def _data_commands(commands) -> None:
    data = _command(commands, "data", _data, "make the embedded data of a scale")
    _option(data, "scale", nargs="?", default="mini", about="parameter file")
    _option(data, "--data-seed", default=0, about="draws other videos")
    stills = _command(commands, "stills", _stills, "make a folder of still images")
    stills.add_argument("source", help="photographs or dead_leaves")
    _option(stills, "--count", default=64, about="images")
    for command in (data, stills):
        command.add_argument(
            "--runs-root", default="", help="makes it in ROOT/data (default papermill_runs/data)"
        )
    prepare = _command(commands, "prepare", _prepare, "copy videos small and quick to read")
    prepare.add_argument("root", help="folder of the videos, in any layout")
    prepare.add_argument("folder", nargs="?", help="where the copies go, under the same names")
    prepare.add_argument(
        "--frames",
        action="store_true",
        help="keep decoded frames for the runs instead of copies; needs no folder",
    )
    sides = f"pixels (default 128; of frames {MINI_SIDE}, as the mini scale)"
    prepare.add_argument("--short-side", type=int, help=sides)
    _option(prepare, "--gb", default=4.0, about="of frames at most")
    flow = _command(commands, "flow", _flow, "compute the optical flow of videos, in shards")
    flow.add_argument("root", help="folder of the videos, in any layout")
    flow.add_argument("folder", help="where the flow goes, under the same names and .npz")
    about = "reference, fast, torch, dis or farneback"
    _option(flow, "--method", default="fast", about=about)
    _option(flow, "--short-side", default=128, about="pixels")
    for command in (prepare, flow):
        _option(command, "-j", "--jobs", default=2, about="videos at once")
        about = "I/N: every N-th video from the I-th on; 1/1: all"
        _option(command, "--shard", default="1/1", about=about)
        about = "a file to leave at the end; videos that cannot be read then are no failure"
        command.add_argument("--made", type=Path, metavar="FILE", help=about)


def _record_commands(commands) -> None:
    listed = _command(commands, "runs", _runs, "list runs, their states and numbers")
    listed.add_argument("--method", default="", help="only of mosi, motionfit, timebalance, ...")
    listed.add_argument("--target", default="", help="only of a notebook, or behind a target")
    listed.add_argument("--scale", default="", help="only of mini, smoke, ...")
    meanings = "; ".join(f"{state}: {meaning}" for state, meaning in listing.STATES.items())
    listed.add_argument("--state", default="", help=meanings)
    listed.add_argument("--all", action="store_true", help="every line (default: one screen)")
    listed.add_argument("--json", action="store_true", help="every record, as one JSON list")
    listed.add_argument(
        "--runs-root", default="", help="folder of all runs (default papermill_runs)"
    )
    pool = _command(commands, "pool", _pool, "accuracy of the same runs over several folds")
    pool.add_argument("roots", nargs="+", help="each fold's folder of all runs (its --runs-root)")
    pool.add_argument(
        "--against", default="", metavar="ROW", help="also by how much others are ahead of this one"
    )
    trace = _command(commands, "trace", _trace, "say what made a figure and if it is current")
    trace.add_argument("figure", help="its name, or the path of one of its files")


def _command(commands, name: str, function, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def _lift_parameters(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The other words of a command, and its -p NAME VALUE: a value may begin with a dash."""
    rest, given = list(arguments), {}
    if rest[:1] in (["run"], ["execute"], ["doctor"]):
        while "-p" in rest[:-2]:
            at = rest.index("-p")
            given[rest[at + 1]] = rest[at + 2]
            del rest[at : at + 3]
    return rest, given


def _run(args: argparse.Namespace) -> int:
    project = runs.find_project()
    own_scale = args.target if args.target in runs.scale_names(project) else "mini"
    scale = args.scale or own_scale
    if args.target is None:
        known = runs.load_graph(scale, project=project).targets  # a scale's data sets add some
        print(*(f"{name:22} {target.about}" for name, target in known.items()), sep="\n")
        return 0
    return runs.run_target(
        args.target,
        project,
        scale=scale,
        given=args.parameters,
        machine=runs.Machine(**{f.name: getattr(args, f.name) for f in fields(runs.Machine)}),
        runs_root=args.runs_root,
        dry_run=args.dry_run,
        unlock=args.unlock,
    )


def _execute(args: argparse.Namespace) -> int:
    notebook = runs.notebook_path(args.notebook).stem
    given = runs.Given(args.parameters, [notebook]).of(notebook)
    options = {name: getattr(args, name) for name in runs.execute.__kwdefaults__}
    try:
        runs.execute(notebook, args.folder, given, **options)
    except KeyboardInterrupt:
        kept = any(Path(args.folder, runs.CHECKPOINTS).rglob("checkpoint.pt"))
        goes_on = (
            "goes on from its last checkpoint" if kept else "begins anew: it had no checkpoint yet"
        )
        raise KeyboardInterrupt(f"stopped; the same command {goes_on}") from None
    return 0


def _data(args: argparse.Namespace) -> int:
    one_of("scale", args.scale, runs.scale_names())
    folder = runs.embedded_data(args.scale, args.data_seed, args.runs_root)
    (folder / ".made").touch()
    print(folder)
    return 0


def _stills(args: argparse.Namespace) -> int:
    from vidssl.data.stills import make_stills

    root = Path(args.runs_root or runs.find_project() / "papermill_runs")
    folder = root / "data" / f"stills-{args.source}-{args.count}"
    make_stills(folder, source=args.source, count=args.count)
    (folder / ".made").touch()
    print(folder)
    return 0


def _prepare(args: argparse.Namespace) -> int:
    if args.frames:
        return _prepare_frames(args)
    if args.folder is None:
        raise ValueError("folder is missing: say where the copies go, or ask for --frames")
    from vidssl.data.prepare import prepare

    side = 128 if args.short_side is None else args.short_side
    shard = _shard(args.shard)
    done = prepare(args.root, args.folder, short_side=side, shard=shard, workers=args.jobs)
    return _made(args, done)


def _prepare_frames(args: argparse.Namespace) -> int:
    if args.folder is not None or args.shard != "1/1":
        raise ValueError(
            "--frames takes no folder and no shard: runs look for frames in one place, and the "
            "environment's VIDSSL_FRAMES names another"
        )
    from vidssl.runs.inputs import prepare_frames

    side = MINI_SIDE if args.short_side is None else args.short_side
    done = prepare_frames(args.root, side, args.gb, workers=args.jobs)
    print(done, *(f"  {path}: {reason}" for path, reason in done.failed.items()), sep="\n")
    return int(bool(done.failed or done.trouble))


def _flow(args: argparse.Namespace) -> int:
    from vidssl.motion.extract import extract_flow

    done = extract_flow(
        args.root,
        args.folder,
        method=args.method,
        short_side=args.short_side,
        shard=_shard(args.shard),
        workers=args.jobs,
    )
    return _made(args, done)


def _shard(text: str) -> tuple[int, int]:
    shard = re.fullmatch(r"(\d+)/(\d+)", text)
    if shard is None:
        raise ValueError(f"shard={text!r} must be I/N, for example 3/8")
    return int(shard[1]), int(shard[2])


def _made(args: argparse.Namespace, done: Outcome) -> int:
    print(done)
    if args.made:
        args.made.touch()
    return int(bool(done.failed) and not args.made)


def _runs(args: argparse.Namespace) -> int:
    project = runs.find_project()
    root = Path(args.runs_root or project / "papermill_runs")
    words = {name: getattr(args, name) for name in ("method", "target", "scale", "state")}
    screen = shutil.get_terminal_size()
    listed = listing.list_runs(root, project, **words)
    every = args.all or args.json
    lines = len(listed.runs) if every else max(1, screen.lines - listing.FRAME)
    shown = listing.with_states(listed.runs[:lines], project)
    if args.json:
        print(listing.as_json(shown))
    else:
        width = screen.columns if sys.stdout.isatty() else None
        print(*(line[:width] for line in listing.as_lines(shown)), sep="\n")
        print(listing.summary(listed, len(shown)) + listing.told_apart(root, project))
    print(*listed.unreadable, sep="\n", end="\n" * bool(listed.unreadable), file=sys.stderr)
    return 0


def _pool(args: argparse.Namespace) -> int:
    from vidssl.evaluation import proportion_ci95, with_interval
    from vidssl.runs.folds import ahead_of, the_one_with

    if not all(args.roots):
        raise ValueError("roots holds an empty text: name each fold's folder of all runs")
    pooled, caveats = runs.pool_folds(args.roots)
    other = the_one_with(pooled, args.against) if args.against else None
    for row in pooled:
        low, high = proportion_ci95(row.right, row.videos)
        line = (
            f"{row.run:44} {row.metric:30} {row.right / row.videos:6.1%}  [{low:.1%}, {high:.1%}]  "
            f"{row.right} of {row.videos} videos, {counted(len(row.folds), 'fold')}"
        )
        if other and row != other and (ahead := ahead_of(row, other)):
            by = with_interval(100 * ahead.mean, 100 * ahead.ci95, "+.1f")
            line += f"  ahead by {by}, p {ahead.p:.3f}"
        print(line)
    if other:
        print(
            f"ahead by: points before {other.name}, 95 % interval over folds; p: of swapping the "
            "two in whole folds, to go by where few videos differ"
        )
    print(*caveats, sep="\n", end="\n" * bool(caveats))
    return 0


def _trace(args: argparse.Namespace) -> int:
    print(*runs.trace(args.figure), sep="\n")
    return 0


def _pair(args: argparse.Namespace) -> int:
    runs.fill_map()
    changed = runs.write_pairs()
    print(*([f"wrote {path.name}" for path in changed] or ["all pairs agree"]), sep="\n")
    return 0


def _plan(args: argparse.Namespace) -> int:
    from vidssl.runs.speed import plan

    one_of("scale", args.scale, runs.scale_names())
    print(*plan(args.target, args.scale), sep="\n")
    return 0


def _speed(page: str, scale: str, given: dict[str, str]) -> int:
    from vidssl.runs.speed import keep, measure

    stem = runs.notebook_path(page).stem
    speed = measure(stem, scale, runs.Given(given, [stem]).of(stem))
    print(speed)
    if given:
        print("not kept: it is that of other parameters than the scale's")
    else:
        print(f"kept in {keep(speed)}; `vidssl plan` counts with it")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    if args.speed:
        return _speed(args.speed, args.scale, args.parameters)
    from vidssl.runs.doctor import report

    findings = report()
    print(*findings, sep="\n")
    return int(any(finding.fatal and not finding.ok for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
