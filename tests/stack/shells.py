"""The shell of a session, and the log that the SSM agent makes of it.

A shell is `sh` under a pseudo terminal (TERM=xterm-256color) with a home folder of its own below the state
folder. What it prints is kept byte for byte in `ipcTempFile.log`, where the agent keeps it, below the state
folder as if that were the root of the node. At the end the log is made as the agent makes it: `script` really
runs and `cat`s that file through a second pseudo terminal, so lines end in CR CR LF and the first and last
line are script's own.

Its one liberty: the header line names the file as on a node (/var/lib/amazon/ssm/...), not below the state
folder. It is a real shell on this machine, as the user who runs the stack: nothing confines what is typed
into it. Ending a session kills the shell process only. What it started in the background lives on, as on a
node.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading

ROWS, COLUMNS = 30, 120


class Shell:
    """A running shell. `on_end` is called once, from a thread, when its output is complete."""

    def __init__(self, root, instance_id, session_id, on_output, on_end):
        self.session_id = session_id
        self._root = root
        self._folder = f"var/lib/amazon/ssm/{instance_id}/session/orchestration/{session_id}/Standard_Stream"
        self._on_output = on_output
        self._on_end = on_end
        self._output = bytearray()
        # Held while the terminal is written to or closed: its number is free for another file after that.
        self._lock = threading.Lock()
        folder = os.path.join(root, self._folder)
        home = os.path.join(root, "home", session_id)
        os.makedirs(folder)
        os.makedirs(home)
        self._record = open(os.path.join(folder, "ipcTempFile.log"), "wb", buffering=0)
        self._terminal, node_end = pty.openpty()
        fcntl.ioctl(node_end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            ["sh"],
            stdin=node_end,
            stdout=node_end,
            stderr=node_end,
            cwd=home,
            close_fds=True,
            preexec_fn=lead_a_terminal_session,
            env={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "HOME": home,
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "USER": "ssm-user",
                "PS1": "$ ",
            },
        )
        os.close(node_end)
        self._ended, tell_end = os.pipe()
        threading.Thread(
            target=self._await_end, args=(tell_end,), name=f"end of {session_id}", daemon=True
        ).start()
        threading.Thread(target=self._read, name=f"shell {session_id}", daemon=True).start()

    def _await_end(self, tell_end):
        self._process.wait()
        os.close(tell_end)

    def _read(self):
        while True:
            # A background child can hold the terminal open for ever, so its end is not the end of the shell.
            readable, _, _ = select.select([self._terminal, self._ended], [], [])
            if self._terminal not in readable:
                break
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                # Linux reports a terminal without processes as an error, not as an end.
                break
            if not data:
                break
            self._record.write(data)
            self._output += data
            self._on_output()
        self._process.wait()
        self._record.close()
        with self._lock:
            os.close(self._terminal)
            self._terminal = None
        os.close(self._ended)
        self._on_end()

    def output(self):
        return bytes(self._output)

    def type(self, text):
        """Types, and tells whether there was a shell to take it."""
        with self._lock:
            if self._terminal is None or self._process.poll() is not None:
                return False
            os.write(self._terminal, text.encode())
            return True

    def kill(self):
        """Kills the shell process alone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def log(self):
        """The bytes that the agent would upload, or None without `script`: then the agent uploads nothing."""
        recorded = f"{self._folder}/ipcTempFile.log"
        target = f"{self._folder}/{self.session_id}.log"
        # As the agent: first the form of util-linux, then the one of BSD.
        for arguments in ([target, "-c", f"cat {recorded}"], [target, "cat", recorded]):
            if run_quietly(["script", *arguments], self._root):
                break
        else:
            return None
        with open(os.path.join(self._root, target), "rb") as file:
            header, newline, rest = file.read().partition(b"\n")
        return header.replace(f"cat {recorded}".encode(), f"cat /{recorded}".encode()) + newline + rest


def run_quietly(command, folder):
    try:
        nothing = subprocess.DEVNULL
        finished = subprocess.run(command, cwd=folder, stdin=nothing, stdout=nothing, stderr=nothing)
    except FileNotFoundError:
        return False
    return finished.returncode == 0


def lead_a_terminal_session():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
