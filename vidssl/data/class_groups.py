"""Which classes are told by the order of what happens, which by its repetition: for sets whose
classes we know. Those of the embedded data are drawn so, see `vidssl.data.scenes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidssl.data.scenes import CLASSES

EMBEDDED = {each.name: each.group for each in CLASSES}
# UTD-MHAD's 27 actions by what their names say. Ordered: run backwards they are another class, or
# several steps in turn; repetitive: the same movement several times; single: one movement.
UTD_MHAD = {
    "ordered": "swipe_left swipe_right draw_circle_cw draw_circle_ccw draw_x draw_triangle throw "
    "catch pickup_throw sit2stand stand2sit",
    "repetitive": "wave clap boxing arm_curl knock jog walk",
    "single": "arm_cross basketball_shoot bowling baseball_swing tennis_forehand tennis_serve push "
    "lunge squat",
}
NAMED = {name: group for group, names in UTD_MHAD.items() for name in names.split()}


def class_groups(class_names: Sequence[str]) -> list[str]:
    """The group of each class where all of them are known, else [].

    A class's number before its name does not count:

    >>> class_groups(["a01_swipe_left", "a22_jog"]), class_groups(["swipe_left", "mine"])
    (['ordered', 'repetitive'], [])
    """
    plain = [re.sub(r"^a\d+_", "", name) for name in class_names]
    for names, known in ((class_names, EMBEDDED), (plain, NAMED)):
        if names and set(names) <= set(known):
            return [known[name] for name in names]
    return []
