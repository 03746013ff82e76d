"""Training step: forward and backward pass, run directly or as a captured CUDA graph."""

import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cryotome.core.cards import Card
from cryotome.learners.loop.augment import make_views
from cryotome.runtime.devices import multiplies_bf16

WARMUP_STEPS = 3  # before a capture: libraries choose their kernels in them


def precision_of(card: Card, device: torch.device) -> torch.dtype:
    """Return the type of multiplications: the card's `precision`, or fp32 without bf16 units."""
    wanted = card["precision"] == "bf16" and multiplies_bf16(device)
    return torch.bfloat16 if wanted else torch.float32


def precision_name(precision: torch.dtype) -> str:
    """Return a precision as logs and metadata spell it.

    >>> precision_name(torch.bfloat16)
    'bfloat16'
    """
    return str(precision).removeprefix("torch.")


def autocast_for(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return the context in which a network multiplies in a precision; weights stay fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


class Step:
    """Gradients of all trained weights from stored patches.

    At batch 16 launching kernels takes longer than running them, so on a GPU the pass is captured
    as a CUDA graph after three ordinary steps, and replayed. It never waits for the device. The
    optimiser stays outside: its learning rate changes from step to step.
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
        """Compute the gradients of the mean loss, in `grad` of the trained weights.

        Parameters
        ----------
        patches : (n, stored, stored, 3) uint8
        draws : (n, 14) float
            Of `augment.draws_of`.
        target : (n,) float
            0 or 1. All three on the device, with the same n at every call.

        Returns
        -------
        () float
            The loss, on the device; the next call overwrites it.
        """
        inputs = (patches, draws, target)
        if self._taken < WARMUP_STEPS or not self._captures:
            self._taken += 1
            return self._on_own_stream(*inputs) if self._captures else self._repeatable(*inputs)
        if self._graph is None and not self._capture(*inputs):
            return self._pass(*inputs)
        for static, value in zip(self._inputs, inputs, strict=True):
            static.copy_(value)
        self._graph.replay()  # type: ignore[union-attr]
        return self._loss

    def _clear_gradients(self) -> None:
        for weight in self.trained:
            weight.grad = None

    def _pass(self, patches: Tensor, draws: Tensor, target: Tensor) -> Tensor:
        self._clear_gradients()
        views = make_views(patches, draws, self.side, self.settings)
        views = views.contiguous(memory_format=torch.channels_last)
        with autocast_for(self.device, self.precision):
            logits = self.network(views)
        loss = binary_cross_entropy_with_logits(logits.float().flatten(), target)
        loss.backward()
        return loss.detach()

    def _repeatable(self, *inputs: Tensor) -> Tensor:
        """Run the pass; warn if an operation has no deterministic form, and use the other."""
        try:
            return self._pass(*inputs)
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            reason = str(error).split(".")[0]
            print(f"This training cannot be repeated bit for bit: {reason}.", file=sys.stderr)
            torch.use_deterministic_algorithms(True, warn_only=True)
            return self._pass(*inputs)

    def _on_own_stream(self, *inputs: Tensor) -> Tensor:
        """Run the pass on a separate stream, as CUDA requires before a capture."""
        self._stream = self._stream or torch.cuda.Stream(self.device)
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            loss = self._repeatable(*inputs)
        torch.cuda.current_stream(self.device).wait_stream(self._stream)
        return loss

    def _capture(self, *inputs: Tensor) -> bool:
        """Capture the pass; networks that read values from the device cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        self._inputs = [value.clone() for value in inputs]
        self._clear_gradients()
        try:
            with torch.cuda.graph(graph):
                self._loss = self._pass(*self._inputs)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            print(f"Steps cannot be captured ({reason}); they run directly.", file=sys.stderr)
            self._captures = False
            return False
        self._graph = graph
        return True
