"""What can go wrong in retrieval, by the boundary that was crossed. Every message is one sentence that says what to do.

A file that can't be read is not here: it is skipped with a reason (``loader.Skipped``), and the rest is indexed.
"""


class RetrievalError(Exception):
    """The base of everything this package raises on purpose."""


class PathNotFound(RetrievalError):
    """A path to index that neither exists nor was indexed before."""


class ModelNotFound(RetrievalError):
    """An encoder or reranker that is not on this machine, or that can't be loaded."""


class IndexNotFound(RetrievalError):
    """A folder that holds no index."""


class IndexBusy(RetrievalError):
    """Another process is writing this index."""


class IndexUnusable(RetrievalError):
    """An index that is damaged, on a full or read-only disk, or from a newer version of the program."""


class EncoderMismatch(RetrievalError):
    """An index whose vectors another encoder made: its vectors and this one's can't be compared."""
