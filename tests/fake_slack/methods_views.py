"""views.open, update, push, publish: modals that a click opens, and the Home tab."""

from tests.fake_slack.blocks import check_view
from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.methods_chat import with_block_ids
from tests.fake_slack.records import Json, View
from tests.fake_slack.world import TRIGGER_LIFE_S, World


def open_view(world: World, call: Call) -> Json:
    person = _use_trigger(world, call)
    body = _checked(world, call, "modal")
    return _shown(world, add_view(world, person, body))


def push(world: World, call: Call) -> Json:
    person = _use_trigger(world, call)
    top = next((one for one in reversed(world.views.values()) if one.user == person and not one.closed), None)
    if top is None:
        raise SlackError("not_found")
    return _shown(world, add_view(world, person, _checked(world, call, "modal"), on=top))


def update(world: World, call: Call) -> Json:
    name = call.text("external_id")
    found = next((one for one in world.views.values() if name and one.body.get("external_id") == name), None)
    view = found or world.views.get(call.text("view_id"))
    if view is None or view.closed:
        raise SlackError("not_found")
    change(world, view, _checked(world, call, "modal"), call.text("hash"))
    return _shown(world, view)


def publish(world: World, call: Call) -> Json:
    person = world.user(call.need("user_id", "invalid_arguments"))
    if person.is_bot or person.deleted:
        raise SlackError("user_not_found")
    body = _checked(world, call, "home")
    view = world.homes.get((call.token.team_id, person.id))
    if view is None:
        made = world.new_id("V")
        view = View(made, call.token.team_id, person.id, body, _hash(world), made)
        world.homes[(call.token.team_id, person.id)] = view
        world.changed()
    else:
        change(world, view, body, call.text("hash"))
    return _shown(world, view)


def add_view(world: World, person: str, body: Json, on: View | None = None) -> View:
    """Open a modal for a person, over the one below it if there is one."""
    made = world.new_id("V")
    team = world.user(person).team_id
    view = View(made, team, person, body, _hash(world), on.root_id if on else made, on.id if on else "")
    world.views[view.id] = view
    world.changed()
    return view


def change(world: World, view: View, body: Json, expected_hash: str = "") -> None:
    if expected_hash and expected_hash != view.hash:
        raise SlackError("hash_conflict")
    view.history.append(view.body)
    view.body, view.hash, view.errors = body, _hash(world), {}
    world.changed()


def named(world: World, body: Json) -> Json:
    """A view as Slack keeps it: with a name for each block."""
    return {**body, "blocks": with_block_ids(world, body.get("blocks") or [])}


def view_json(world: World, view: View, state: Json | None = None) -> Json:
    """A view as answers and interactions show it."""
    bot = next((one for one in world.users.values() if one.bot_id and one.team_id == view.team_id), None)
    defaults: Json = {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
    }
    return {
        **defaults,
        **view.body,
        "id": view.id,
        "team_id": view.team_id,
        "state": {"values": state or {}},
        "hash": view.hash,
        "previous_view_id": view.previous_id or None,
        "root_view_id": view.root_id,
        "app_id": world.app.id,
        "app_installed_team_id": view.team_id,
        "bot_id": bot.bot_id if bot else "",
    }


def _use_trigger(world: World, call: Call) -> str:
    """The person of the trigger; a trigger works once, within three seconds."""
    trigger = call.need("trigger_id", "invalid_trigger_id")
    made, person = world.triggers.get(trigger, (0.0, ""))
    if not person:
        raise SlackError("invalid_trigger_id")
    if trigger in world.used_triggers:
        raise SlackError("exchanged_trigger_id")
    if world.clock.now() - made > TRIGGER_LIFE_S:
        raise SlackError("expired_trigger_id")
    world.used_triggers.add(trigger)
    return person


def _checked(world: World, call: Call, kind: str) -> Json:
    body = call.object("view")
    check_view(body, kind)
    return named(world, body)


def _hash(world: World) -> str:
    return f"{int(world.clock.now())}.{world.chance.hex(8)}"


def _shown(world: World, view: View) -> Json:
    return {"ok": True, "view": view_json(world, view)}
