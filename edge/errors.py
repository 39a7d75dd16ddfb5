"""Named errors. Each message is one line for a person: what was expected, what came, what to do."""


class UserError(Exception):
    """A mistake that the user can mend. The command line prints it and ends with status 2."""


class PictureError(UserError):
    """A picture that cannot be read or is not of a kind that the model takes."""


class BundleError(UserError):
    """A bundle that is missing, damaged, of another schema, or lacks what was asked of it."""


class InterpreterError(UserError):
    """No LiteRT interpreter is installed, or it refuses a graph."""


class CalibrationError(UserError):
    """Scores from which no threshold can be set."""
