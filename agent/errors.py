"""The errors that reach a person: one sentence that says what to do next, and the exit code of a command that ends so.

A failure becomes one of these where it crosses a boundary of this package, chained with ``from``. What the model should
read and react to is not here: that is ``tools.tool.ToolError``.
"""


class PonderError(Exception):
    """Something a person can act on. A door shows ``str(error)`` as it is, with no traceback."""

    exit_code = 1


class SettingsError(PonderError):
    """A setting that cannot be used: where it stands, its key, what it may be."""

    exit_code = 2


class StoreError(PonderError):
    """The log could not be read or written; what it held before is still there."""

    exit_code = 3


class StoreTooNew(StoreError):
    """The log was written by a newer Ponder. It has not been touched."""


class StoreReadOnly(StoreError):
    """The log's file or folder cannot be written."""


class StoreFull(StoreError):
    """The disk is full. The step in flight is not in the log, all before it is."""


class StoreBusy(StoreError):
    """Another process held the log for longer than the deadline."""


class StoreDamaged(StoreError):
    """The file is not a log, or its pages or packed arrays are damaged."""


class NotInLog(StoreError):
    """No run, or no node, has that name."""


class NodeConflict(StoreError):
    """A different node is already logged at that path: growing was neither repeated nor new."""


class RunUnderWay(PonderError):
    """Another process drives that run."""

    exit_code = 2


class ExportError(PonderError):
    """The samples could not be written where they should go."""


class QuestionError(PonderError):
    """The question cannot be asked as it is."""

    exit_code = 2
