"""Every failure this package raises on purpose.

* Mem1Error
  + InvalidRequestError        the caller must change the request; names field, limit and cure
    - RequestIdReusedError     the same request_id came with other content
    - ForbiddenError           the caller has no right to what it asks for
  + SettingsError              the person must change the configuration
  + StoreError                 the store could not do it; nothing of the call was saved, unless it says
    - StoreBusyError           another process holds the store; try again
    - StoreDamagedError        the file is not a whole store of ours; it was left untouched
    - StoreTooNewError         a newer version of this program wrote the store
    - NotCertainError          it may have been done or not: the disk, or the cluster, failed within it
    - LeaseLostError           another process has taken over the job; leave it to that one
  + EmbedderError              no vectors could be made; recall goes on by words, nothing is lost
    - TextRefusedError         it refuses these texts; others it may take
  + ModelError                 a language model gave no answer; what it was for waits, nothing is lost
    - RequestRefusedError      it refuses this question, or takes too long; others it may take
  + AnswerRefusedError         a language model answered what can't be used; nothing was changed by it

The text of each reaches the model or the person as it is, so it says what failed, what was kept
and what to do. Everything else that is raised is a bug.
"""

import re


class Mem1Error(Exception):
    """Base of all deliberate errors: ``except Mem1Error`` catches what can be shown to a person."""


class InvalidRequestError(Mem1Error):
    """The request can't be carried out as it stands; nothing was changed."""


class RequestIdReusedError(InvalidRequestError):
    """A ``request_id`` names one call for ever; this one came back with other content."""


class ForbiddenError(InvalidRequestError):
    """The caller may not do this; nothing was done."""


class SettingsError(Mem1Error):
    """A setting has a value that can't be used."""


class StoreError(Mem1Error):
    """The store refused; the operation was rolled back whole, but for what a subclass says."""

    @property
    def reason(self) -> str:
        """What failed, without what was kept: a use case of several operations says that itself."""
        return re.split(r" Nothing (?:of this call|was read)", str(self), maxsplit=1)[0]


class StoreBusyError(StoreError):
    """Another process kept the store locked for longer than the wait."""


class StoreDamagedError(StoreError):
    """The file can't be read as a store of ours. It is never replaced or written."""


class StoreTooNewError(StoreError):
    """The store's schema is newer than this program can read or write."""


class NotCertainError(StoreError):
    """How a write ended is not known: a disk failed within it, or the answer got lost."""


class LeaseLostError(StoreError):
    """The lease of a job ran out or the job is gone; what was done of it until now stays done."""


class EmbedderError(Mem1Error):
    """What makes vectors failed, was too slow or answered garbage. Says which and why."""


class TextRefusedError(EmbedderError):
    """What makes vectors takes no such text: the same one is refused again, others may be taken."""


class ReaderError(Mem1Error):
    """What reads the text in images failed. Says which and why."""


class ModelError(Mem1Error):
    """A language model can't be asked just now. Says which, why, and what to do.

    ``retry_after`` is for how many seconds it wants to be left alone, where it says so.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RequestRefusedError(ModelError):
    """A language model does not get through with this question: too long, or one it declines to read."""


class AnswerRefusedError(Mem1Error):
    """What a language model answered can't be used. Says why, without a word of the answer."""
