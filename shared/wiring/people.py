"""Use cases of people: users, departments, roles, provisioning, and how an organisation begins."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.sealing import Sealing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.ids import Partition
    from shared.ports.directory import DirectoryStore
    from shared.services.audit_relay import AuditRelay
    from shared.services.bootstrap import Bootstrap
    from shared.services.departments import Departments
    from shared.services.directory_changes import DirectoryChanges
    from shared.services.model_rules import OrganisationRules
    from shared.services.organisation import Organisation
    from shared.services.personal_data import PersonalData
    from shared.services.roles import Roles
    from shared.services.scim import Provisioning
    from shared.services.user_changes import UserChanges
    from shared.services.user_imports import UserImports
    from shared.services.users import Users


class Peopling(Sealing):
    """Who belongs to the organisation, and what they may do."""

    @cached_property
    def directory_store(self) -> "DirectoryStore":
        from shared.adapters.cosmos_directory_store import CosmosDirectoryStore

        return CosmosDirectoryStore(self.cosmos)

    @cached_property
    def directory_changes(self) -> "DirectoryChanges":
        from shared.services.directory_changes import DirectoryChanges

        return DirectoryChanges(self.directory_store, self.clock)

    @cached_property
    def user_changes(self) -> "UserChanges":
        from shared.services.user_changes import UserChanges

        return UserChanges(self.directory_store, self.clock)

    @cached_property
    def personal_data(self) -> "PersonalData":
        from shared.services.personal_data import PersonalData

        return PersonalData(self.prompt_vault, b"directory|" + self.settings.privacy_key.encode())

    @cached_property
    def users(self) -> "Users":
        from shared.services.users import Users

        return Users(
            people=self.user_changes,
            changes=self.directory_changes,
            personal=self.personal_data,
            policies=self.budget_policies,
        )

    @cached_property
    def departments(self) -> "Departments":
        from shared.services.departments import Departments

        return Departments(
            self.directory_store, self.directory_changes, self.budget_policies, self.clock
        )

    @cached_property
    def roles(self) -> "Roles":
        from shared.services.roles import Roles

        return Roles(self.directory_store, self.directory_changes, self.clock)

    @cached_property
    def organisation_rules(self) -> "OrganisationRules":
        from shared.services.model_rules import OrganisationRules

        return OrganisationRules(self.directory_store, self.directory_changes, self.clock)

    @cached_property
    def organisation(self) -> "Organisation":
        from shared.services.organisation import Organisation

        return Organisation(
            departments=self.departments,
            people=self.user_changes,
            personal=self.personal_data,
            policies=self.budget_policies,
            organisations=self.organisation_policies,
            clock=self.clock,
        )

    @cached_property
    def user_imports(self) -> "UserImports":
        from shared.services.user_imports import UserImports

        return UserImports(self.users)

    @cached_property
    def provisioning(self) -> "Provisioning":
        from shared.services.scim import Provisioning, ScimTerms

        s = self.settings
        terms = ScimTerms(s.token_tenant_id, s.scim_token_hashes, s.scim_department)
        return Provisioning(self.user_changes, self.personal_data, terms)

    @cached_property
    def bootstrap(self) -> "Bootstrap":
        from shared.services.bootstrap import Bootstrap

        s = self.settings
        return Bootstrap(
            organisation=self.organisation,
            tenant_id=s.token_tenant_id,
            secret_hash=s.bootstrap_secret_hash,
            clock=self.clock,
        )

    def directory_partitions(self) -> "Sequence[Partition]":
        """Where the audit events of the directory wait to be copied."""
        from shared.domain.directory import directory_partition

        return [directory_partition(tenant) for tenant in self.tenants]

    def directory_relay(self, relay: "AuditRelay") -> "AuditRelay":
        """The same relay for the events that wait beside people, departments and roles."""
        from shared.adapters.cosmos_directory import DIRECTORY_CONTAINER
        from shared.adapters.cosmos_records import CosmosRecords

        return replace(relay, records=CosmosRecords(self.cosmos, DIRECTORY_CONTAINER))
