"""From a config to the untrained model that it asks for, and to what changes while it trains."""

from __future__ import annotations

import keras
import numpy as np

from edge.manifest import SequenceSpec
from edge.preprocess import InputSpec
from vae_tf import family
from vae_tf.augment import Augmentation, suggest
from vae_tf.config import Config
from vae_tf.data import Pictures
from vae_tf.likelihoods import resolve_likelihood
from vae_tf.restoring import RestoringVAE
from vae_tf.schedules import CapacityRise, CyclicalAnnealing, WarmUp
from vae_tf.vae import VAE

_DROPOUT, _FEW = 0.1, 500  # in the head, where there are at most so many pictures


def built(config: Config, splits, shape, good: Pictures, say) -> VAE:
    """The untrained model that a config asks for."""
    arguments = _common(config)
    if config.objective == "restore":
        chosen, dropout = _augmentation(config, good, say), head_dropout(len(good))
        return RestoringVAE.for_pictures(
            shape,
            augmentation=chosen,
            noise=config.camera_noise / 255.0,
            dropout=dropout,
            **arguments,
        )
    if config.model == "vae":
        return VAE.for_pictures(shape, **arguments)
    if config.model == "conditional":
        return family.ConditionalVAE.for_pictures(shape, len(splits.class_names), **arguments)
    if config.model == "denoising":
        return family.DenoisingVAE.for_pictures(shape, damage=config.damage, **arguments)
    if config.model == "ladder":
        return family.LadderVAE.for_pictures(shape, **arguments)
    if config.model == "recurrent":
        offset, scale = np.nanmean(good.images, (0, 1)), np.nanstd(good.images, (0, 1))
        scale = np.where(scale > 0, scale, 1.0)  # a feature that never changes
        return family.RecurrentVAE.for_sequences(*shape, offset=offset, scale=scale, **arguments)
    if config.model == "adversarial":
        del arguments["free_bits"], arguments["capacity"]
        return family.AdversarialAutoencoder.for_pictures(shape, **arguments)
    for name in ("beta", "free_bits", "capacity"):
        del arguments[name]
    return family.ImportanceWeightedVAE.for_pictures(shape, samples=config.samples, **arguments)


def head_dropout(pictures: int) -> float:
    """Where pictures are few, each comes back often, and must not be learnt by heart."""
    return _DROPOUT * min(1.0, (_FEW / pictures) ** 0.5)


def _common(config: Config) -> dict:
    return {
        "latent_dim": config.latent_dim,
        "likelihood": resolve_likelihood(config.likelihood, config.sigma),
        "beta": config.beta,
        "free_bits": config.free_bits,
        "capacity": config.capacity,
        "seed": config.seed,
    }


def _augmentation(config: Config, good: Pictures, say) -> Augmentation:
    auto = config.augmentation == "auto"
    chosen = suggest(good) if auto else Augmentation.parse(config.augmentation)
    say(f"augmentation {chosen}{', told by the good pictures' if auto else ''}")
    return chosen


def schedules(config: Config, steps: int) -> list[keras.callbacks.Callback]:
    """steps: of the whole training."""
    if config.cycles:
        return [CyclicalAnnealing(steps, min(config.cycles, steps), beta=config.beta)]
    if config.warm_up and config.capacity is not None:
        return [CapacityRise(config.warm_up, config.capacity)]
    return [WarmUp(config.warm_up, config.beta)] if config.warm_up else []


def model_shape(config: Config, spec: InputSpec | SequenceSpec) -> tuple[int, ...]:
    """What the model takes: (H, W, C), the picture or a tile of it, or (T, F)."""
    if isinstance(spec, SequenceSpec):
        return spec.steps, spec.features
    tile = config.data.tile or max(spec.height, spec.width)
    return min(tile, spec.height), min(tile, spec.width), spec.channels
