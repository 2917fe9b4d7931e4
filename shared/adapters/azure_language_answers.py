"""Answers of Azure AI Language, read strictly: one that is odd in any way is none.

A 200 counts only if it is of the kind that was asked for, has exactly one result or error for each
document, no warning, only categories that were asked for, at places that lie in the text, and
covers in its redacted text nothing that it does not name. Source: the service's REST reference,
2023-04-01.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

KIND: Final = "PiiEntityRecognitionResults"
MASK: Final = "*"
# What is asked for, and our word for it.
CATEGORIES: Final[Mapping[str, str]] = {
    "Person": "person",
    "Email": "email",
    "PhoneNumber": "phone",
    "Address": "address",
    "IPAddress": "ip_address",
    "CreditCardNumber": "card",
    "EUDebitCardNumber": "card",
    "InternationalBankingAccountNumber": "iban",
    "AUBankAccountNumber": "au_bank_account",
    "NZBankAccountNumber": "bank_account",
    "USBankAccountNumber": "bank_account",
    "AUTaxFileNumber": "au_tfn",
    "AUBusinessNumber": "au_abn",
    "AUCompanyNumber": "au_acn",
    "AUPassportNumber": "passport",
    "USUKPassportNumber": "passport",
    "EUPassportNumber": "passport",
    "AUDriversLicenseNumber": "au_drivers_licence",
    "NZDriversLicenseNumber": "national_id",
    "NZInlandRevenueNumber": "national_id",
    "USSocialSecurityNumber": "national_id",
    "UKNationalInsuranceNumber": "national_id",
    "AUMedicalAccountNumber": "au_medicare",
    "NZMinistryOfHealthNumber": "health_id",
    "UKNationalHealthNumber": "health_id",
    "AzureStorageAccountKey": "secret",
    "AzureSAS": "secret",
    "AzureServiceBusString": "secret",
    "AzureDocumentDBAuthKey": "secret",
    "SQLServerConnectionString": "secret",
}


class Malformed(Exception):
    """An answer that is no answer."""


@dataclass(frozen=True)
class LanguageEntity:
    """What the service found: our category, at code points `start..end` of the document."""

    category: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class LanguageAnswer:
    """What the service says of one document, or why it could not read that one."""

    entities: tuple[LanguageEntity, ...] = ()
    failure: str | None = None


def read_answers(body: Any, texts: Sequence[str]) -> list[LanguageAnswer]:
    """What an answer says of each document, whose ids are their numbers; raises Malformed."""
    _check(isinstance(body, dict) and body.get("kind") == KIND and "error" not in body)
    results = _mapping(body.get("results"))
    documents = _mappings(results.get("documents"))
    errors = _mappings(results.get("errors"))
    stated = [each.get("id") for each in (*documents, *errors)]
    ids = [each for each in stated if isinstance(each, str)]
    _check(
        len(ids) == len(stated)
        and sorted(ids) == sorted(str(number) for number in range(len(texts)))
    )
    failed = {each["id"] for each in errors}
    by_id = {each["id"]: each for each in documents}
    return [
        LanguageAnswer(failure="document_error")
        if str(number) in failed
        else _answer(text, by_id[str(number)])
        for number, text in enumerate(texts)
    ]


def _answer(text: str, document: Mapping[str, Any]) -> LanguageAnswer:
    _check("error" not in document)
    if _mappings(document.get("warnings")):  # cut, or words passed over: it was not read as it is
        return LanguageAnswer(failure="document_warning")
    entities = tuple(_entity(text, each) for each in _mappings(document.get("entities")))
    _check(document.get("redactedText") in _redacted(text, entities))
    return LanguageAnswer(entities)


def _entity(text: str, stated: Mapping[str, Any]) -> LanguageEntity:
    """An entity that lies where it says, in the text that was sent."""
    offset, length, category = stated.get("offset"), stated.get("length"), stated.get("category")
    confidence = stated.get("confidenceScore")
    if type(offset) is not int or type(length) is not int or offset < 0 or length < 1:
        raise Malformed
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        raise Malformed
    _check(0 <= confidence <= 1)
    if not isinstance(category, str) or category not in CATEGORIES:
        raise Malformed
    _check(text[offset : offset + length] == stated.get("text"))
    return LanguageEntity(CATEGORIES[category], offset, offset + length, float(confidence))


def _redacted(text: str, entities: Sequence[LanguageEntity]) -> tuple[str, str]:
    """The text with its entities covered: a star for each code point, or each unit of UTF-16.

    The reference says that lengths are kept, and not in which unit.
    """
    covered = bytearray(len(text))
    for each in entities:
        covered[each.start : each.end] = b"\1" * (each.end - each.start)
    by_points = "".join(MASK if hide else c for c, hide in zip(text, covered, strict=True))
    by_units = "".join(
        MASK * (1 + (c > "\uffff")) if hide else c for c, hide in zip(text, covered, strict=True)
    )
    return by_points, by_units


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed
    return value


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise Malformed
    return [_mapping(each) for each in value]


def _check(holds: bool) -> None:
    if not holds:
        raise Malformed
