"""Use cases of identity: tokens, browser sessions, and more proof where a route wants it."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from shared.errors import NotFound
from shared.wiring.bookkeeping import Bookkeeping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.adapters.entra_keys import EntraKeys
    from shared.domain.access_tokens import StepUpTerms
    from shared.domain.ids import Partition
    from shared.domain.token_issuers import TokenIssuer
    from shared.ports import TokenVerifier
    from shared.services.audit_relay import AuditRelay
    from shared.services.callers import Callers
    from shared.services.session_desk import SessionDesk
    from shared.services.sessions import Sessions
    from shared.services.sign_ins import SignIns
    from shared.services.step_up import StepUp


class Identifying(Bookkeeping):
    """Who is calling, and how browsers get in."""

    @cached_property
    def issuers(self) -> "tuple[TokenIssuer, ...]":
        from shared.identity_settings import issuers_of

        return issuers_of(self.settings)

    @cached_property
    def issuer_keys(self) -> "dict[str, EntraKeys]":
        """The keys of each issuer; sign-ins and tokens share them."""
        from shared.adapters.entra_keys import EntraKeys

        return {
            each.issuer: EntraKeys(each.issuer, each.tenant_id, self.clock) for each in self.issuers
        }

    @cached_property
    def tokens(self) -> "TokenVerifier":
        from shared.adapters.entra_tokens import EntraTokenVerifier, IssuerRule

        rules = {
            each.issuer: IssuerRule(
                tenant_id=each.tenant_id,
                audience=each.audience,
                scope=each.scope,
                azp_allow=each.authorized_parties,
                app_role=each.app_role,
            )
            for each in self.issuers
        }
        return EntraTokenVerifier(rules, self.issuer_keys, self.clock)

    @cached_property
    def step_up_terms(self) -> "StepUpTerms":
        from shared.domain.access_tokens import StepUpTerms

        s = self.settings
        contexts = {
            each.tenant_id: each.step_up_context for each in self.issuers if each.step_up_context
        }
        return StepUpTerms(contexts, s.step_up_age_max)

    @cached_property
    def step_up(self) -> "StepUp":
        from shared.services.step_up import StepUp

        return StepUp(self.step_up_terms, self.tokens, self.clock)

    @cached_property
    def sessions(self) -> "Sessions":
        """Raise NotFound where no browser can sign in."""
        from shared.adapters.cosmos_sessions import CosmosSessions
        from shared.adapters.entra_sign_in import EntraSignIn, WebClient
        from shared.adapters.field_cipher import AesFieldCipher
        from shared.domain.vitals import SESSIONS_COPIED
        from shared.identity_settings import session_policy_of
        from shared.services.session_checks import SessionChecks
        from shared.services.sessions import Sessions

        s, policy = self.settings, session_policy_of(self.settings)
        if s.public_origin is None or s.sign_in_client_id is None:
            raise NotFound("No browser can sign in here.", code="sign_in_not_configured")
        client = WebClient(
            issuer=s.token_issuer,
            tenant_id=s.token_tenant_id,
            client_id=s.sign_in_client_id,
            client_secret=self.secret(s.sign_in_client_secret) if s.sign_in_client_secret else None,
            redirect_uri=f"{s.public_origin}/api/v1/auth/callback",
        )
        sign_in = EntraSignIn(client, self.issuer_keys[s.token_issuer], self.clock)
        return Sessions(
            store=CosmosSessions(self.cosmos, policy, self.clock),
            checks=SessionChecks(sign_in, self.prompt_vault),
            policy=policy,
            clock=self.clock,
            new_secret=AesFieldCipher().new_key,
            count_copied=lambda: self.metrics.count(SESSIONS_COPIED),
        )

    @cached_property
    def sign_ins(self) -> "SignIns":
        from shared.services.sign_ins import SignIns

        return SignIns(
            sign_in=self.sessions.checks.sign_in,
            sessions=self.sessions,
            directory=self.directory,
            terms=self.step_up_terms,
            tenant_id=self.settings.token_tenant_id,
            clock=self.clock,
            new_secret=self.sessions.new_secret,
        )

    @cached_property
    def session_desk(self) -> "SessionDesk":
        from shared.services.session_desk import SessionDesk

        return SessionDesk(self.sessions, lambda: self.sign_ins, self.directory)

    @cached_property
    def callers(self) -> "Callers":
        from shared.services.callers import Callers

        s = self.settings
        can_sign_in = s.public_origin is not None and s.sign_in_client_id is not None
        return Callers(
            tokens=self.tokens,
            directory=self.directory,
            step_up=self.step_up,
            sessions=self.sessions if can_sign_in else None,
            own_origin=s.public_origin,
        )

    @cached_property
    def session_relay(self) -> "AuditRelay":
        """Copies the audit events of sessions, which wait beside them."""
        from shared.adapters.cosmos_records import CosmosRecords
        from shared.adapters.cosmos_sessions import SESSIONS_CONTAINER

        return replace(self.audit_relay, records=CosmosRecords(self.cosmos, SESSIONS_CONTAINER))

    def session_partitions(self) -> "Sequence[Partition]":
        """Where the audit events of sessions wait to be copied."""
        from shared.domain.sessions import session_partitions

        return [part for tenant in self.tenants for part in session_partitions(tenant)]
