"""All doors, a row each."""

from bot.slack.blocks.approval import APPROVE
from bot.slack.blocks.modals import REJECT_MODAL, WITHDRAW
from bot.slack.doors.registry import Doors
from bot.slack.doors.rim import Rim
from bot.slack.doors.verdicts import Verdicts
from bot.slack.doors.windows import Windows


def doors(rim: Rim) -> Doors:
    verdicts, windows = Verdicts(rim), Windows(rim)
    return Doors(
        install=windows.install,
        actions={APPROVE: verdicts.approve, WITHDRAW: verdicts.withdraw},
        views={REJECT_MODAL: verdicts.reject},
        kinds={},
    )
