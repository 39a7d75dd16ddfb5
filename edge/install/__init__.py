"""The bundle store: a bundle arrives, is verified, tried, swapped in, and has to prove itself.

    STORE/state.json               which version is active, and how far it has proved itself
    STORE/versions/<12 digits>/    a bundle each, named by the start of its manifest's digest
    STORE/trusted_keys/*.pub       Ed25519 public keys; with any, only signed bundles are installed
    STORE/calibration.local.json   thresholds set on this device, by version
    STORE/.lock, STORE/.part-*     one change at a time; what is being unpacked

`state.json` is the one switch: everything that it names is on disk, flushed, before it says so.
The keys are those of whoever may write to the store; they guard the way there, not the folder.
"""
