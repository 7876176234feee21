"""X-Ray, as a function meets it: a trace for every invocation, and a daemon that keeps what it is sent.

With tracing Active every invocation is sampled; AWS samples the first of each second and one in twenty of the
rest. With PassThrough none is. Datagrams wait in the socket and are read before and after every invocation and
whenever somebody asks, so that everything a function sent before it answered is there when it has answered.

It cannot: send anything on, make the segments that Lambda makes, or sample by rules.
"""

import collections
import json
import logging
import secrets
import socket
import threading
import time

import scope

KEPT = 5_000

log = logging.getLogger("localaws.traces")


class Daemon:
    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._traces = collections.OrderedDict()
        self._lock = threading.Lock()
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]

    def begin(self, config):
        """The trace header of an invocation that begins."""
        self.read()
        sampled = (config.get("TracingConfig") or {}).get("Mode") == "Active"
        trace = {
            "account": scope.account(),
            "function": config.get("FunctionName", ""),
            "traceId": f"1-{int(time.time()):08x}-{secrets.token_hex(12)}",
            "segmentId": secrets.token_hex(8),
            "sampled": sampled,
            "documents": [],
        }
        with self._lock:
            self._traces[trace["traceId"]] = trace
            while len(self._traces) > KEPT:
                self._traces.popitem(last=False)
        return (
            f"Root={trace['traceId']};Parent={trace['segmentId']};Sampled={int(sampled)};"
            f"Lineage=1:{secrets.token_hex(4)}:0"
        )

    def forget(self, header):
        """Keeps nothing of the trace that a header began."""
        with self._lock:
            self._traces.pop(header.split(";")[0].removeprefix("Root="), None)

    def read(self):
        with self._lock:
            while True:
                try:
                    datagram = self._socket.recv(65_536)
                except BlockingIOError:
                    return
                self._keep(datagram)

    def _keep(self, datagram):
        header, _, document = datagram.partition(b"\n")
        try:
            if json.loads(header) != {"format": "json", "version": 1}:
                raise ValueError("another format")
            document = json.loads(document)
            trace = self._traces.get(document["trace_id"])
        except (ValueError, KeyError, TypeError) as error:
            log.error("a datagram that is no segment document: %s in %.200r", error, datagram)
            return
        if trace:
            trace["documents"].append(document)

    def traces(self):
        """The traces of the account, oldest first."""
        self.read()
        with self._lock:
            return [
                {name: value for name, value in trace.items() if name != "account"}
                for trace in self._traces.values()
                if trace["account"] == scope.account()
            ]


daemon = Daemon()
