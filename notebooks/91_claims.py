# %% [markdown]
# # What the papers claim, number by number
#
# **Question.** Of every number that the three papers print, which has a run here, which has a command
# that would make one, and which is only quoted?
#
# Printed numbers are of UCF101, HMDB51 and Kinetics at the papers' size. Ours are of the embedded
# videos at mini scale: beside each other they say whether the order of the rows is the same, never
# that a size was reproduced. No number of a paper's own scale has been run yet.
#
# | | |
# | --- | --- |
# | needs | records, as the repository holds them |
# | takes | 20 s |
# | gives | `claims.csv`: a line for each printed number |

# %% tags=["parameters"]
scale = "mini"  # whose records stand beside the printed numbers
run_folder = ""
records = ""  # folder of records; empty: the project's

# %%
from vidssl import runs

run = runs.start("91_claims", globals())

# %% [markdown]
# ## Every printed number
#
# From one file of the project, `vidssl/runs/papers.yaml`, with the paper and the table of each. *answer*
# is the command that makes the cell at the papers' scale; alone, `vidssl run TARGET --scale S -n` shows
# what it would run, and *ours at that scale* which network is judged on which clips: V is RGB, F flow.
# Columns before *printed* are the paper's own; its marks and what else must be known stand under *note*.
# Ours stand only beside tables that quote the number, in the column of that name. A row of another method
# is quoted, and says so.

# %%
from pathlib import Path

import pandas as pd

from vidssl.runs.claims import claims

found = claims(scale, Path(records) if records else None)


def in_words(ran):
    """What a command's networks see: "r3d_18, V, 8 frames, 112 px"."""
    told = [ran.get("backbone", ""), ran.get("input", "")]
    told += [
        f"{ran[name]} {unit}" for name, unit in (("frames", "frames"), ("pixels", "px")) if ran
    ]
    return ", ".join(filter(None, told))


beside = dict.fromkeys(name for claim in found for name in claim.about if name != "note")
table = pd.DataFrame(
    {
        "source": claim.source,
        "data": claim.place.dataset,
        "row": claim.place.row,
        "column": claim.place.column,
        "metric": claim.place.metric.replace("_", " "),
        **{name: claim.about.get(name, "") for name in beside},
        "printed": round(100 * claim.printed, 2),
        f"ours, {scale}": claim.ours,
        "answer": claim.answer,
        "ours at that scale": in_words(claim.ran_with),
        "note": claim.about.get("note", ""),
    }
    for claim in found
)
table.to_csv(run.folder / "claims.csv", index=False)
print(
    f"{len(table)} printed numbers; {(table[f'ours, {scale}'] != '').sum()} have ours beside them"
)

# %% [markdown]
# ## MoSI

# %%
import re

from IPython.display import HTML


def of_paper(name):
    """The lines of one paper, all of them, on a page that scrolls; only notes are broken."""
    shown = table[table["source"].str.startswith(name)]
    shown = shown.loc[:, (shown != "").any()]
    html = shown.to_html(index=False, border=0, justify="left")
    html = html.replace("<td>", '<td style="text-align: left; white-space: nowrap">')
    if "note" in shown:  # the last column
        loose = '<td style="text-align: left; min-width: 20em">'
        html = re.sub(r"<td [^>]*>(?=[^<]*</td>\s*</tr>)", loose, html)
    return HTML(f'<div style="max-height: 30em; overflow: auto">{html}</div>')


of_paper("MoSI")

# %% [markdown]
# Pretraining is ahead of none over all numbers of labels together, on classes of motion; column by column
# it is open. One axis or both is open, too. Speeds and frames were dropped at mini scale, since three
# seeds cannot see what they ask; masks and still images have not been run on this version of the data.
#
# ## MotionFit

# %%
of_paper("MotionFit")

# %% [markdown]
# Motion ahead of appearance stands in both columns; what granularity and the number of clusters are
# worth is open at mini scale.
#
# ## TimeBalance

# %%
of_paper("TimeBalance")

# %% [markdown]
# Most lines are rivals'. Of ours, whether the weighting by temporal similarity beats a plain average is
# open at mini scale (`34_timebalance_tables`).
#
# ## Figures and sentences
#
# What the papers show or say beside numbers, and the command that makes ours. Pictures of videos that
# the project did not make stay in the run's folder.

# %%
from vidssl.runs.claims import SHOWN

shown = pd.DataFrame({"paper": SHOWN.keys(), "ours": SHOWN.values()})
html = shown.to_html(index=False, border=0, justify="left")
HTML(html.replace("<td>", '<td style="text-align: left">'))

# %% [markdown]
# ## What each number needs

# %%
kinds = table["answer"].where(
    ~table["answer"].str.startswith("vidssl run"), "a command at paper scale"
)
kinds.groupby([table["source"].str.split(",").str[0], kinds]).size().unstack(fill_value=0)

# %% [markdown]
# A line without a command would be a hole in the parameter files.

# %%
without = int((table["answer"] == "no target at this setting yet").sum())
run.finish(
    {
        "printed": len(table),
        "with_ours": int((table[f"ours, {scale}"] != "").sum()),
        "without_target": without,
    },
    expectations=[runs.Expectation("every number of these methods has a command", 0.5, without)],
)

# %% [markdown]
# ## What to try next
#
# - `vidssl run mosi_baseline --scale paper -n`: what table 1 of MoSI would take.
# - `scale = "smoke"`: the same lines, beside the records of a scale of your own.
# - another paper's table: an entry in `papers.yaml`, and a table that quotes it.
