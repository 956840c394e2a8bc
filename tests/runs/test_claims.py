"""Every printed number has an answer, and every command in it can be asked for."""

import shlex
from functools import cache

import pytest
from tiny_project import REPOSITORY

from vidssl.runs import tables
from vidssl.runs.claims import NO_TARGET, OTHER_METHOD, claims
from vidssl.runs.graph import load


@cache
def found():
    return claims(project=REPOSITORY)


def test_no_printed_number_is_left_out():
    printed = [row for key in tables.papers() for row in tables.printed_rows(key)]
    assert [claim.printed for claim in found()] == [row["paper"] for row in printed]
    assert all(claim.source for claim in found())


def test_each_has_a_command_or_a_reason():
    answers = {claim.answer for claim in found() if not claim.answer.startswith("vidssl run ")}
    assert answers <= {OTHER_METHOD}, f"{NO_TARGET}: a hole in the parameter files"


@pytest.mark.parametrize("row", ["MoSI", "MotionFit", "TimeBalance"])
def test_the_methods_of_the_papers_are_never_only_quoted(row):
    own = [claim for claim in found() if claim.place.row == row]
    assert own
    assert all(claim.answer.startswith("vidssl run ") for claim in own)
    assert any(claim.ours for claim in own)


def test_every_command_names_a_target_whose_runs_are_known():
    commands = {claim.answer for claim in found() if claim.answer.startswith("vidssl run ")}
    asked = {tuple(shlex.split(command)[2::2]) for command in commands}
    assert len(asked) > 15
    for scale in sorted({scale for _, scale in asked}):
        graph = load(scale, {"dry_run": True}, REPOSITORY)
        for target in sorted({target for target, where in asked if where == scale}):
            assert graph.behind(target), f"{target} at {scale}"
