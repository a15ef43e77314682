"""One kind of error for what a user can mend: the message is one line and tells what to do."""


class UserError(Exception):
    """Something the user gave is not usable. `str(error)` names it, what was expected and what to do."""
