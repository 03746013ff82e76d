"""One forward and backward pass, launched operation by operation or captured and replayed."""

import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cryotome.core.cards import Card
from cryotome.learners.loop.augment import make_views
from cryotome.runtime.devices import multiplies_bf16

WARMUP_STEPS = 3  # steps before a capture: libraries choose their kernels in them


def precision_of(card: Card, device: torch.device) -> torch.dtype:
    """Return what is multiplied in: the card's `precision`, or fp32 where a device has no bf16."""
    wanted = card["precision"] == "bf16" and multiplies_bf16(device)
    return torch.bfloat16 if wanted else torch.float32


def autocast_for(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return the context in which a network multiplies in this precision; weights stay fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


class Step:
    """From stored patches to the gradients of all trained weights.

    At batch 16 a GPU waits for its launches, so there the whole pass is captured once as a
    CUDA graph, after three steps of the ordinary kind, and replayed. Nothing in it waits for
    the device. The optimiser stays outside: its rates change from step to step.
    """

    def __init__(
        self,
        network: nn.Module,
        side: int,
        card: Card,
        device: torch.device,
        *,
        capture: bool = True,
    ) -> None:
        self.network, self.side, self.settings = network, side, card["augment"]
        self.precision, self.device = precision_of(card, device), device
        self.trained = [weight for weight in network.parameters() if weight.requires_grad]
        self._captures, self._taken = capture and device.type == "cuda", 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, patches: Tensor, draws: Tensor, target: Tensor) -> Tensor:
        """Leave the gradients of the mean loss in the trained weights.

        Parameters
        ----------
        patches : (n, stored, stored, 3) uint8
        draws : (n, 14) float
            Of `augment.draws_of`.
        target : (n,) float
            0 or 1. All three on the device, of the same n at every call.

        Returns
        -------
        () float
            The loss, on the device; the next call overwrites it.
        """
        given = (patches, draws, target)
        if self._taken < WARMUP_STEPS or not self._captures:
            self._taken += 1
            return self._beside(*given) if self._captures else self._repeating(*given)
        if self._graph is None and not self._capture(*given):
            return self._pass(*given)
        for place, value in zip(self._given, given, strict=True):
            place.copy_(value)
        self._graph.replay()  # type: ignore[union-attr]
        return self._loss

    def _forget(self) -> None:
        for weight in self.trained:
            weight.grad = None

    def _pass(self, patches: Tensor, draws: Tensor, target: Tensor) -> Tensor:
        self._forget()
        views = make_views(patches, draws, self.side, self.settings)
        views = views.contiguous(memory_format=torch.channels_last)
        with autocast_for(self.device, self.precision):
            logits = self.network(views)
        loss = binary_cross_entropy_with_logits(logits.float().flatten(), target)
        loss.backward()
        return loss.detach()

    def _repeating(self, *given: Tensor) -> Tensor:
        """Take an ordinary step; a network that has no repeatable one says so, and trains."""
        try:
            return self._pass(*given)
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            said = str(error).split(".")[0]
            print(f"This training cannot be repeated bit for bit: {said}.", file=sys.stderr)
            torch.use_deterministic_algorithms(True, warn_only=True)
            return self._pass(*given)

    def _beside(self, *given: Tensor) -> Tensor:
        """Take an ordinary step on a stream of its own, as a capture wants it before."""
        self._stream = self._stream or torch.cuda.Stream(self.device)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            loss = self._repeating(*given)
        torch.cuda.current_stream(self.device).wait_stream(self._stream)
        return loss

    def _capture(self, *given: Tensor) -> bool:
        """Record the pass; some networks ask the device questions and cannot be recorded."""
        graph = torch.cuda.CUDAGraph()
        self._given = [value.clone() for value in given]
        self._forget()
        try:
            with torch.cuda.graph(graph):
                self._loss = self._pass(*self._given)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            said = str(error).strip().splitlines()[0]
            print(f"No step can be captured ({said}); each is launched anew.", file=sys.stderr)
            self._captures = False
            return False
        self._graph = graph
        return True
