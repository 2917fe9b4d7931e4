"""The one kind of error of this program: evidence that does not hold, and where."""


class Fault(Exception):
    """What was found first; the text says where it is and what is wrong with it."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}")
        self.place = place
        self.what = what
