"""The commands of `crm-api users`. USER is an e-mail address or the ID of a user."""

import click

_user = click.argument("user")
_json = click.option("--json", "as_json", is_flag=True, help="Print the user as JSON.")
_limit = click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
_yes = click.option("--yes", is_flag=True, help="Do not ask for a confirmation.")


@click.group()
def users() -> None:
    """Manage users. USER is an e-mail address or the ID of a user."""


@users.command("list")
@click.option("--role", type=click.Choice(["customer", "staff"]), default=None)
@click.option(
    "--status",
    type=click.Choice(["active", "disabled", "registering", "pending"]),
    default=None,
    help="`pending` lists registrations whose address is not verified yet.",
)
@click.option(
    "--search", "text", default=None, help="Only users with this text in their e-mail address or names."
)
@_limit
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(role: str | None, status: str | None, text: str | None, limit: int, *, as_json: bool) -> None:
    """List users, newest first."""
    from crm_api.cli.user_reports import print_users

    if status == "pending" and (role or text):
        raise click.UsageError("--status pending cannot be combined with --role or --search")
    print_users(role=role, status=status, text=text, limit=limit, as_json=as_json)


@users.command()
@_user
@_json
def show(user: str, *, as_json: bool) -> None:
    """Print a user, or the pending registrations of an address."""
    from crm_api.cli.user_reports import print_user

    print_user(user, as_json=as_json)


@users.command()
@click.argument("email")
@click.option("--firstname", required=True)
@click.option("--lastname", required=True)
@click.option("--phone", required=True)
@click.option("--role", type=click.Choice(["customer", "staff"]), default="customer", show_default=True)
@click.option("--ask-password", is_flag=True, help="Ask for the password and send no mail.")
@_json
def create(
    email: str, firstname: str, lastname: str, phone: str, role: str, *, ask_password: bool, as_json: bool
) -> None:
    """Create a user and create or link their contact. A mailed link lets the user choose a password."""
    from crm_api.cli.user_changes import create_user

    password = None
    if ask_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    names = {"firstname": firstname, "lastname": lastname, "phone": phone}
    create_user(email, names, role=role, password=password, as_json=as_json)


@users.command()
@_user
@_json
def verify(user: str, *, as_json: bool) -> None:
    """Mark the e-mail address as verified, or complete the pending registration of the address."""
    from crm_api.cli.user_changes import verify

    verify(user, as_json=as_json)


@users.command()
@_user
@_json
def resend(user: str, *, as_json: bool) -> None:
    """Mail a link to choose a password, or the link of a pending registration."""
    from crm_api.cli.user_changes import resend

    resend(user, as_json=as_json)


@users.command()
@_user
@_json
def disable(user: str, *, as_json: bool) -> None:
    """Refuse the user's logins and requests, and end their sessions."""
    from crm_api.cli.user_changes import disable

    disable(user, as_json=as_json)


@users.command()
@_user
@_json
def enable(user: str, *, as_json: bool) -> None:
    """Accept the logins of a disabled user again."""
    from crm_api.cli.user_changes import enable

    enable(user, as_json=as_json)


@users.command()
@_user
@_yes
@_json
def delete(user: str, *, yes: bool, as_json: bool) -> None:
    """Delete a user with sessions and stored responses. The HubSpot contact stays."""
    from crm_api.cli.user_changes import delete

    delete(user, confirmed=yes, as_json=as_json)


@users.command()
@_user
def export(user: str) -> None:
    """Print everything that is stored about a user as JSON, all their records in HubSpot included."""
    from crm_api.cli.user_reports import print_export

    print_export(user)


@users.command()
@_user
@_json
def promote(user: str, *, as_json: bool) -> None:
    """Make the user staff."""
    from crm_api.cli.user_changes import change_role

    change_role(user, "staff", as_json=as_json)


@users.command()
@_user
@_json
def demote(user: str, *, as_json: bool) -> None:
    """Make the user a customer."""
    from crm_api.cli.user_changes import change_role

    change_role(user, "customer", as_json=as_json)


@users.command()
@_user
@_json
def logout(user: str, *, as_json: bool) -> None:
    """End all sessions of the user."""
    from crm_api.cli.user_changes import log_out

    log_out(user, as_json=as_json)


@users.command()
@_user
@click.argument("contact_id")
@_json
def link(user: str, contact_id: str, *, as_json: bool) -> None:
    """Link the user to a HubSpot contact."""
    from crm_api.cli.user_changes import link_user

    if not (contact_id.isascii() and contact_id.isdigit()) or len(contact_id) > 20:
        raise click.BadParameter("it must be a number of at most 20 digits", param_hint="CONTACT_ID")
    link_user(user, contact_id, as_json=as_json)


@users.command()
@_user
@_json
def unlink(user: str, *, as_json: bool) -> None:
    """End the user's link to a contact."""
    from crm_api.cli.user_changes import unlink_user

    unlink_user(user, as_json=as_json)
