"""Files in three steps: a URL to upload to, the bytes, and the completion that shares them."""

from aiohttp import web

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.methods_chat import target, thread_of
from tests.fake_slack.records import File, Json, Message
from tests.fake_slack.world import World


def get_upload_url(world: World, call: Call) -> Json:
    length = call.number("length", 0)
    if length <= 0:
        raise SlackError("file_upload_size_restricted" if call.text("length") else "invalid_arguments")
    token = call.token
    made = File(world.new_id("F"), token.team_id, token.user_id, call.need("filename"), length, alt_text=call.text("alt_txt"))
    world.files[made.id] = made
    ticket = world.chance.hex()
    world.upload_tickets[ticket] = made.id
    return {"ok": True, "upload_url": f"{world.base}/upload/v1/{ticket}", "file_id": made.id}


async def upload(world: World, request: web.Request) -> web.Response:
    """Take the bytes; no token, the URL itself is the secret."""
    file = world.files.get(world.upload_tickets.get(request.match_info["ticket"], ""))
    if file is None:
        return web.Response(status=404, text="no such upload")
    if request.content_type.startswith("multipart/"):
        parts = [value for value in (await request.post()).values() if isinstance(value, web.FileField)]
        body = parts[0].file.read() if parts else b""
    else:
        body = await request.read()
    if len(body) != file.length:
        return web.Response(status=400, text="the length is not that of the announcement")
    file.content = body
    world.changed()
    return web.Response(text=f"OK - {len(body)}")


def complete_upload(world: World, call: Call) -> Json:
    named = call.objects("files")
    files: list[File] = []
    for one in named:
        file = world.files.get(str(one.get("id", "")))
        if file is None or file.user != call.token.user_id or file.content is None:
            raise SlackError("file_not_found")
        file.title = str(one.get("title") or file.name)
        files.append(file)
    if not files:
        raise SlackError("invalid_arguments")
    where = [one for one in [call.text("channel_id"), *call.words("channels")] if one]
    for name in where:
        place = Call(call.method, {**call.args, "channel": name}, call.at, call.token)
        channel = target(world, place)
        message = Message(channel.id, world.new_ts(), call.token.team_id, call.token.user_id, call.text("initial_comment"))
        message.bot_id, message.app_id, message.subtype = call.token.bot_id, world.app.id, "file_share"
        message.thread_ts, message.files = thread_of(world, place, channel), [one.id for one in files]
        world.add(message)
        for file in files:
            file.shared_in.append((channel.id, message.ts))
    for file in files:
        file.complete = True
    world.changed()
    return {"ok": True, "files": [file_json(world, one) for one in files]}


def info(world: World, call: Call) -> Json:
    return {"ok": True, "file": file_json(world, _file(world, call))}


def delete(world: World, call: Call) -> Json:
    file = _file(world, call)
    if file.user != call.token.user_id:
        raise SlackError("cant_delete_file")
    del world.files[file.id]
    for channel, ts in file.shared_in:
        message = world.messages[(channel, ts)]
        message.files = [one for one in message.files if one != file.id]
    world.changed()
    return {"ok": True}


def file_json(world: World, file: File) -> Json:
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title,
        "size": file.length,
        "user": file.user,
        "alt_txt": file.alt_text,
        "permalink": f"{world.base}/files/{file.id}",
        "url_private": f"{world.base}/files-pri/{file.id}",
    }


def _file(world: World, call: Call) -> File:
    file = world.files.get(call.need("file", "file_not_found"))
    if file is None or file.team_id != call.token.team_id:
        raise SlackError("file_not_found")
    return file
