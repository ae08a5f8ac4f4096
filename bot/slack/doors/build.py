"""All doors, a row each."""

from bot.slack.blocks.answer import FEEDBACK_DOWN, FEEDBACK_UP
from bot.slack.blocks.approval import APPROVE
from bot.slack.blocks.modals import FEEDBACK_MODAL, REJECT_MODAL, WITHDRAW
from bot.slack.doors.commands import Commands
from bot.slack.doors.feedback import FeedbackDoor
from bot.slack.doors.home import Homes
from bot.slack.doors.registry import Doors
from bot.slack.doors.rim import Rim
from bot.slack.doors.verdicts import Verdicts
from bot.slack.doors.windows import Windows
from bot.slack.work.questions import Questions


def doors(rim: Rim, questions: Questions) -> Doors:
    verdicts, feedback, homes = Verdicts(rim), FeedbackDoor(rim), Homes(rim)
    return Doors(
        install=Windows(rim).install,
        actions={
            APPROVE: verdicts.approve,
            WITHDRAW: verdicts.withdraw,
            FEEDBACK_UP: feedback.right,
            FEEDBACK_DOWN: feedback.wrong,
        },
        views={REJECT_MODAL: verdicts.reject, FEEDBACK_MODAL: feedback.told},
        kinds={"command": Commands(rim, questions).handle, "home": homes.opened, "shortcut": questions.shortcut},
        parts=(("homes", homes.run),),
    )
