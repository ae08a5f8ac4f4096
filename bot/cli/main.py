"""The command line. Each command imports what it needs when it runs, so that --help is quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.alert_commands import alerts_app
from bot.cli.case_commands import cases_app, feedback, weights_app
from bot.cli.change_commands import approvals_app, audit_app, freeze_app
from bot.cli.cluster_commands import cluster_app
from bot.cli.exits import Exit
from bot.cli.model_commands import model_app, turn_app, usage_app
from bot.cli.nats_commands import nats_app
from bot.cli.options import DataDir, Host, Json, Namespace, Port, ReadyFile, Solo, Token, Url
from bot.cli.sandbox_commands import sandbox_app
from bot.cli.slack_admin_commands import register as with_slack_admin
from bot.cli.slack_commands import slack_app

app = typer.Typer(
    name="opsthread",
    help="The on-call engineer that lives in your thread: finds what is wrong with a Kubernetes cluster, proves it, and "
    "heals it with your approval.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    with_runner: Annotated[
        bool, typer.Option("--with-runner", help="Also run a runner here, on the cluster that KUBECONFIG names.")
    ] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="That runner may only read.")] = False,
    cluster: Annotated[str, typer.Option(help="What that cluster is called.")] = "default",
    solo: Solo = False,
    ready_file: ReadyFile = None,
) -> None:
    """Run the control plane with the web chat and the REST API."""
    from bot.cli.serve import run

    raise SystemExit(
        run(
            host=host, port=port, data_dir=data_dir, with_runner=with_runner, read_only=read_only,
            cluster=cluster, solo=solo, ready_file=ready_file,
        )
    )  # fmt: skip


@app.command()
def demo(
    ask: Annotated[str | None, typer.Option(help="Ask this, tell the story here and exit.")] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="With --ask: approve the fix, where policy lets this account.")
    ] = False,
    solo: Solo = False,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    ready_file: ReadyFile = None,
    as_json: Json = False,
) -> None:
    """Start the practice cluster with its shop, a runner, the control plane and the web chat, on this machine alone."""
    from bot.cli.demo import run

    raise SystemExit(
        run(
            ask=ask, approve=approve, solo=solo, host=host, port=port, data_dir=data_dir, ready_file=ready_file, as_json=as_json
        )
    )


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know, in your own words.")],
    cluster: Annotated[str | None, typer.Option(help="Which cluster; needed when there are several.")] = None,
    namespace: Namespace = None,
    as_json: Json = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve the proposed fix; exit 5 where policy does not let you.")
    ] = False,
    solo: Solo = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say why the root cause ranks where it ranks.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a question. With no serve running here, a private one is started for the call, on the cluster of KUBECONFIG."""
    from bot.cli.ask import run

    raise SystemExit(
        run(
            question, cluster=cluster, namespaces=tuple(namespace or ()), as_json=as_json, approve=approve,
            solo=solo, explain=explain, url=url, token=token, data_dir=data_dir,
        )
    )  # fmt: skip


@app.command()
def diagnose(
    dump: Annotated[Path, typer.Option("--dump", help="Folder of a cluster dump.", exists=True, file_okay=False)],
    target: Annotated[str | None, typer.Argument(help="Kind/namespace/name, or a word such as payments.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n")] = None,
    as_json: Json = False,
    explain: Annotated[bool, typer.Option("--explain")] = False,
) -> None:
    """Diagnose a cluster dump, without a server."""
    from bot.cli.dumps import run

    raise SystemExit(run(dump, target=target, namespace=namespace, as_json=as_json, explain=explain))


@app.command()
def doctor(
    as_json: Json = False,
    model: Annotated[bool, typer.Option("--model", help="Also ask the model, twice and shortly; that costs a little.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show the rights that are there.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Look at the whole installation and say what to mend. Exit 0 when nothing fails, else 1."""
    from bot.cli.doctor import run

    raise SystemExit(run(as_json=as_json, ask_model=model, verbose=verbose, url=url, token=token, data_dir=data_dir))


@app.command()
def runner() -> None:
    """Run the in-cluster runner (configured by OPSTHREAD_RUNNER_…)."""
    from runner.__main__ import main as runner_main

    raise SystemExit(runner_main())


account = typer.Typer(help="Accounts and roles, for administrators.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(account, name="account")


@account.command("list")
def account_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the accounts."""
    from bot.cli.accounts import list_accounts

    raise SystemExit(list_accounts(url=url, token=token, data_dir=data_dir, as_json=as_json))


@account.command("create")
def account_create(
    name: Annotated[str, typer.Argument(help="Sign-in name.")],
    role: Annotated[str, typer.Option(help="viewer, operator, approver or admin.")] = "viewer",
    display_name: Annotated[str | None, typer.Option(help="What others see.")] = None,
    cluster: Annotated[list[str] | None, typer.Option(help="Clusters of the role; all when absent.")] = None,
    namespace: Namespace = None,
    email: Annotated[str | None, typer.Option(help="By it they are recognised in Slack.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Create an account and print a one-time sign-in link for it."""
    from bot.cli.accounts import create_account

    raise SystemExit(
        create_account(
            name, role=role, display_name=display_name, clusters=tuple(cluster or ("*",)),
            namespaces=tuple(namespace or ("*",)), email=email, url=url, token=token, data_dir=data_dir,
        )
    )  # fmt: skip


@account.command("email")
def account_email(
    name: str,
    email: Annotated[str | None, typer.Argument(help="By it they are recognised in Slack; none takes it away.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Say by which e-mail address an account is recognised in Slack."""
    from bot.cli.accounts import set_email

    raise SystemExit(set_email(name, email, url=url, token=token, data_dir=data_dir))


@account.command("link")
def account_link(name: str, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Print a new one-time sign-in link for an account."""
    from bot.cli.accounts import make_link

    raise SystemExit(make_link(name, url=url, token=token, data_dir=data_dir))


app.add_typer(alerts_app, name="alerts")
app.add_typer(approvals_app, name="approvals")
app.add_typer(audit_app, name="audit")
app.add_typer(cluster_app, name="cluster")
app.add_typer(freeze_app, name="freeze")
app.add_typer(usage_app, name="usage")
app.add_typer(turn_app, name="turn")
app.add_typer(cases_app, name="cases")
app.add_typer(weights_app, name="weights")
app.command("feedback")(feedback)
app.add_typer(model_app, name="model")
app.add_typer(nats_app, name="nats")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(slack_app, name="slack")
with_slack_admin(slack_app)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    print(f"opsthread {installed('opsthread')}")


def main() -> int:
    """The entry point. Usage errors exit 2, as click does."""
    try:
        app()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return Exit.ANSWERED
