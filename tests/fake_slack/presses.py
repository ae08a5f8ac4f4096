"""What people press, fill in and command. Payloads can be made first and sent later, twice, or in another order."""

from typing import Any, cast

from tests.fake_slack.blocks import check_view
from tests.fake_slack.courier import Courier
from tests.fake_slack.deliveries import Delivery, Kind
from tests.fake_slack.methods_views import add_view, change, named, view_json
from tests.fake_slack.payloads import VERIFICATION, interaction, message_json
from tests.fake_slack.records import Json, Message, View, interactive_elements
from tests.fake_slack.responses import respond
from tests.fake_slack.world import World

CHOSEN: dict[str, tuple[str, bool]] = {
    "static_select": ("selected_option", True),
    "external_select": ("selected_option", True),
    "overflow": ("selected_option", True),
    "radio_buttons": ("selected_option", True),
    "multi_static_select": ("selected_options", True),
    "checkboxes": ("selected_options", True),
    "users_select": ("selected_user", False),
    "multi_users_select": ("selected_users", False),
    "conversations_select": ("selected_conversation", False),
    "channels_select": ("selected_channel", False),
    "datepicker": ("selected_date", False),
    "timepicker": ("selected_time", False),
    "datetimepicker": ("selected_date_time", False),
}
"""Where the chosen one stands in a payload, and whether it is one of the element's options."""


class Presses:
    """Interactions of people. `click` and `submit` refuse what a person couldn't do; `forge_click` doesn't."""

    def __init__(self, world: World, courier: Courier) -> None:
        self._world = world
        self._courier = courier

    async def click(self, message: Message, action_id: str, user: str, choice: Any = None, block_id: str = "") -> Delivery:
        """Press a button (`choice` is the value of one of two feedback buttons) or choose in a menu (an option's value)."""
        return self.interact(self.click_payload(message, action_id, user, choice, block_id))

    def click_payload(self, message: Message, action_id: str, user: str, choice: Any = None, block_id: str = "") -> Json:
        """The payload of a press on the message as it is now; `interact` sends it, once or more, now or later."""
        assert not message.only_for or message.only_for == user, f"{user} doesn't see this message"
        assert not message.deleted, "the message is gone; make the payload before, and send it with interact"
        assert not self._world.user(user).deleted, f"{user} is deactivated; make the payload before, and send it with interact"
        element = _element(message.elements(), action_id, block_id, choice)
        return self._block_actions(message, element, user, choice)

    async def forge_click(
        self, channel: str, ts: str, action_id: str, user: str, value: str = "", block_id: str = "forged"
    ) -> Delivery:
        """A press that no button stands for: on a message as it is, or on one that was never posted."""
        known = self._world.messages.get((channel, ts))
        message = known or Message(channel, ts, self._world.user(user).team_id, user, "")
        element = {"type": "button", "action_id": action_id, "block_id": block_id, "value": value, "text": _plain("Approve")}
        return self.interact(self._block_actions(message, element, user, None))

    async def click_in_view(self, view: View, action_id: str, user: str, choice: Any = None) -> Delivery:
        """Press a button in a modal or in the Home tab."""
        element = _element(interactive_elements(view.body["blocks"]), action_id, "", choice)
        payload = self._interaction("block_actions", user, view.team_id)
        payload |= {"container": {"type": "view", "view_id": view.id}, "view": view_json(self._world, view)}
        payload["actions"] = [self._action(element, choice)]
        return self.interact(payload)

    async def submit(self, view: View, user: str, values: dict[str, Any] | None = None) -> Delivery:
        """Fill in a modal and submit: values by action_id or block_id. The app's response_action takes effect with its ack."""
        assert not view.closed, "the modal is closed"
        state = _state(view.body["blocks"], values or {})
        payload = self._interaction("view_submission", user, view.team_id)
        payload |= {"view": view_json(self._world, view, state), "response_urls": []}
        return self._courier.send(Kind.INTERACTIVE, payload, view.team_id, lambda done: self._submitted(view, done.answer))

    async def close(self, view: View, user: str) -> Delivery | None:
        """Dismiss a modal; the app hears of it if it asked to."""
        view.closed = True
        self._world.changed()
        if not view.body.get("notify_on_close"):
            return None
        payload = self._interaction("view_closed", user, view.team_id)
        return self.interact({**payload, "view": view_json(self._world, view), "is_cleared": False})

    async def slash(self, user: str, channel: str, text: str, command: str = "") -> Delivery:
        """Type a slash command. Text in its acknowledgement comes back as an ephemeral message."""
        world = self._world
        person, place = world.user(user), world.channel(channel)
        team = world.teams[place.team_id]
        address = world.new_response_url(team.id, place.id, user)
        payload: Json = {
            "token": VERIFICATION,
            "team_id": team.id,
            "team_domain": team.domain,
            "channel_id": place.id,
            "channel_name": place.shown_name,
            "user_id": user,
            "user_name": person.name,
            "command": command or world.app.command,
            "text": text,
            "api_app_id": world.app.id,
            "is_enterprise_install": "false",
            "response_url": address,
            "trigger_id": world.new_trigger(user),
        }
        url = world.response_urls[address.rpartition("/")[2]]

        def reply(done: Delivery) -> None:
            if done.answer.get("text") or done.answer.get("blocks"):
                respond(world, url, done.answer)

        return self._courier.send(Kind.COMMAND, payload, team.id, reply)

    async def shortcut(self, message: Message, callback_id: str, user: str) -> Delivery:
        """Choose one of the app's shortcuts in a message's menu."""
        world, place = self._world, self._world.channel(message.channel)
        payload = self._interaction("message_action", user, place.team_id)
        return self.interact(
            payload
            | {
                "callback_id": callback_id,
                "channel": {"id": place.id, "name": place.shown_name},
                "message": message_json(world, message),
                "message_ts": message.ts,
                "action_ts": world.new_ts(),
                "response_url": world.new_response_url(place.team_id, place.id, user, message),
            }
        )

    def interact(self, payload: Json) -> Delivery:
        """Send an interaction as it is."""
        return self._courier.send(Kind.INTERACTIVE, payload, str(payload["team"]["id"]))

    def open_views(self, user: str) -> list[View]:
        """The modals that a person has before them, the top one last."""
        return [one for one in self._world.views.values() if one.user == user and not one.closed]

    def _block_actions(self, message: Message, element: Json, user: str, choice: Any) -> Json:
        world, place = self._world, self._world.channel(message.channel)
        container: Json = {"type": "message", "message_ts": message.ts, "channel_id": place.id}
        container["is_ephemeral"] = bool(message.only_for)
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = self._interaction("block_actions", user, place.team_id)
        return payload | {
            "container": container,
            "channel": {"id": place.id, "name": place.shown_name},
            "message": message_json(world, message),
            "state": {"values": {}},
            "response_url": world.new_response_url(place.team_id, place.id, user, message),
            "actions": [self._action(element, choice)],
        }

    def _interaction(self, kind: str, user: str, team_id: str) -> Json:
        world = self._world
        return interaction(world, kind, world.user(user), team_id, world.new_trigger(user))

    def _action(self, element: Json, choice: Any) -> Json:
        """What stands in `actions`: the element's names, and what was chosen."""
        kind = str(element["type"])
        shown: Json = {"type": kind, "action_id": element["action_id"], "block_id": element["block_id"]}
        shown["action_ts"] = self._world.new_ts()
        if kind == "feedback_buttons":
            pressed = next(one for one in (element["positive_button"], element["negative_button"]) if one["value"] == choice)
            return shown | {"text": pressed["text"], "value": pressed["value"]}
        if kind in CHOSEN:
            return shown | _chosen(element, choice)
        return shown | {name: element[name] for name in ("text", "value", "style", "icon", "url") if name in element}

    def _submitted(self, view: View, answer: Json) -> None:
        world = self._world
        match answer.get("response_action"):
            case "errors":
                view.errors = {str(block): str(words) for block, words in answer["errors"].items()}
            case "update":
                check_view(answer["view"], "modal")
                change(world, view, named(world, answer["view"]))
            case "push":
                check_view(answer["view"], "modal")
                add_view(world, view.user, named(world, answer["view"]), on=view)
            case "clear":
                for one in self.open_views(view.user):
                    one.closed = True
            case _:
                view.closed = True
        world.changed()


