"""Which revisions of an owner's policies held, as audit events name them."""


def revisions_of(owner: str, department_revision: int, organisation_revision: int) -> str:
    """The revisions of a department's policy and of the organisation's; 0: nobody wrote one."""
    return f"{owner}.{department_revision}+{organisation_revision}"


def policy_version(*, privacy: str | None, routing: str | None) -> str | None:
    """The policies that an admission was decided by; None if there were none to ask."""
    named = {"privacy": privacy, "routing": routing}
    return ",".join(f"{name}:{version}" for name, version in named.items() if version) or None
