#!/usr/bin/env python3
"""The local AWS stack: MiniStack, with the behaviour that this project needs and MiniStack lacks.

    GATEWAY_PORT=4701 python localaws.py --state FOLDER

It imports MiniStack, replaces some of its parts (`patching.py` says how), and serves it on 127.0.0.1:
- `lambda_patches.py`          events reach functions through Lambda's asynchronous path, functions act as
  their role
- `session_manager.py`         Session Manager: sessions, nodes, CloudTrail records, shells, S3 logs
- `cloudformation_patches.py`  template properties that MiniStack refuses or drops
- `resource_types.py`          resource types that it does not know: groups, instances, documents, trails
- `nested_stacks.py`           SAM, updates and retained resources in nested stacks
- `metric_patches.py`          EMF, metric filters and JSON filter patterns
- `iam_patches.py`             with --enforce-iam: what policy evaluation lacks for Session Manager
- `traces.py`                  a trace header for every invocation, and an X-Ray daemon that keeps what it gets
- `deliveries.py`              mail, text messages and posts to other hosts are kept, not sent
- `queue_patches.py`           a dead-letter queue's messages, given back
- `faults.py`                  API calls that fail on demand, and a log of every call
- `admin.py`                   the paths under /_localaws/ by which tests steer all this

It prints one line, the endpoint, when it serves. It ends on SIGTERM, on SIGINT, and when standard input is a
pipe that closes; every process that it or a session's shell started is killed before it exits. Exit codes: 0
ended as asked, 2 wrong usage, 3 the port is taken, 4 this MiniStack does not fit the patches.

It cannot outlive kill -9 tidily: function processes then end by themselves (their Runtime API is gone), and
shells get a hangup from their terminal, but a program that a shell detached stays.
"""

import argparse
import asyncio
import ctypes
import logging
import os
import shutil
import signal
import socket
import stat
import sys
import threading

sys.dont_write_bytecode = True

HOST = "127.0.0.1"
PORT_TAKEN = 3
DOES_NOT_FIT = 4
PR_SET_CHILD_SUBREAPER = 36
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main():
    parser = argparse.ArgumentParser(description="Local AWS stack for the tests and the demo.")
    parser.add_argument(
        "--state", required=True, help="folder for logs and for the files of shells; may exist"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("GATEWAY_PORT", "4566")),
        help="port on 127.0.0.1; 0 takes a free one (default: GATEWAY_PORT, else 4566)",
    )
    parser.add_argument(
        "--enforce-iam",
        action="store_true",
        help="check signatures and policies; without it every call is allowed",
    )
    parser.add_argument(
        "--remove-state",
        action="store_true",
        help="remove the state folder at the end",
    )
    options = parser.parse_args()

    state = os.path.abspath(options.state)
    # Until it serves, too, it leaves nothing behind.
    for number in ENDING_SIGNALS:
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        run(options, state)
    finally:
        if options.remove_state:
            shutil.rmtree(state, ignore_errors=True)
    # MiniStack's worker threads may wait on processes that are gone now; nothing is left for them to do.
    os._exit(0)


def run(options, state):
    os.makedirs(os.path.join(state, "tmp"), exist_ok=True)
    logging.basicConfig(
        filename=os.path.join(state, "localaws.log"),
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # It warns at every deployment that it did not send usage figures home.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)

    # The socket is bound before MiniStack is imported: MiniStack reads its port from the environment while it
    # is imported, and a port that was free a moment ago may not be when the server starts.
    listener = listen(options.port)
    port = listener.getsockname()[1]
    endpoint = f"http://{HOST}:{port}"
    set_environment(port, endpoint, state)
    os.environ["AUTH"] = "true" if options.enforce_iam else "false"
    adopt_orphans()

    from patching import PatchError

    try:
        application = build_application(state)
    except PatchError as error:
        print(f"localaws: {error}", file=sys.stderr)
        sys.exit(DOES_NOT_FIT)

    try:
        asyncio.run(serve(application, listener, endpoint))
    finally:
        kill_descendants()


def listen(port):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # Only a listening socket keeps others off the port.
        listener.listen(1024)
    except OSError as error:
        print(f"localaws: port {port} on {HOST} cannot be used: {error.strerror}", file=sys.stderr)
        sys.exit(PORT_TAKEN)
    return listener


def set_environment(port, endpoint, state):
    """What MiniStack reads while it is imported. Functions inherit only a part: see `lambda_patches.py`."""
    os.environ.update(
        {
            "GATEWAY_PORT": str(port),
            "AWS_ENDPOINT_URL": endpoint,
            "MINISTACK_HOST": HOST,
            "TMPDIR": os.path.join(state, "tmp"),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # Counted over all accounts, and each function has its own bound in `lambda_patches.py`.
            "LAMBDA_ACCOUNT_CONCURRENCY": "0",
            # No daemon may be asked for containers, whatever the machine has.
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        }
    )
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    # Settings of the person's own AWS account have no business here.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        os.environ.pop(name, None)


def build_application(state):
    import cloudformation_patches
    import deliveries
    import event_patches
    import faults
    import lambda_patches
    import metric_patches
    import nested_stacks
    import queue_patches
    import resource_types
    import s3_patches
    import session_manager

    lambda_patches.install()
    cloudformation_patches.install()
    resource_types.install()
    nested_stacks.install()
    metric_patches.install()
    s3_patches.install()
    queue_patches.install()
    event_patches.install()
    deliveries.install()
    session_manager.install(state)
    if os.environ["AUTH"] == "true":
        import iam_patches
        import role_patches

        iam_patches.install()
        role_patches.install()
    faults.install()

    import admin

    return admin.application()


async def serve(application, listener, endpoint):
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, ended.set)
    end_with_standard_input(lambda: loop.call_soon_threadsafe(ended.set))

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = 1024
    config.keep_alive_timeout = 75
    # Long polls must not hold up the end.
    config.graceful_timeout = 0.2
    config.loglevel = "WARNING"
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn")

    async def until_ended():
        await ended.wait()
        # Functions and shells go first, so that none of them sees a half-stopped stack.
        kill_descendants()

    serving = asyncio.create_task(hypercorn_serve(application, config, shutdown_trigger=until_ended))
    serving.add_done_callback(lambda _: ended.set())
    await application.started.wait()
    print(endpoint, flush=True)
    await serving


def end_with_standard_input(end):
    """Calls `end` when the program that holds the other end of standard input is gone.

    Only a pipe or a socket can tell: /dev/null reads as closed from the start, and a terminal sends SIGINT.
    """
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def watch():
        while os.read(0, 4096):
            pass
        end()

    threading.Thread(target=watch, name="standard-input", daemon=True).start()


def adopt_orphans():
    """Makes this process the parent of what a shell detaches (nohup, setsid), so that the end can find it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants():
    """Kills every process below this one, until a look finds none.

    Linux only: elsewhere /proc is missing, and only the direct children that MiniStack knows are killed."""
    if not os.path.isdir("/proc/self"):
        from ministack.core import lambda_runtime

        lambda_runtime.reset()
        return
    while living := descendants(os.getpid()):
        for pid in living:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in living:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                # Not a child of ours yet, or reaped by the thread that started it.
                pass


def descendants(root):
    """The living processes below `root`, by the parent that /proc names."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                # The name, in brackets, may hold spaces and brackets itself.
                status, parent = file.read().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status != "Z":
            children.setdefault(int(parent), []).append(int(entry))
    found, open_parents = [], [root]
    while open_parents:
        for child in children.get(open_parents.pop(), []):
            found.append(child)
            open_parents.append(child)
    return found


if __name__ == "__main__":
    main()
