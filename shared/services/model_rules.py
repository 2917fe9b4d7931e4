"""The organisation's rules of models and providers, for people and roles that say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.directory import differences
from shared.domain.identity import Caller, Permission, Reach, require_reach
from shared.domain.ledger import Document
from shared.domain.model_rules import ModelRules, read_model_rules
from shared.domain.role_views import OrganisationRulesView
from shared.domain.roles import MODEL_RULES_ID, model_rules_document
from shared.errors import PolicyDenied, PreconditionFailed
from shared.ports import Clock
from shared.ports.directory import DirectoryStore
from shared.services.directory_changes import (
    DirectoryChanges,
    Revision,
    actor_of,
)

ADMINS_ONLY = "Only administrators of the organisation see and change rules of models."


@dataclass(frozen=True)
class OrganisationRules:
    """Shows and replaces the rules; they hold from everybody's next request."""

    store: DirectoryStore
    changes: DirectoryChanges
    clock: Clock

    async def get(self, caller: Caller) -> OrganisationRulesView:
        """Revision 0 says that nobody has written any."""
        require_reach(caller, Permission.MODEL_RULES_READ, Reach.ORGANISATION, ADMINS_ONLY)
        rules, revision = _read(await self.store.find(caller.tenant_id, MODEL_RULES_ID))
        return OrganisationRulesView.of(rules, revision)

    async def put(
        self, caller: Caller, rules: ModelRules, *, expected: int | None, correlation_id: str
    ) -> OrganisationRulesView:
        """Replace them; `expected` is the revision that was read, 0 for none, None for any."""
        actor, tenant_id = actor_of(caller, correlation_id), caller.tenant_id
        try:
            require_reach(caller, Permission.MODEL_RULES_WRITE, Reach.ORGANISATION, ADMINS_ONLY)
        except PolicyDenied as refusal:
            action = "model_rules.change"
            await self.changes.note_denial(tenant_id, MODEL_RULES_ID, action, actor, refusal)
            raise
        document = await self.store.find(tenant_id, MODEL_RULES_ID)
        before, standing = _read(document)
        if expected is not None and expected != standing:
            raise PreconditionFailed("They were changed since you read them; read them again.")
        revision = Revision(
            document=model_rules_document(tenant_id),
            part="model_rules",
            state={"rules": rules.as_json(), "change_id": self.clock.new_id()},
            number=standing + 1,
            exists=document is not None,
            action="model_rules.changed",
            details=differences(shown_rules(before), shown_rules(rules)),
        )
        await self.changes.write(revision, actor)
        return OrganisationRulesView.of(rules, revision.number)


def shown_rules(rules: ModelRules) -> dict[str, str | None]:
    """Rules as audit events show them."""
    return {
        "rules.models": _words(rules.models),
        "rules.providers": _words(rules.providers),
        "rules.otherwise": rules.otherwise,
    }


def _words(words: Mapping[str, str]) -> str:
    return ",".join(f"{name}={word}" for name, word in sorted(words.items()))


def _read(document: Document | None) -> tuple[ModelRules, int]:
    if document is None:
        return read_model_rules(None), 0
    rules: Mapping[str, Any] = document["model_rules"]["rules"]
    return read_model_rules(rules), int(document["revision"])
