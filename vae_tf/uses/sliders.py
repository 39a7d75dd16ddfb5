"""Sliders in a notebook, one a latent, that decode live. ipywidgets, as Colab has them.

    vae_tf.explore("RUN")

Each move decodes a single code. Latents are ordered by KL: the first change the most, and those
that do nothing are left out.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from edge.heatmap import png_bytes
from vae_tf.errors import ArgumentError
from vae_tf.run import Run, make_folder
from vae_tf.uses import codes, sheet
from vae_tf.uses.interpolate import code_path
from vae_tf.uses.mixture import LatentMixture
from vae_tf.uses.subject import Subject

MOST = 16  # sliders at once; more fit no screen
REACH = 3.5  # standard deviations of the prior to either side
_IDLE = 0.01  # nats, below which a latent does nothing
_SIDE = 336  # pixels of the picture on the screen


def explore(run, most: int = MOST, save_to="designs") -> Explorer:
    """A panel of sliders to display, as a notebook does with what a cell ends in.

    run: a run directory, a `Run`, or a `VAE` (whose latents then keep their order, and random codes
        come from the prior). most: sliders at most. save_to: folder for what is saved.
    Raises: RunError where there is no trained run; ArgumentError where ipywidgets is not installed.
    """
    if isinstance(run, (str, os.PathLike)):
        run = Run.open(run)
    if not isinstance(run, Run):
        return Explorer(run, most=most, save_to=save_to)
    subject = Subject(run)
    x, classes = subject.reference(None) if subject.vae.labels is None else subject.all_held_out()
    return Explorer(subject.vae, x, classes, subject.class_names, most, save_to)


class Explorer:
    """The panel. What its buttons do can be called as well.

    vae: any member of the family. x: (n, ...) data that tells what each latent is worth and where
        codes lie, or None. classes: (n,) of x, for a conditional model. class_names: of its labels.

    Attributes:
        z: float32 (latent,), the code that is shown. label: int or None. panel: the widgets.
    """

    def __init__(
        self, vae, x=None, classes=None, class_names=None, most: int = MOST, save_to="designs"
    ):
        if most < 1:
            raise ArgumentError(f"`most` must be 1 or more. Received: most={most}")
        self.vae, self.folder = vae, Path(save_to)
        self.label = 0 if getattr(vae, "labels", None) else None
        self._rng = np.random.default_rng()
        self._mixture, self._kl = None, np.ones(vae.latent_dim)
        if x is not None and len(x):
            self._kl = codes.latent_kl(vae, x, classes)
            if len(x) > vae.latent_dim:
                self._mixture = LatentMixture.of(vae, x, classes, components=10)
        order = np.argsort(-self._kl, kind="stable")
        self.latents = [int(i) for i in order[:most] if self._kl[i] > _IDLE] or [int(order[0])]
        self.z = np.zeros(vae.latent_dim, np.float32)
        self._ends = [self.z.copy(), self.z.copy()]
        self._busy = False
        self._build(class_names)
        self._show()

    def picture(self) -> np.ndarray:
        """What z decodes to, uint8 (H, W, 3), enlarged."""
        return sheet.tiles(codes.decode(self.vae, self.z[None], self.label), side=_SIDE)[0]

    def go(self, z) -> None:
        """Shows another code. z: (latent,)."""
        z = np.asarray(z, np.float32)
        if z.shape != self.z.shape:
            raise ArgumentError(f"`z` must have shape {self.z.shape}. Received: z of {z.shape}")
        self.z = z.copy()
        self._busy = True  # the sliders follow, and need not answer
        for latent, slider in zip(self.latents, self.sliders, strict=True):
            slider.value = float(np.clip(z[latent], -REACH, REACH))
        self._busy = False
        self._show()

    def random(self, seed=None) -> None:
        """A new design, from where codes of data lie where that is known, else from the prior."""
        rng = self._rng if seed is None else np.random.default_rng(seed)
        if self._mixture is not None:
            return self.go(self._mixture.sample(1, rng, label=self.label)[0])
        return self.go(rng.standard_normal(len(self.z)))

    def keep(self, end: int) -> None:
        """Keeps what is shown as the beginning (0) or the end (1) of the morph."""
        self._ends[end] = self.z.copy()
        self._morph_slider.value = float(end)

    def morph(self, share: float) -> None:
        """Shows what lies at a share, 0 to 1, of the way between the two kept designs."""
        steps = 101
        start, end = self._ends
        self.go(code_path(start, end, steps, "spherical")[round(share * (steps - 1))])

    def save(self) -> Path:
        """Writes picture and code to the folder; returns the picture's path."""
        make_folder(self.folder)
        taken = {path.stem for path in self.folder.glob("*.png")}
        name = next(f"{i:03d}" for i in range(1, 10**6) if f"{i:03d}" not in taken)
        sheet.save_png(self.folder / f"{name}.png", self.picture())
        np.save(self.folder / f"{name}.npy", self.z)
        return self.folder / f"{name}.png"

    def _build(self, class_names) -> None:
        widgets = _widgets()
        narrow = {"layout": widgets.Layout(width="auto")}
        self._image = widgets.Image(format="png", width=_SIDE, height=_SIDE)
        self._said = widgets.Label()
        self.sliders = []
        for latent in self.latents:
            slider = widgets.FloatSlider(
                value=0.0,
                min=-REACH,
                max=REACH,
                step=0.05,
                description=f"z{latent}",
                readout_format="+.1f",
                continuous_update=True,
            )
            slider.observe(lambda change, i=latent: self._moved(i, change["new"]), "value")
            self.sliders.append(slider)
        self._morph_slider = widgets.FloatSlider(
            value=0.0, min=0.0, max=1.0, step=0.01, description="A to B", readout=False
        )
        self._morph_slider.observe(lambda change: self.morph(change["new"]), "value")
        actions = {
            "random": self.random,
            "average": lambda: self.go(np.zeros_like(self.z)),
            "keep as A": lambda: self.keep(0),
            "keep as B": lambda: self.keep(1),
            "save": self._save_and_say,
        }
        buttons = []
        for words, action in actions.items():
            button = widgets.Button(description=words, **narrow)
            button.on_click(lambda _, act=action: act())
            buttons.append(button)
        shown = [self._image, widgets.HBox(buttons), self._morph_slider]
        self.classes = None
        if self.label is not None:
            names = class_names or [str(i) for i in range(self.vae.labels)]
            self.classes = widgets.Dropdown(
                options=[(name, i) for i, name in enumerate(names)], value=0, description="class"
            )
            self.classes.observe(lambda change: self._of_class(change["new"]), "value")
            shown.insert(1, self.classes)
        left = widgets.VBox([*shown, self._said])
        self.panel = widgets.HBox([left, widgets.VBox(self.sliders)])

    def _moved(self, latent: int, value: float) -> None:
        if not self._busy:
            self.z[latent] = value
            self._show()

    def _of_class(self, label: int) -> None:
        self.label = label
        self._show()

    def _save_and_say(self) -> None:
        self._said.value = f"saved {self.save()}"

    def _show(self) -> None:
        self._image.value = png_bytes(self.picture())

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.panel)


def _widgets():
    try:
        import ipywidgets
    except ImportError:
        raise ArgumentError(
            "sliders need ipywidgets, which is not installed: pip install ipywidgets"
        ) from None
    return ipywidgets
