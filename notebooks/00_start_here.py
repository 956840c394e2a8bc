# %% [markdown]
# # vidssl: start here
#
# A workbook for three methods that learn from video with few labels or none. Every notebook opens
# with its question and closes with what one should see; every number in it can be moved by a
# parameter, here by hand or in a batch (`vidssl run`).
#
# | notebook | question |
# | --- | --- |
# | `01_data_and_clips` | What does a network see of a video? |
# | `02_supervised_baseline` | What do labels alone give? |
# | `10_mosi_pseudo_motion` | How does a still image teach motion? A playground. |
# | `11_mosi_pretrain` | Can a network learn to name pseudo motions? |
# | `12_mosi_transfer` | What is that worth with five labelled videos a class? |
# | `15_mosi_tables` | All runs together: low-shot accuracy with intervals |
#
# | | |
# | --- | --- |
# | input | nothing |
# | output | the state of this installation, two pictures |
# | time | 20 s at every scale |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
data_seed = 0

# %%
from vidssl import runs

run = runs.start("00_start_here", globals())

# %% [markdown]
# ## Is everything in place?

# %%
from vidssl.runs import doctor

print(*doctor.report(), sep="\n")

# %% [markdown]
# ## The embedded data
#
# No download is needed: the workbook makes its own videos, with a known truth for each: optical
# flow, the sprite's mask, segment boundaries. 16 classes in three groups, of which one video each:

# %%
from vidssl import visualize
from vidssl.data import synthetic

shown = {}
for kind in synthetic.CLASSES:
    shown.setdefault(kind.group, kind)
scenes = [
    synthetic.scene_of(f"v_{kind.name}_g10_c01", data_seed=data_seed) for kind in shown.values()
]
videos = [synthetic.render(scene) for scene in scenes]
visualize.film_strip(
    videos,
    titles=[f"{kind.name}: {group}" for group, kind in shown.items()],
    every=8,
    note="embedded data, every 8th frame",
)

# %% [markdown]
# ## What has been run
#
# Each finished run leaves a small record; figures and tables are made from records alone, so they
# are here in a fresh clone too.

# %%
folder = runs.records_folder()
records = runs.load_records(folder) if folder.is_dir() else []  # none before the first run
for record in records:
    numbers = [
        f"{name} {value:.3g}"
        for name, value in record["metrics"].items()
        if isinstance(value, float) and name.endswith("accuracy")
    ]
    print(f"{record['run']:<44} {record['seconds']:6.0f} s  {'  '.join(numbers[:3])}")
print(f"{len(records)} records")

# %% [markdown]
# ## What one should see
#
# A line a check without a problem, three moving sprites, and the list of runs (empty before the
# first). Next: `01_data_and_clips`.

# %%
assert len(shown) == 3
assert all(len(video) > 1 and video.std() > 0 for video in videos)
run.finish({"records": len(records), "classes": len(synthetic.CLASSES)})
