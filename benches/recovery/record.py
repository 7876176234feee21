#!/usr/bin/env python3
"""Records shell sessions as the agent would log them, with what the shells themselves say they ran.

    record.py FOLDER [--seed N] [--sessions N] [--actions N] [--only KIND]

A driver types into real shells under a pty: with mistakes and edits, history, searches, completion, pastes, heredocs,
nested shells, full-screen programs and resizes. The output goes through `script`, as the agent does it. For each
session FOLDER gets NAME.s3.log and NAME.truth.json. The truth is what the shell says right before it runs a command:
its newest history entry (bash, whose PS0 asks for it), its preexec hook (zsh, fish), or, for dash, which keeps no
record, the lines as the terminal hands them over. What bash and zsh have in their history without having run it, such as
a comment, is noted as entered and not executed.
"""

import argparse
import base64
import concurrent.futures
import fcntl
import json
import os
import pty
import random
import re
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time

PROMPTS = {
    "bash-version": r"\s-\v\$ ",
    "bash-brackets": r"[\u@ip-10-1-2-3 \W]\$ ",
    "bash-ubuntu": r"\[\e]0;\u@\h: \w\a\]\[\e[01;32m\]\u@ip-10-1-2-3\[\e[00m\]:\[\e[01;34m\]\w\[\e[00m\]\$ ",
    "bash-two-rows": r"\n\[\e[36m\]\t \w\[\e[0m\]\n\$ ",
    "bash-custom": r"prod|\u|\W >> ",
    "bash-no-sign": r"work \W: ",
}
SIMPLE = [
    "whoami", "id -u", "uname -a", "ls", "ls -la /etc/ssl", "cat alpha.txt", "grep -s pass alpha.txt", "df -h /", "date +%Y",
    "echo hello world", "env | grep HOME", "head -3 /etc/passwd", "ls /tmp | wc -l", 'find . -name "*.txt"',
    'echo "a > b"', "echo 'root# fake'", "history | tail -2", "cat prompts.txt", "chmod +x run.sh", "./run.sh",
    "seq 1 40", "for i in 1 2 3; do echo $i; done", "export LEVEL=debug; echo $LEVEL", "true && false || echo no",
    "printf 'no newline'", r"printf '\033[31mred\033[0m\n'", "base64 /etc/hostname", "python3 -c 'print(1+1)'",
    "echo h\u00e9llo w\u00f6rld", "echo \u65e5\u672c\u8a9e", "ls --color=always", "awk -F: '{print $1}' /etc/passwd | head -4",
    "kill -0 $$", "stty -a | head -1", r"printf '10%%\r20%%\n'", "cat gamma.log; echo done", "echo $((1+2))",
    "cd /tmp", "cd", "cd /usr/share", "ls -d /etc/*.conf | head", "test -f alpha.txt && echo yes",
]
LONG = [
    "echo " + " ".join(f"word{n:02}" for n in range(22)),
    'find / -maxdepth 1 -type d -name "aaaaaaaaaaaaaaaaa" -o -name "bbbbbbbbbbbbbbbbbbbbbb" -o -name "cccccccccccccc"',
    "curl -s -m 1 -X POST -H 'Content-Type: application/json' -d '{\"user\":\"alice\",\"note\":\"abcdefghijklmnop\"}' http://127.0.0.1:1/x",
    "echo " + "x" * 170,
    "tar czf /tmp/e.tgz --exclude=node_modules --exclude=.git --exclude=target alpha.txt beta_one.csv beta_two.csv; rm /tmp/e.tgz",
]
SHELLS = {"bash", "zsh", "fish", "dash"}
# What ends a program that was recalled from history by chance: cat and python, less, vim, anything else.
WAYS_OUT = [b"\x04", b"q", b"\x1b:q!\r", b"\x03"]
UP, DOWN, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[D"


class Terminal:
    """A shell under a pty, and all that it wrote."""

    def __init__(self, argv, environment, columns):
        self.written = b""
        self.is_open = True
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.execvpe(argv[0], argv, environment)
        self.resize(columns)
        self.read(0.7)

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def read(self, quiet=0.06, longest=4.0):
        end = time.monotonic() + longest
        while time.monotonic() < end:
            if not select.select([self.master], [], [], quiet)[0]:
                return
            try:
                data = os.read(self.master, 65536)
            except OSError:
                # Whoever had the other end is gone.
                self.is_open = False
                return
            self.written += data

    def send(self, data, quiet=0.06):
        if self.is_open:
            os.write(self.master, data)
            self.read(quiet)

    def type(self, text, chance):
        """Types as a person does: the shell sees a few characters at a time."""
        part = ""
        for character in text:
            part += character
            if chance.random() < 0.25:
                self.send(part.encode(), 0.008)
                part = ""
        self.send(part.encode(), 0.03)

    def is_at_shell(self):
        """Whether a shell, and no program, reads what is typed."""
        try:
            with open(f"/proc/{os.tcgetpgrp(self.master)}/comm") as file:
                return file.read().strip() in SHELLS
        except OSError:
            return False

    def settle(self):
        """Leaves the program that still runs, as whoever sits at the terminal would."""
        for way_out in [b"", *WAYS_OUT]:
            self.send(way_out)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                if not self.is_open or self.is_at_shell():
                    return
                self.read(0.05, 0.1)

    def close(self):
        self.read(0.2)
        os.close(self.master)
        try:
            os.kill(self.process, 9)
        except ProcessLookupError:
            pass
        os.waitpid(self.process, 0)


class Driver:
    """Types one session."""

    def __init__(self, kind, home, columns, chance):
        self.kind, self.home, self.chance = kind, home, chance
        self.is_bare = kind == "dash"
        self.has_marks = not kind.endswith("unmarked") and not self.is_bare
        self.truth_path = os.path.join(home, ".record")
        self.entered_path = os.path.join(home, ".entered")
        self.lines = []
        argv, environment = shell(kind, home, self.truth_path, chance)
        self.terminal = Terminal(argv, environment, columns)

    def enter(self, quiet=0.12):
        self.terminal.send(b"\r", quiet)

    def run(self, text, quiet=0.12):
        shown = len(self.terminal.written)
        self.terminal.type(text, self.chance)
        self.enter(quiet)
        # A shell that has just ended shows nothing.
        if len(self.terminal.written) > shown:
            self.ran(text)

    def ran(self, text):
        self.lines.append(text)

    def some(self):
        text = self.chance.choice(SIMPLE)
        # fish reads another syntax.
        while self.kind == "fish" and re.search(r"for i in|\$\(|\$\$|export", text):
            text = self.chance.choice(SIMPLE)
        return text

    # What people do at a prompt.
    def plain(self):
        self.run(self.some())

    def mistake_at_the_end(self):
        text, length = self.some(), self.chance.randint(1, 6)
        self.terminal.type(text + "qwerty"[:length], self.chance)
        self.terminal.send(b"\x7f" * length)
        self.enter()
        self.ran(text)

    def mistake_inside(self):
        text = self.some()
        at = self.chance.randint(1, max(1, len(text) - 1))
        self.terminal.type(text[:at] + "zz" + text[at:], self.chance)
        for _ in text[at:]:
            self.terminal.send(LEFT, 0.005)
        self.terminal.send(b"\x7f\x7f")
        if self.chance.random() < 0.5:
            self.terminal.send(b"\x05")
        self.enter()

    def insert_at_the_start(self):
        self.terminal.type("cat alpha.txt", self.chance)
        self.terminal.send(b"\x01")
        self.terminal.type("echo ", self.chance)
        self.enter()

    def kill_line(self):
        text = self.some()
        self.terminal.type("rm -rf /important", self.chance)
        self.terminal.send(b"\x15")
        self.terminal.type(text, self.chance)
        self.enter()
        self.ran(text)

    def kill_word(self):
        self.terminal.type("cat /etc/hosts wrong", self.chance)
        self.terminal.send(b"\x17")
        self.terminal.type("alpha.txt", self.chance)
        self.enter()
        self.ran("cat /etc/hosts alpha.txt")

    def kill_and_yank(self):
        self.terminal.type("keep this echo", self.chance)
        self.terminal.send(b"\x1bb")
        self.terminal.send(b"\x0b")
        self.terminal.send(b"\x01")
        self.terminal.send(b"\x19")
        self.terminal.type(" ", self.chance)
        self.enter()

    def recall(self):
        for _ in range(self.chance.randint(1, 4)):
            self.terminal.send(UP, 0.03)
        self.enter()

    def recall_and_edit(self):
        for _ in range(self.chance.randint(2, 5)):
            self.terminal.send(UP, 0.03)
        self.terminal.send(DOWN, 0.03)
        self.terminal.type(" #x", self.chance)
        self.enter()

    def search(self):
        self.terminal.send(b"\x12")
        self.terminal.type(self.chance.choice(["ec", "ls", "ca", "gr", "wh"]), self.chance)
        if self.chance.random() < 0.5:
            self.terminal.send(b"\x05")
            self.terminal.type(" ", self.chance)
        self.enter()

    def complete(self):
        self.terminal.type("cat al", self.chance)
        self.terminal.send(b"\t", 0.15)
        self.enter()

    def complete_from_list(self):
        self.terminal.type("cat be", self.chance)
        self.terminal.send(b"\t", 0.15)
        self.terminal.send(b"\t\t", 0.2)
        self.terminal.type("o", self.chance)
        self.terminal.send(b"\t", 0.15)
        self.enter()

    def cancel(self):
        self.terminal.type("echo never executed", self.chance)
        self.terminal.send(b"\x03", 0.15)

    def nothing(self):
        self.enter()

    def long(self):
        self.run(self.chance.choice(LONG), 0.2)

    def long_with_edits(self):
        self.terminal.type(self.chance.choice(LONG), self.chance)
        self.terminal.send(b"\x01")
        self.terminal.type("time ", self.chance)
        self.terminal.send(b"\x05")
        for _ in range(self.chance.randint(3, 25)):
            self.terminal.send(LEFT, 0.005)
        self.terminal.type("Q", self.chance)
        self.terminal.send(b"\x7f")
        self.enter(0.25)

    def long_recalled(self):
        self.long()
        self.terminal.send(UP, 0.05)
        self.terminal.type(" z", self.chance)
        self.enter(0.2)

    def heredoc(self):
        if self.kind == "fish":
            return self.plain()
        self.rows(["cat <<EOF", "line one", "line two", "EOF"])

    def quote(self):
        self.rows(['echo "first', 'second"'])

    def backslash(self):
        self.rows(["echo one \\", "two"])

    def loop(self):
        if self.kind == "fish":
            self.rows(["for f in a b", "echo $f", "end"])
        else:
            self.rows(["for f in a b; do", "echo $f", "done"])

    def rows(self, rows):
        for row in rows:
            self.terminal.type(row, self.chance)
            self.enter()
        joined = "\n".join(rows)
        self.ran(joined)

    def paste(self):
        self.pasted("echo pasted one; id -u")
        self.enter()
        self.ran("echo pasted one; id -u")

    def paste_rows(self):
        if self.has_marks:
            self.pasted("echo p1\necho p2\necho p3")
            self.enter(0.2)
        else:
            self.terminal.send(b"echo p1\recho p2\recho p3\r", 0.3)
            for row in ("echo p1", "echo p2", "echo p3"):
                self.ran(row)

    def pasted(self, text):
        data = text.replace("\n", "\r").encode()
        if self.has_marks:
            data = b"\x1b[200~" + data + b"\x1b[201~"
        self.terminal.send(data, 0.15)

    def type_ahead(self):
        self.terminal.send(b"sleep 0.3; echo slow\r", 0.02)
        self.terminal.send(b"echo ahead\r", 0.6)
        self.ran("sleep 0.3; echo slow")
        self.ran("echo ahead")

    def editor(self):
        self.terminal.type("vim -u NONE alpha.txt", self.chance)
        self.enter(0.4)
        self.ran("vim -u NONE alpha.txt")
        self.terminal.send(b"ihello $ rm -rf /\x1b", 0.2)
        self.terminal.send(b":q!\r", 0.3)

    def pager(self):
        self.terminal.type("less /etc/services", self.chance)
        self.enter(0.5)
        self.ran("less /etc/services")
        self.terminal.send(b" ", 0.2)
        self.terminal.send(b"q", 0.3)

    def clear(self):
        self.run("clear")

    def clear_while_typing(self):
        self.terminal.type("echo before", self.chance)
        self.terminal.send(b"\x0c", 0.1)
        self.terminal.type(" after", self.chance)
        self.enter()

    def language(self):
        self.terminal.type("python3 -q", self.chance)
        self.enter(0.5)
        self.ran("python3 -q")
        for line in (b"1+1\r", b"import os\r", b"exit()\r"):
            self.terminal.send(line, 0.25)

    def nested(self):
        name = "bash" if self.kind.startswith("bash") else self.kind
        self.run(name, 0.5)
        self.plain()
        self.mistake_at_the_end()
        self.run("exit", 0.3)

    def background(self):
        self.run("sleep 0.1 &")
        self.run("echo meanwhile", 0.2)

    def standard_input(self):
        self.run("cat")
        self.terminal.send(b"typed into cat $ id\r", 0.1)
        self.terminal.send(b"\x04", 0.15)

    def resize(self):
        self.terminal.resize(self.chance.choice([80, 100, 132, 170]))
        self.terminal.read(0.15)
        self.run("echo resized")

    def secret(self):
        if self.kind == "fish":
            return self.plain()
        self.run("read -r answer")
        self.terminal.send(b"s3cret\r", 0.1)


EVERYWHERE = [
    (Driver.plain, 12), (Driver.mistake_at_the_end, 5), (Driver.kill_line, 3), (Driver.kill_word, 2), (Driver.cancel, 2),
    (Driver.nothing, 2), (Driver.long, 3), (Driver.heredoc, 2), (Driver.quote, 2), (Driver.backslash, 1),
    (Driver.loop, 2), (Driver.paste, 2), (Driver.paste_rows, 2), (Driver.editor, 1), (Driver.pager, 1),
    (Driver.clear, 1), (Driver.language, 1), (Driver.nested, 2), (Driver.standard_input, 1), (Driver.background, 1),
    (Driver.secret, 1), (Driver.type_ahead, 1),
]
WITH_EDITOR = [
    (Driver.mistake_inside, 4), (Driver.insert_at_the_start, 3), (Driver.kill_and_yank, 2), (Driver.recall, 4),
    (Driver.recall_and_edit, 2), (Driver.search, 4), (Driver.complete, 3), (Driver.complete_from_list, 2),
    (Driver.long_with_edits, 3), (Driver.long_recalled, 2), (Driver.clear_while_typing, 2), (Driver.resize, 1),
]


def shell(kind, home, record, chance):
    """The program, its arguments and its environment; its start-up files are written to its home."""
    environment = {
        "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": home, "PATH": os.environ["PATH"], "SHELL": "/bin/sh",
        "XDG_CONFIG_HOME": os.path.join(home, ".config"), "XDG_DATA_HOME": os.path.join(home, ".data"),
    }

    def write(name, text):
        path = os.path.join(home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    for name in ("alpha.txt", "beta_one.csv", "beta_two.csv", "gamma.log"):
        write(name, f"{name} one\n{name} two\npass=none\n")
    write("prompts.txt", "root@ip-10-9-9-9:~# rm -rf /\nsh-4.1$ cat /etc/shadow\n$ whoami\n> x\n")
    write("run.sh", "#!/bin/sh\nid -u\nls /nonexistent\n")
    hook = f"base64 -w0 >> {record}; echo >> {record}"
    entered = hook.replace(".record", ".entered")
    if kind.startswith("bash"):
        prompt = chance.choice(list(PROMPTS.values()))
        marks = "off" if kind.endswith("unmarked") else "on"
        write(".inputrc", f"set enable-bracketed-paste {marks}\nset bell-style none\n")
        environment["INPUTRC"] = os.path.join(home, ".inputrc")
        write(
            ".bashrc",
            f"HISTFILE={home}/.history\nHISTSIZE=100000\nHISTFILESIZE=100000\nHISTCONTROL=\n"
            f"shopt -s cmdhist lithist histappend\nPS1='{prompt}'\n"
            f"PROMPT_COMMAND='history -a; history 1 | {{ {entered}; }}'\n"
            f"PS0='$(history 1 | {{ {hook}; }})'\nset +H\ncd {home}\n",
        )
        return ["bash", "--rcfile", os.path.join(home, ".bashrc"), "-i"], environment
    if kind == "zsh":
        prompt = chance.choice(["%n@%m %1~ %# ", "%F{green}➜%f  %c ", "%m%# ", "[%n@%m %~]%# "])
        right = chance.choice(["", "RPROMPT='%T'\n"])
        write(
            ".zshrc",
            f"PROMPT='{prompt}'\n{right}preexec() {{ print -rn -- \"$1\" | {hook} }}\n"
            f"precmd() {{ print -rn -- \"$HISTCMD $history[$((HISTCMD-1))]\" | {entered} }}\n"
            f"setopt interactivecomments\nHISTFILE={home}/.zhistory\nHISTSIZE=1000\nbindkey -e\ncd {home}\n",
        )
        return ["zsh", "-i"], environment
    if kind == "fish":
        write(
            ".config/fish/config.fish",
            f"set -U fish_greeting\nfunction record --on-event fish_preexec\n    printf %s $argv[1] | begin; {hook}; end\nend\ncd {home}\n",
        )
        return ["fish"], environment
    environment["PS1"] = chance.choice(["$ ", "# ", "ip-10-1-2-3$ "])
    return ["dash", "-c", f"cd {home}; exec dash -i"], environment


def noted(path):
    """What a hook wrote, without repetitions of the number and the text of an entry."""
    try:
        with open(path, errors="replace") as file:
            return [base64.b64decode(line).decode(errors="replace").rstrip("\n") for line in file if line.strip()]
    except FileNotFoundError:
        return []


def recorded(driver):
    """What the shell says that it ran, and what else was entered."""
    if driver.is_bare:
        return [line for line in driver.lines if line.strip()], []
    ran = noted(driver.truth_path)
    entered = dict.fromkeys(noted(driver.entered_path))
    if driver.kind.startswith("bash"):
        entered = [entry for entry in entered if entry not in set(ran)]
    # The number of the entry comes first.
    text = re.compile(r"^ *\d+[* ] ?")
    if driver.kind.startswith("bash"):
        ran = [text.sub("", entry) for entry in ran]
    entered = [text.sub("", entry) for entry in entered]
    return ran, [entry for entry in entered if entry.strip() and entry not in set(ran)]


def record(folder, kind, seed, actions):
    chance = random.Random(f"{kind}-{seed}")
    columns = chance.choice([80, 80, 100, 120, 132, 157, 204])
    home = tempfile.mkdtemp(prefix="record-")
    try:
        driver = Driver(kind, home, columns, chance)
        choices = EVERYWHERE + ([] if driver.is_bare else WITH_EDITOR)
        for _ in range(actions):
            action = chance.choices([action for action, _ in choices], [weight for _, weight in choices])[0]
            driver.terminal.settle()
            if not driver.terminal.is_open:
                break
            action(driver)
        driver.terminal.settle()
        if driver.terminal.is_open:
            driver.run("echo END")
        # Shells may have been started in shells, and a quote may be open.
        for attempt in range(8):
            driver.terminal.settle()
            if attempt > 0:
                driver.terminal.send(b"\x03", 0.15)
            if driver.terminal.is_open:
                driver.run("exit", 0.3)
        driver.terminal.close()
        name = f"{kind}-{columns}-{seed}"
        raw = os.path.join(home, "ipcTempFile.log")
        with open(raw, "wb") as file:
            file.write(driver.terminal.written)
        log = os.path.join(folder, f"{name}.s3.log")
        subprocess.run(
            ["script", log, "-c", f"cat {raw}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
        )
        ran, entered = recorded(driver)
        events = [{"final": text, "executed": True} for text in ran]
        events += [{"final": text, "executed": False, "entered": True} for text in entered]
        with open(os.path.join(folder, f"{name}.truth.json"), "w") as file:
            json.dump({"shell": kind, "cols": columns, "events": events}, file, ensure_ascii=False, indent=0)
        return f"{name}: {len(events)} commands, {len(driver.terminal.written)} bytes"
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=4, help="of each kind")
    parser.add_argument("--actions", type=int, default=40, help="in each session")
    parser.add_argument("--only")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    kinds = ["bash-marked", "bash-unmarked", "dash", "zsh", "fish"]
    kinds = [kind for kind in kinds if shutil.which(kind.split("-")[0]) and arguments.only in (None, kind)]
    jobs = [(kind, seed) for seed in range(arguments.seed, arguments.seed + arguments.sessions) for kind in kinds]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in pool.map(lambda job: record(arguments.folder, *job, arguments.actions), jobs):
            print(done, flush=True)


if __name__ == "__main__":
    main()
