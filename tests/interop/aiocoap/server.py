"""A small LwM2M server on aiocoap, driven by JSON lines as the Leshan server is.

It knows CoAP but none of LwM2M's formats: payloads go in and out as hexadecimal
digits. Requests to a device leave from the socket on which it registered
(Transport 6.4: a device listens to its server alone). ../README.md describes
the lines.
"""

import argparse
import asyncio
import json
import os
import socket
import sys

# aiocoap would share the port with another server that happened to get the same one.
os.environ["AIOCOAP_REUSE_PORT"] = "0"

import aiocoap  # noqa: E402
from aiocoap import error, resource  # noqa: E402

DEFAULT_TIMEOUT_MS = 10_000
BIND_ATTEMPTS = 20
CHALLENGE = b"are you there?"


class CommandError(Exception):
    """A command without result; `kind` tells a time-out from a refusal."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def write_line(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def parameters(request):
    """The Uri-Query options as a dictionary; `Q` stands without a value."""
    pairs = (option.partition("=") for option in request.opt.uri_query)
    return {name: value if equals else None for name, equals, value in pairs}


class Registration:
    """What a device said of itself, with the address it said it from."""

    def __init__(self, identifier, request):
        given = parameters(request)
        self.identifier = identifier
        self.endpoint = given.pop("ep")
        self.version = given.pop("lwm2m", None) or "1.0"
        self.remote = request.remote
        self.lifetime = 86400
        self.binding = "U"
        self.queue_mode = False
        self.links = ""
        self.others = {}
        self.apply(given, request)

    def update(self, request):
        # A device behind a NAT comes back from another address (Core 6.4.2).
        self.remote = request.remote
        self.apply(parameters(request), request)

    def apply(self, given, request):
        self.lifetime = int(given.pop("lt", None) or self.lifetime)
        self.binding = given.pop("b", None) or self.binding
        self.queue_mode = "Q" in given or self.queue_mode or "Q" in self.binding
        given.pop("Q", None)
        self.others.update(given)
        if request.payload:
            self.links = request.payload.decode("utf-8")

    def view(self):
        return {
            "endpoint": self.endpoint,
            "registrationId": self.identifier,
            "version": self.version,
            "lifetime": self.lifetime,
            "binding": self.binding,
            "queueMode": self.queue_mode,
            "address": self.remote.hostinfo,
            "scheme": "coap",
            "links": parse_links(self.links),
            "otherParameters": self.others,
        }


def parse_links(text):
    """CoRE links as `{"uri", "attributes"}`; enough for lists without quoted commas."""
    links = []
    for part in filter(None, text.split(",")):
        target, *attributes = part.split(";")
        pairs = (attribute.partition("=") for attribute in attributes)
        links.append({
            "uri": target.strip().removeprefix("<").removesuffix(">"),
            "attributes": {name: value if equals else None for name, equals, value in pairs},
        })
    return links


class Site(resource.Site):
    """A site that tells of each request with a block option, before they are put together."""

    async def render_to_pipe(self, pipe):
        request = pipe.request
        for name, block in (("block1", request.opt.block1), ("block2", request.opt.block2)):
            if block is not None:
                write_line({
                    "event": "block",
                    "method": str(request.code),
                    "path": "/" + "/".join(request.opt.uri_path),
                    "option": name,
                    "number": block.block_number,
                    "more": block.more,
                    "size": block.size,
                    "tagHex": "".join(tag.hex() for tag in request.opt.request_tag or ()),
                })
        return await super().render_to_pipe(pipe)


class Server:
    def __init__(self, options):
        self.options = options
        self.tuning = type("Tuning", (aiocoap.Reliable,), {"ACK_TIMEOUT": options.ack_timeout})
        self.site = Site()
        self.site.add_resource(["rd"], RegistrationInterface(self))
        self.context = None
        self.registrations = {}
        self.changed = asyncio.Condition()
        self.observations = {}
        self.last_identifier = 0

    async def bind(self):
        """Binds a free port; aiocoap itself cannot tell which one port 0 became."""
        for _ in range(BIND_ATTEMPTS):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            try:
                self.context = await aiocoap.Context.create_server_context(
                    self.site, bind=("127.0.0.1", port), transports=["udp6"]
                )
                return port
            except OSError:
                continue
        raise OSError("no free UDP port on 127.0.0.1")

    async def register(self, registration):
        previous = self.registrations.get(registration.endpoint)
        if previous is not None:
            self.site.remove_resource(["rd", previous.identifier])
        self.registrations[registration.endpoint] = registration
        self.site.add_resource(["rd", registration.identifier], RegisteredDevice(self, registration))
        write_line({
            "event": "registered",
            "endpoint": registration.endpoint,
            "registration": registration.view(),
            "isReplacement": previous is not None,
        })
        async with self.changed:
            self.changed.notify_all()

    def unregister(self, registration):
        self.site.remove_resource(["rd", registration.identifier])
        del self.registrations[registration.endpoint]
        write_line({"event": "unregistered", "endpoint": registration.endpoint, "expired": False})


def answered(request, code, location="", message=None):
    """Answers a device and tells of it."""
    line = {
        "event": "answered",
        "method": str(request.code),
        "path": "/" + "/".join(request.opt.uri_path),
        "query": list(request.opt.uri_query),
        "code": code.dotted,
        "location": location,
    }
    if message is not None:
        line["message"] = message
    write_line(line)
    return aiocoap.Message(code=code, payload=(message or "").encode())


class RegistrationInterface(resource.Resource):
    """POST /rd (Core 6.4.1)."""

    def __init__(self, server):
        super().__init__()
        self.server = server

    async def render_post(self, request):
        if self.server.options.challenge and request.opt.echo != CHALLENGE:
            answer = answered(request, aiocoap.UNAUTHORIZED)
            answer.opt.echo = CHALLENGE
            return answer
        given = parameters(request)
        if not given.get("ep"):
            return answered(request, aiocoap.BAD_REQUEST, message="ep is missing")
        try:
            registration = Registration(str(self.server.last_identifier + 1), request)
        except ValueError as wrong:
            return answered(request, aiocoap.BAD_REQUEST, message=str(wrong))
        self.server.last_identifier += 1
        await self.server.register(registration)
        # Later than aiocoap waits with the answer: an empty acknowledgement goes before it.
        await asyncio.sleep(self.server.options.answer_after)
        answer = answered(request, aiocoap.CREATED, location=f"rd/{registration.identifier}")
        answer.payload = bytes(self.server.options.answer_bytes)
        answer.transport_tuning = self.server.tuning()
        answer.opt.location_path = ("rd", registration.identifier)
        return answer


class RegisteredDevice(resource.Resource):
    """POST and DELETE on the location of a registration (Core 6.4.2, 6.4.3)."""

    def __init__(self, server, registration):
        super().__init__()
        self.server = server
        self.registration = registration

    async def render_post(self, request):
        try:
            self.registration.update(request)
        except ValueError as wrong:
            return answered(request, aiocoap.BAD_REQUEST, message=str(wrong))
        write_line({
            "event": "updated",
            "endpoint": self.registration.endpoint,
            "registration": self.registration.view(),
        })
        return answered(request, aiocoap.CHANGED)

    async def render_delete(self, request):
        self.server.unregister(self.registration)
        return answered(request, aiocoap.DELETED)


def response_view(response):
    view = {
        "code": response.code.dotted,
        "payloadHex": response.payload.hex(),
        "separate": response.mtype is aiocoap.CON,
    }
    if response.opt.content_format is not None:
        view["format"] = int(response.opt.content_format)
    if response.opt.observe is not None:
        view["observe"] = response.opt.observe
    if not response.code.is_successful() and response.payload:
        view["message"] = response.payload.decode("utf-8", "replace")
    if view.get("format") == 40:
        view["links"] = parse_links(response.payload.decode("utf-8", "replace"))
    return view


class Commands:
    """One method a command, of the same name."""

    def __init__(self, server):
        self.server = server

    async def answer(self, line):
        answer = {}
        try:
            command = json.loads(line)
            answer["id"] = command.get("id")
            method = self.METHODS.get(command.get("cmd"))
            if method is None:
                raise CommandError("badCommand", f"unknown command {command.get('cmd')}")
            answer["result"] = await method(self, command)
        except CommandError as failed:
            answer.update(error=str(failed), kind=failed.kind)
        except (ValueError, KeyError, AttributeError, TypeError) as wrong:
            answer.update(error=repr(wrong), kind="badCommand")
        write_line(answer)

    async def wait_registration(self, command):
        endpoint = command["endpoint"]
        registrations = self.server.registrations

        async def wait():
            async with self.server.changed:
                await self.server.changed.wait_for(lambda: endpoint in registrations)

        try:
            await asyncio.wait_for(wait(), timeout(command))
        except asyncio.TimeoutError:
            raise CommandError("timeout", f"{endpoint} did not register in time") from None
        return registrations[endpoint].view()

    async def registrations(self, _command):
        return [registration.view() for registration in self.server.registrations.values()]

    async def read(self, command):
        return await self.send(command, self.message(command, aiocoap.GET, accept=command.get("format")))

    async def delete(self, command):
        return await self.send(command, self.message(command, aiocoap.DELETE))

    async def discover(self, command):
        return await self.send(command, self.message(command, aiocoap.GET, accept=40))

    async def write(self, command):
        code = {"replace": aiocoap.PUT, "update": aiocoap.POST}[command.get("mode", "replace")]
        return await self.send(command, self.message(command, code, payload=True))

    async def write_attributes(self, command):
        message = self.message(command, aiocoap.PUT)
        message.opt.uri_query = tuple(message.opt.uri_query) + tuple(command["attributes"].split("&"))
        return await self.send(command, message)

    async def execute(self, command):
        message = self.message(command, aiocoap.POST)
        if command.get("args") is not None:
            message.payload = command["args"].encode()
            message.opt.content_format = 0
        return await self.send(command, message)

    async def observe(self, command):
        message = self.message(command, aiocoap.GET, accept=command.get("format"))
        message.opt.observe = 0
        request = self.server.context.request(message)
        result = await self.receive(command, request)
        if "observe" in result:
            key = (command["endpoint"], command["path"])
            self.forget(key)
            self.server.observations[key] = (request, asyncio.create_task(self.notifications(key, request)))
        return result

    async def notifications(self, key, request):
        endpoint, path = key
        try:
            async for response in request.observation:
                write_line({"event": "notification", "endpoint": endpoint, "path": path, **response_view(response)})
        except error.Error as failed:
            write_line({"event": "notificationError", "endpoint": endpoint, "path": path, "error": repr(failed)})

    async def cancel_observe(self, command):
        if command["how"] != "passive":
            # aiocoap gives no way to send a GET with the token of the observation.
            raise CommandError("badCommand", "how: aiocoap cancels passively alone")
        if not self.forget((command["endpoint"], command["path"])):
            raise CommandError("badCommand", f"path: {command['path']} is not observed")
        return {}

    def forget(self, key):
        """Drops an observation: the next notification is answered with a Reset."""
        request, task = self.server.observations.pop(key, (None, None))
        if request is None:
            return False
        task.cancel()
        request.observation.cancel()
        return True

    def message(self, command, code, accept=None, payload=False):
        registration = self.server.registrations.get(command["endpoint"])
        if registration is None:
            raise CommandError("notRegistered", f"{command['endpoint']} is not registered")
        message = aiocoap.Message(
            code=code,
            transport_tuning=self.server.tuning() if command.get("confirmable", True) else aiocoap.Unreliable,
        )
        message.remote = registration.remote
        message.opt.uri_path = tuple(filter(None, command["path"].split("/")))
        message.opt.uri_query = tuple(command.get("query", ()))
        if accept is not None:
            message.opt.accept = accept
        if "blockExponent" in command:
            message.opt.block2 = (0, False, command["blockExponent"])
        if payload:
            message.payload = bytes.fromhex(command["payloadHex"])
            message.opt.content_format = command["format"]
        return message

    async def send(self, command, message):
        return await self.receive(command, self.server.context.request(message))

    @staticmethod
    async def receive(command, request):
        try:
            response = await asyncio.wait_for(request.response, timeout(command))
        except (asyncio.TimeoutError, error.TimeoutError):
            raise CommandError("timeout", f"no answer for {command['path']} in time") from None
        except error.MessageError:
            raise CommandError("rejected", "the device answered with a Reset") from None
        except error.Error as failed:
            raise CommandError("other", repr(failed)) from None
        return response_view(response)

    METHODS = {
        "waitRegistration": wait_registration,
        "registrations": registrations,
        "read": read,
        "write": write,
        "delete": delete,
        "writeAttributes": write_attributes,
        "discover": discover,
        "execute": execute,
        "observe": observe,
        "cancelObserve": cancel_observe,
    }


def timeout(command):
    """Seconds."""
    return command.get("timeoutMs", DEFAULT_TIMEOUT_MS) / 1000


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ack-timeout", type=float, default=2.0, help="seconds")
    parser.add_argument("--answer-after", type=float, default=0.0, help="seconds, of a Register")
    parser.add_argument("--answer-bytes", type=int, default=0, help="payload of the answer to a Register")
    parser.add_argument("--challenge", action="store_true", help="asks for an Echo (RFC 9175 2)")
    server = Server(parser.parse_args())
    write_line({"event": "ready", "coap": await server.bind()})
    commands = Commands(server)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    # Standard input ends when the test does, and so does the server.
    running = set()
    while line := await reader.readline():
        task = asyncio.create_task(commands.answer(line))
        running.add(task)
        task.add_done_callback(running.discard)
    await server.context.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