def _element(elements: list[Json], action_id: str, block_id: str, choice: Any) -> Json:
    """The one element that a person would press."""
    found = [one for one in elements if one["action_id"] == action_id and (not block_id or one["block_id"] == block_id)]
    shown = ", ".join(sorted(str(one["action_id"]) for one in elements)) or "nothing"
    assert found, f"there is no {action_id} to press; there is {shown}"
    assert len(found) == 1 or choice is not None, f"there are {len(found)} times {action_id}: name the block_id or the choice"
    return found[0]


def _chosen(element: Json, choice: Any) -> Json:
    where, of_options = CHOSEN[str(element["type"])]
    if not of_options:
        return {where: choice}
    groups = element.get("option_groups") or [{"options": element.get("options", [])}]
    options = {option["value"]: option for group in groups for option in group["options"]}
    wanted = cast(list[Any], choice) if isinstance(choice, list) else [choice]
    assert all(one in options for one in wanted), f"{choice} is not among the options {', '.join(options)}"
    picked = [options[one] for one in wanted]
    return {where: picked if where.endswith("s") else picked[0]}


def _state(blocks: list[Json], values: dict[str, Any]) -> Json:
    """The `state.values` of a modal that was filled in so. A person can't leave out what is required."""
    state: Json = {}
    for element in interactive_elements(blocks):
        kind, action, block = str(element["type"]), str(element["action_id"]), str(element["block_id"])
        owner = next(one for one in blocks if one.get("block_id") == block)
        if kind in ("button", "overflow"):
            continue
        given = values.get(action, values.get(block))
        must = owner["type"] == "input" and not owner.get("optional")
        assert given is not None or not must, f"{action} in {block} is required"
        if kind in CHOSEN:
            where = CHOSEN[kind][0]
            entry: Json = {where: [] if where.endswith("s") else None} if given is None else _chosen(element, given)
        else:
            entry = {"value": given}
        state.setdefault(block, {})[action] = {"type": kind, **entry}
    return state


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": True}
