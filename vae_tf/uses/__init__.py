"""What a VAE is good for besides anomalies; one use a module, each for any member of the family.

    from vae_tf.uses.generate import generate
    from vae_tf.uses.interpolate import interpolate

Functions take a `VAE` and arrays and return arrays: codes are (n, latent), data (n, ...) float32 in
the likelihood's units, as `VAE.decode` gives them. `vae_tf.uses.sheet` turns data into pictures to
look at, `vae_tf.uses.commands` is the command line. What a caller gets wrong raises ArgumentError,
a ValueError of one line.
"""
