"""How many threads a step works with: all of them in the encoder, one in a small recurrent head.

A head computes one small product after the other.  Threads that wait for each other at each of them
make a step of it 2 to 4 × slower than one thread alone does (they sleep while they wait, because
threads that spin would take the cores from the processes that make clips).
"""

import torch
from torch import Tensor, nn

from seqvision.models.classifier import Classifier
from seqvision.models.heads import RecurrentHead

# Products of one step of time, from which on two threads were faster than one: between 14 and 36
# million on the processors that were tried.
_WORTH_SHARING = 16_000_000


def one_for_the_head(model: Classifier, clips: int) -> bool:
    """Let a small recurrent head work on one thread, whenever the model is called from now on.

    Args:
        model: on a processor; a model on another device is left as it is.
        clips: of one step of the training.

    Returns:
        Whether its head is small enough.
    """
    threads = torch.get_num_threads()
    on_cpu = next(model.parameters()).device.type == "cpu"
    if threads == 1 or not on_cpu or not isinstance(model.head, RecurrentHead):
        return False
    if products(model.head.rnn) * clips >= _WORTH_SHARING:
        return False

    def share(*_: object) -> None:
        torch.set_num_threads(threads)

    def alone(*_: object) -> None:
        torch.set_num_threads(1)

    def share_on_the_way_back(_: nn.Module, __: object, features: Tensor) -> None:
        if features.requires_grad:
            features.register_hook(share)  # type: ignore[no-untyped-call]

    model.head.register_forward_pre_hook(alone)
    # The loss and the head's way back follow on the same thread; then comes the encoder's.
    model.encoder.register_forward_pre_hook(share)
    model.encoder.register_forward_hook(share_on_the_way_back)
    return True


def products(rnn: nn.LSTM | nn.GRU) -> int:
    """Return how many products a layer computes for one step of one clip, all directions."""
    gates = 4 if isinstance(rnn, nn.LSTM) else 3
    directions = 2 if rnn.bidirectional else 1
    return directions * gates * rnn.hidden_size * (rnn.input_size + rnn.hidden_size)
