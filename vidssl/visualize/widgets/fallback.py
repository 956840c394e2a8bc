"""What stands in an output where no kernel answers: pictures instead of a widget.

A widget is not stored with its notebook. So each is preceded by an output of its own, plain HTML
with PNG pictures, that is hidden while the widget lives: by CSS, for scripts of a stored output run
in few places. It is what GitHub shows, an export read offline, and JupyterLab after a reload.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

COLOURS = 128  # of a stored picture: small, and hardly told from the full one
# Where no widget lives, its output says 'Error displaying widget: model not found'.
STYLE = """<style>
.vidssl-still figure { display: inline-block; margin: 0 10px 10px 0; max-width: 100%; }
.jp-OutputArea:has(.vidssl-live) .jp-OutputArea-child:has(.vidssl-still),
.jp-OutputArea:has(.vidssl-still):not(:has(.vidssl-live))
  .jp-OutputArea-child:has(> .jp-OutputArea-output.jupyter-widgets) { display: none; }
</style>"""


def png_of(picture: np.ndarray, *, small: bool = False) -> bytes:
    """(H, W, 3) uint8 as a PNG that is made fast, or as a small one of `COLOURS` colours."""
    buffer, image = io.BytesIO(), Image.fromarray(picture)
    if small:
        image.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "PNG", compress_level=1)  # time counts, not bytes
    return buffer.getvalue()


class WithStill:
    """A widget that is displayed as two outputs: the HTML of its ``still()``, then itself."""

    def still(self) -> str:
        """HTML that is shown instead of the widget."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        from IPython.display import display

        html = f'<div class="vidssl-still">{self.still()}</div>{STYLE}'
        display({"text/html": html, "text/plain": repr(self)}, raw=True)
        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        # its text is the first output's: an export would write it below the pictures
        data = {kind: value for kind, value in data.items() if kind != "text/plain"}
        display(data, metadata=metadata, raw=True)
