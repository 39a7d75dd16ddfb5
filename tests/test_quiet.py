"""Native chatter is dropped from standard error; whatever else is written there comes through."""

import os

import pytest

from vae_tf.quiet import quiet

CHATTER = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1.2   10 port.cc:153] oneDNN custom operations are on.\n"
    b"fully_quantize: 0, inference_type: 6, input_inference_type: FLOAT32\n"
)
NEWS = b"E0000 00:00:1.2   10 file.cc:1] no space left\nsomething unforeseen\n"


def test_only_chatter_is_dropped(capfd):
    with quiet():
        os.write(2, CHATTER + NEWS)
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == NEWS.decode()
    os.write(2, CHATTER)
    assert capfd.readouterr().err == CHATTER.decode()


def test_everything_is_shown_where_it_fails(capfd):
    with pytest.raises(ValueError, match="no graph"), quiet():
        os.write(2, CHATTER + NEWS)
        raise ValueError("no graph")
    assert capfd.readouterr().err == (CHATTER + NEWS).decode()
