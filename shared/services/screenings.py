"""Dry runs of the privacy screen: what would happen to a text, without making anything of it."""

import asyncio
from dataclasses import dataclass

from shared.domain.identity import Caller, Permission, Reach
from shared.domain.privacy_policies import EffectivePolicy, PrivacyPolicy
from shared.domain.privacy_rules import check_rules
from shared.domain.privacy_views import ScreeningView, screening_view
from shared.errors import PolicyDenied
from shared.services.privacy import PrivacyScreen, Requester, unavailable
from shared.services.rate_limits import RateLimits


@dataclass(frozen=True)
class Screenings:
    """Lets people try texts, so many a minute: the layers' paid calls are everybody's."""

    screen: PrivacyScreen
    limits: RateLimits

    async def preview(
        self, caller: Caller, text: str, draft: PrivacyPolicy | None, correlation_id: str
    ) -> ScreeningView:
        """What would happen to a text, under the policy that holds or a draft of it."""
        policy = await self.screen.watch.effective(caller.tenant_id, caller.department_id)
        if draft is not None and caller.reach(Permission.PRIVACY_READ) < Reach.DEPARTMENT:
            raise PolicyDenied("Only managers and administrators try drafts.")
        await self.limits.take_screening(caller, correlation_id)
        if draft is not None:
            await asyncio.to_thread(check_rules, draft.rules, draft.synonyms)
            policy = EffectivePolicy(draft, policy.organisation)
        who = Requester.of(caller, "preview", correlation_id)
        verdict = (await self.screen.verdicts(who, policy, [{"text": text}]))[0]
        if isinstance(verdict, str):
            raise unavailable("language", verdict)
        return screening_view(text, verdict)
