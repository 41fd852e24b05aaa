"""Who works on a site: our integration, people, and apps such as automation rules."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.simulators.answers import stable_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account; `login` is its e-mail, on Data Center its name."""

    account_id: str
    login: str
    password: str = field(repr=False)
    name: str
    is_app: bool = False


class People:
    """All accounts of a site. Ada and Beth are always there, with the integration's password, so that a test or a demo
    can act as a person; `automation` is an app."""

    def __init__(self, user: str, password: str) -> None:
        self.integration = Account(
            account_id=stable_id("account", user, length=24), login=user, password=password, name=user
        )
        self.accounts: dict[str, Account] = {user: self.integration}
        for login, name, is_app in (
            ("ada", "Ada Lovett", False),
            ("beth", "Beth Ogilvy", False),
            ("automation", "Automation for Jira", True),
        ):
            self.add({"login": login, "account_id": login, "name": name, "is_app": is_app})

    def add(self, given: Mapping[str, object]) -> Account:
        """An account from its seed: {"login", "password"?, "name"?, "account_id"?, "is_app"?}."""
        login = str(given["login"])
        account = Account(
            account_id=str(given.get("account_id") or stable_id("account", login, length=24)),
            login=login,
            password=str(given.get("password") or self.integration.password),
            name=str(given.get("name") or login),
            is_app=bool(given.get("is_app")),
        )
        self.accounts.setdefault(login, account)
        return self.accounts[login]

    def known(self, asked: object) -> Account | None:
        """By account id, login or display name."""
        for account in self.accounts.values():
            if asked in (account.account_id, account.login, account.name):
                return account
        return None

    def let_in(
        self, *, login: str | None = None, password: str | None = None, token: str | None = None
    ) -> Account | None:
        """Whose credentials these are: a name and password, or a personal access token, which is the password of the
        integration or `<login>:<password>` of anybody."""
        if token is not None:
            login, _, password = token.rpartition(":")
            login = login or self.integration.login
        account = self.accounts.get(login or "")
        if account is None or not hmac.compare_digest((password or "").encode(), account.password.encode()):
            return None
        return account
