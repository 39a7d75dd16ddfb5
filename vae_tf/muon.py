"""The optimiser of restoring VAEs: marks synthetic defects as well as Adam in fewer steps."""

from __future__ import annotations

import math

import keras
from keras import ops

_ADAM = 0.9, 0.999, 1e-7
# Five times this polynomial bring singular values from (0.001, 1] to about 1 (Jordan et al. 2024).
_POLYNOMIAL = 3.4445, -4.7750, 2.0315
_TIMES = 5
_RMS = 0.2  # of a step's entries over the learning rate: that of Adam's (Liu et al. 2025)


@keras.saving.register_keras_serializable(package="vae_tf")
class Muon(keras.optimizers.Optimizer):
    """Momentum made orthogonal for matrices and kernels, Adam for what is left.

    A step of a matrix is its momentum with all singular values set to about one, so that what few
    pictures show moves the weights as far as what all show (Muon: Jordan et al. 2024). Kernels are
    taken as matrices of what goes in by what comes out. Keras' own takes no kernels.

    Args:
        learning_rate: a number or a `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: of matrices and kernels, in [0, 1).
        kwargs: as for `keras.optimizers.Optimizer`.
    """

    def __init__(self, learning_rate=3e-3, momentum=0.95, name="muon", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}")
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._firsts, self._seconds = [], []
        for variable in variables:
            add = self.add_variable_from_reference
            self._firsts.append(add(variable, name="momentum"))
            self._seconds.append(None if _is_matrix(variable) else add(variable, name="velocity"))

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        first, second = self._firsts[index], self._seconds[index]
        if second is None:
            step = self._matrix_step(gradient, first)
        else:
            step = self._adam_step(gradient, first, second)
        self.assign_sub(variable, rate * step)

    def _matrix_step(self, gradient, first):
        self.assign(first, self.momentum * first + (1.0 - self.momentum) * gradient)
        ahead = self.momentum * first + (1.0 - self.momentum) * gradient  # Nesterov's
        outputs = gradient.shape[-1]
        inputs = math.prod(gradient.shape[:-1])
        step = orthogonal(ops.reshape(ahead, (inputs, outputs)))
        return _RMS * math.sqrt(max(inputs, outputs)) * ops.reshape(step, gradient.shape)

    def _adam_step(self, gradient, first, second):
        fast, slow, epsilon = _ADAM
        time = ops.cast(self.iterations + 1, gradient.dtype)
        self.assign(first, fast * first + (1.0 - fast) * gradient)
        self.assign(second, slow * second + (1.0 - slow) * ops.square(gradient))
        unbiased = ops.sqrt(1.0 - ops.power(slow, time)) / (1.0 - ops.power(fast, time))
        return unbiased * first / (ops.sqrt(second) + epsilon)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


def orthogonal(matrix):
    """A matrix (m, n) with all singular values at about one, by the Newton-Schulz iteration.

    Values below a thousandth of the length of all stay smaller.
    """
    a, b, c = _POLYNOMIAL
    wide = matrix.shape[0] < matrix.shape[1]
    x = ops.transpose(matrix) if wide else matrix
    x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
    # Every iterate is x times a polynomial in the Gram matrix, so all but the ends is of that size.
    gram = ops.matmul(ops.transpose(x), x)
    product = unit = ops.eye(gram.shape[0])
    for time in range(_TIMES):
        factor = a * unit + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(product, factor) if time else factor
        if time < _TIMES - 1:
            gram = ops.matmul(ops.matmul(gram, factor), factor)  # they commute
    x = ops.matmul(x, product)
    return ops.transpose(x) if wide else x


def _is_matrix(variable) -> bool:
    return len(variable.shape) >= 2 and min(math.prod(variable.shape[:-1]), variable.shape[-1]) > 1
