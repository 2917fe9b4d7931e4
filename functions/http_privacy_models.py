"""What requests about the privacy screen must look like."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from functions.http_models import Body, Query
from functions.http_moments import checked_moment
from functions.http_reasons import REASON_PATTERN
from shared.domain.generations import PROMPT_CHARS_MAX
from shared.domain.identifiers import DATA_CLASSES, IDENTIFIERS, DataClass
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.privacy_overrides import REASON_CHARS_MAX, REASON_CHARS_MIN
from shared.domain.privacy_policies import (
    LANGUAGES,
    Action,
    PrivacyPolicy,
    Residency,
    ResidencyMode,
)
from shared.domain.privacy_rules import (
    PATTERN_CHARS_MAX,
    RULES_MAX,
    TERM_CHARS_MAX,
    TERMS_MAX,
    PrivacyRule,
    RuleKind,
)
from shared.services.privacy_overrides import OverrideOrder

_GUID = r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_LANGUAGE = f"^({'|'.join(sorted(LANGUAGES))})$"
Term = Annotated[str, Field(min_length=2, max_length=TERM_CHARS_MAX, pattern=r"\w")]
REGIONS_MAX = 50


class ResidencyBody(Body):
    """Where prompts may be processed."""

    mode: ResidencyMode
    regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = Field(
        default=(), max_length=REGIONS_MAX, description="ISO 3166, besides Australia"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.mode == "named") != bool(self.regions):
            raise ValueError("regions go with the mode named")
        return self


class PrivacyRuleBody(Body):
    """A rule of the house: an RE2 pattern, or a list of terms."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: RuleKind
    data_class: DataClass = "custom"
    pattern: Annotated[str, Field(min_length=1, max_length=PATTERN_CHARS_MAX)] | None = None
    terms: tuple[Term, ...] = Field(default=(), max_length=TERMS_MAX)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.kind == "pattern") != (self.pattern is not None):
            raise ValueError("a pattern goes with the kind pattern")
        if (self.kind == "terms") != bool(self.terms):
            raise ValueError("terms go with the kind terms")
        return self

    def rule(self) -> PrivacyRule:
        """The same, as the domain knows it."""
        return PrivacyRule(**self.model_dump())


class PrivacyPolicyRequest(Body):
    """A privacy policy as a whole; what is left out is not this owner's to say."""

    actions: dict[DataClass, Action] = Field(default={})
    rules: tuple[PrivacyRuleBody, ...] = Field(default=(), max_length=RULES_MAX)
    allowed_values: tuple[Term, ...] = Field(
        default=(), max_length=TERMS_MAX, description="values that are never an identifier here"
    )
    synonyms: dict[str, tuple[Term, ...]] = Field(
        default={}, description="more words that name a category, as in {'au_tfn': ['tax id']}"
    )
    language: str | None = Field(
        default=None, pattern=_LANGUAGE, description="of the prompts, for the Language service"
    )
    confidence_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="of the Language service; what it is less sure of is left alone"
    )
    residency: ResidencyBody | None = None

    @field_validator("synonyms")
    @classmethod
    def _are_known(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not set(value) <= set(IDENTIFIERS):
            raise ValueError("name categories that the screen knows")
        if sum(len(words) for words in value.values()) > TERMS_MAX:
            raise ValueError(f"at most {TERMS_MAX} words")
        return value

    def policy(self, owner: str) -> PrivacyPolicy:
        """The same, as the service takes it; its revision is set when it is written."""
        residency = self.residency
        return PrivacyPolicy(
            owner=owner,
            actions=self.actions,
            rules=tuple(each.rule() for each in self.rules),
            allowed_values=self.allowed_values,
            synonyms=self.synonyms,
            language=self.language,
            confidence_percent=self.confidence_percent,
            residency=Residency(residency.mode, residency.regions) if residency else None,
        )


class ScreeningRequest(Body):
    """A text to try the screen with."""

    text: str = Field(min_length=1, max_length=PROMPT_CHARS_MAX)
    draft: PrivacyPolicyRequest | None = Field(
        default=None, description="in place of your department's policy; for managers"
    )


class PrivacyOverrideRequest(Body):
    """An exception to warnings."""

    data_classes: tuple[DataClass, ...] = Field(min_length=1, max_length=len(DATA_CLASSES))
    reason: str = Field(
        min_length=REASON_CHARS_MIN,
        max_length=REASON_CHARS_MAX,
        pattern=REASON_PATTERN,
        description="the audit has its keyed hash",
    )
    ends_at: AwareDatetime = Field(description="within 24 hours")
    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
    user: str | None = Field(
        default=None, pattern=_GUID, description="object id; everybody of the department otherwise"
    )

    @field_validator("ends_at")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime | None:
        return checked_moment(value)

    def order(self) -> OverrideOrder:
        """The same, as the service takes it."""
        return OverrideOrder(
            data_classes=tuple(sorted(set(self.data_classes))),
            reason=self.reason,
            ends_at=self.ends_at,
            department_id=self.department,
            object_id=self.user,
        )


class PrivacyOverridesQuery(Query):
    """Whose overrides."""

    department: str | None = Field(default=None, pattern=rf"^{DEPARTMENT_ID_PATTERN}$")
