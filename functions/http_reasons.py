"""The reasons that people give for what they do."""

from typing import Final

# No C0 and C1 controls: a reason is shown on one line of a page, a table or an audit export.
REASON_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
