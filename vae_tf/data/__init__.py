"""Pictures in, `Splits` out: folders, TFDS sets, .npz files and the built-in `surfaces`."""

from vae_tf.data.duplicates import DuplicateReport
from vae_tf.data.load import load_data, load_test
from vae_tf.data.pictures import Pictures
from vae_tf.data.splits import Splits
from vae_tf.errors import DataError

__all__ = ["DataError", "DuplicateReport", "Pictures", "Splits", "load_data", "load_test"]
