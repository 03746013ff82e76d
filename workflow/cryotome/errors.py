"""Every error a user can cause, as a tree.

* CryotomeError
  + CardError      a card or a config says something that cannot be
  + DataError      annotations or images are missing, broken or not the expected ones
    + UnfitError   an image is whole, and says of itself what cannot be used
  + DownloadError  a file of a public record cannot be had, or is not what the record says
  + StoreError     a patch or embedding store is foreign, stale or half-written
  + WeightsError   the weights of an encoder cannot be had
  + SplitError     a split cannot be drawn as asked
  + ProbeError     a head cannot be fitted on these embeddings and labels
  + TrainingError  the training of a network was lost
"""

import errno
import pickle
import struct

# what torch raises on files that are torn, or that would run code; but see `is_torn`
TORN: tuple[type[Exception], ...] = (RuntimeError, EOFError, pickle.UnpicklingError, OSError)
TORN += (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError)
TORN += (struct.error,)


def is_torn(error: Exception) -> bool:
    """Whether one of `TORN` speaks of the file: a disk that fails tears none.

    torch seeks to where a torn file says, and an impossible place is EINVAL.
    """
    return not isinstance(error, OSError) or error.errno == errno.EINVAL


class CryotomeError(Exception):
    """Base of all errors below; its text says what is wrong, where, and what to do."""


class CardError(CryotomeError):
    """A card or a config file breaks its schema or names a card that does not exist."""


class DataError(CryotomeError):
    """Annotations or images are missing, unreadable, or differ from the card's `expect`."""


class UnfitError(DataError):
    """An image is whole, but its orientation, colours, µm/px or size cannot be used as they are."""


class DownloadError(CryotomeError):
    """A file of a public record cannot be had, or is not what the record says."""


class StoreError(CryotomeError):
    """A store does not carry the passport that its reader asked for."""


class WeightsError(CryotomeError):
    """The weights of an encoder are not at hand and could not be fetched."""


class SplitError(CryotomeError):
    """A split cannot be drawn from these cells."""


class ProbeError(CryotomeError):
    """A head on frozen embeddings cannot be fitted: one class, no rows, or no numbers."""


class TrainingError(CryotomeError):
    """The loss of a training is not finite."""
