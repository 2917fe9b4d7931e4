"""Where blobs lie and how they are tagged: what writers write and lifecycle rules match.

images/{department}/{yyyymm}/{generation id}/{index}             originals, which grow cold
thumbnails/{department}/{yyyymm}/{generation id}/{index}.webp    which never leave the hot tier
uploads/{slot id}/{file name}
batches/{batch id}/{plan}/{chunk number}.json
results/{batch id or statement}/{file}
"""

from dataclasses import dataclass
from typing import Final

from shared.domain.ids import Partition, image_id
from shared.domain.ledger import partition_for

IMAGES_CONTAINER: Final = "images"
THUMBNAILS_CONTAINER: Final = "thumbnails"
THUMBNAIL_TYPE: Final = "image/webp"

RETENTION_TAG: Final = "retention"
HOLD_TAG: Final = "hold"
HOLD_REVISION_TAG: Final = "hold-revision"  # so that a late writer cannot undo a newer decision
NOT_HELD: Final = "none"
HELD: Final = "legal"
# A rule deletes only what carries `hold=none` and a class it names: whatever else a tag says, or if
# there is none, the blob stays.
INDEFINITE: Final = "indefinite"
UNDECIDED: Final = "undecided"  # the department's policy could not be read; the sweep decides
DEFAULT_RETENTION: Final = "seven-years"


@dataclass(frozen=True)
class PictureName:
    """One picture in custody."""

    generation_id: str
    index: int

    @property
    def image_id(self) -> str:
        return image_id(self.generation_id, self.index)

    @property
    def partition(self) -> Partition:
        return partition_for(self.generation_id)

    @property
    def blob(self) -> str:
        """The name inside the images container."""
        partition = self.partition
        folder = f"{partition.department_id}/{partition.period}"
        return f"{folder}/{self.generation_id}/{self.index}"

    @property
    def thumbnail(self) -> str:
        """The name inside the thumbnails container."""
        return f"{self.blob}.webp"


def new_tags(retention_class: str) -> dict[str, str]:
    """The index tags that a picture and its thumbnail begin with."""
    return {RETENTION_TAG: retention_class, HOLD_TAG: NOT_HELD}
