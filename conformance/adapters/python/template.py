"""Drives a Paxos implementation for the conformance judge, over the protocol paxos-conf/1.

The judge is the network, the clock and the disk of the cluster. It writes one request a line to standard input, for example
"deliver this message to a1", and reads one reply a line: the effects of that event. Requests and replies are JSON objects.
This process hosts all nodes of the cluster, or one.

Run it as it stands:

    paxos-conformance subject -- python3 template.py

To judge your own implementation, copy this file and change three parts of it:

1. Replace the small Paxos below (`Acceptor`, `Learner`, `Proposer`) by imports of yours.
2. Change `Adapter` where it creates nodes, calls them and reads their state. Keep threads, clocks, sockets and random numbers
   out: equal requests must get equal replies.
3. Change `CAPS` to the capabilities of your implementation. The judge relies on them: a wrong one gives a wrong verdict.
"""

import json
import sys
from collections import namedtuple

# ---------------------------------------------------------------------------------------------------------------------- Paxos
# Single-decree Paxos with separate roles. A ballot is a list [round, proposer] and a vote is a list [ballot, value]. A handler
# changes the state of its node and returns the messages to send, as pairs (targets, message).

Prepare = namedtuple("Prepare", "ballot")
Promise = namedtuple("Promise", "ballot vote_ballot vote_value")
Accept = namedtuple("Accept", "ballot value")
Accepted = namedtuple("Accepted", "ballot value")
Nack = namedtuple("Nack", "ballot promised phase")


class Node:
    """The common part of all roles. A crash loses every attribute but those in `DURABLE`."""

    DURABLE = []
    promised = accepted = decided = None
    waiting = False

    def durable_state(self):
        return {name: getattr(self, name) for name in self.DURABLE}

    def recover(self, durable_state):
        vars(self).update(durable_state)
        return []


class Acceptor(Node):
    """Promises ballots and votes in them."""

    DURABLE = ["promised", "accepted"]

    def __init__(self, learners):
        self.learners = learners
        self.promised = None  # The highest ballot that this acceptor promised or voted in.
        self.accepted = None  # Its last vote.

    def on_prepare(self, sender, message):
        if not self.may_promise(message.ballot):
            return [([sender], Nack(message.ballot, self.promised, phase=1))]
        self.promised = message.ballot
        return [([sender], Promise(message.ballot, *(self.accepted or [None, None])))]

    def on_accept(self, sender, message):
        if not self.may_accept(message.ballot):
            return [([sender], Nack(message.ballot, self.promised, phase=2))]
        self.promised = message.ballot
        self.accepted = [message.ballot, message.value]
        return [([sender] + self.learners, Accepted(message.ballot, message.value))]

    def may_promise(self, ballot):
        return self.promised is None or ballot > self.promised

    def may_accept(self, ballot):
        return self.promised is None or ballot >= self.promised


class Learner(Node):
    """Decides the value that a quorum of acceptors voted for in one ballot."""

    def __init__(self, quorum):
        self.quorum = quorum
        self.votes = {}  # The highest vote of each acceptor.
        self.decided = None

    def on_accepted(self, sender, message):
        vote = [message.ballot, message.value]
        self.votes[sender] = max(vote, self.votes.get(sender, vote))
        if self.decided is None and self.count(vote) >= self.quorum:
            self.decided = message.value
        return []

    def count(self, vote):
        return list(self.votes.values()).count(vote)


class Proposer(Learner):
    """Gets its client's value chosen, or a value that may be chosen already. It learns the decision like a learner."""

    DURABLE = ["round"]

    def __init__(self, name, acceptors, quorum):
        super().__init__(quorum)
        self.name, self.acceptors = name, acceptors
        self.round = 0  # The highest round that this proposer used or heard of.
        self.wish = None  # The client's value. Until it restarts, the proposer ignores any further one.
        self.ballot = None  # The current ballot.
        self.promises = {}  # Its phase 1: the vote that each acceptor reported.
        self.value = None  # Its phase 2: the proposed value.

    def propose(self, value):
        if self.wish is not None:
            return []
        self.wish = value
        return self.start_round()

    @property
    def waiting(self):
        return self.wish is not None and self.decided is None

    def start_round(self):
        self.round += 1
        self.ballot, self.promises, self.value = [self.round, self.name], {}, None
        return self.broadcast(Prepare(self.ballot))

    def on_promise(self, sender, message):
        if message.ballot != self.ballot or self.value is not None:
            return []
        self.promises[sender] = [message.vote_ballot, message.vote_value]
        if len(self.promises) < self.quorum:
            return []
        self.value = self.choose_value([vote for vote in self.promises.values() if vote[0] is not None])
        return self.broadcast(Accept(self.ballot, self.value))

    def choose_value(self, reported_votes):
        return max(reported_votes)[1] if reported_votes else self.wish

    def on_nack(self, sender, message):
        if message.promised is not None:
            self.round = max(self.round, message.promised[0])
        return []

    def broadcast(self, message):
        return [(self.acceptors, message)]


# -------------------------------------------------------------------------------------------------------------------- Adapter


class Adapter:
    """Serves each request of the judge by the method `op_…` that its `op` names. An exception becomes an error reply."""

    NAME = "template"
    CAPS = {
        "topology": "split",
        "accepted_to": ["proposer", "learner"],
        "self_delivery": "network",
        "nack": True,
        "retry": ["on_timeout"],
        "repropose": "any",
        "durable": ["promised", "accepted", "round"],
        "observe": ["promised", "accepted", "decided"],
        "save": True,
    }
    MESSAGES = {  # The class of each kind of message, and the names of its fields in the protocol.
        "prepare": (Prepare, ["b"]),
        "promise": (Promise, ["b", "vb", "v"]),
        "accept": (Accept, ["b", "v"]),
        "accepted": (Accepted, ["b", "v"]),
        "nack": (Nack, ["b", "pb", "ph"]),
    }
    Acceptor, Learner, Proposer = Acceptor, Learner, Proposer

    def __init__(self):
        self.cluster = {}  # The names of the nodes: by role, and those that this process hosts.
        self.nodes = {}  # The nodes that are up.

    def op_hello(self, request):
        return {"impl": self.NAME, "caps": self.CAPS}

    def op_init(self, request):
        if sorted(request["proposers"]) != request["proposers"]:
            raise ValueError("ballots compare proposers by their names; list them in that order")
        self.cluster = {key: request[key] for key in ("acceptors", "proposers", "learners", "host")}
        self.nodes = {at: self.new_node(at) for at in request["host"]}
        for at, blob in (request.get("store") or {}).items():
            self.nodes[at].recover(json.loads(blob or "{}"))
        return self.observed(request["host"])

    def op_propose(self, request):
        return self.step(request, self.node(request).propose, request["value"])

    def op_deliver(self, request):
        handler = getattr(self.node(request), "on_" + request["msg"]["k"])
        return self.step(request, handler, request["from"], self.decode(request["msg"]))

    def op_timer(self, request):
        if request["timer"] != "retry" or not self.node(request).waiting:
            raise ValueError(f"timer {request['timer']} of {request['at']} is not armed")
        return self.step(request, self.node(request).start_round)

    def op_crash(self, request):
        del self.nodes[request["at"]]
        return self.observed([request["at"]])

    def op_restart(self, request):
        if request["at"] in self.nodes:
            raise ValueError(f"{request['at']} is up already")
        self.nodes[request["at"]] = self.new_node(request["at"])
        return self.step(request, self.node(request).recover, json.loads(request["store"] or "{}"))

    def op_query(self, request):
        return self.state(self.node(request))

    def op_save(self, request):
        nodes = {at: vars(node) for at, node in self.nodes.items()}
        return {"blob": json.dumps([self.cluster, nodes], sort_keys=True)}  # Sorted, so that equal states have equal blobs.

    def op_load(self, request):
        self.cluster, nodes = json.loads(request["blob"])
        self.nodes = {at: self.new_node(at) for at in nodes}
        for at, attributes in nodes.items():
            vars(self.nodes[at]).update(attributes)
        return self.observed(self.cluster["host"])

    def op_bye(self, request):
        return {}

    def new_node(self, at):
        quorum = self.quorum(len(self.cluster["acceptors"]))
        if at in self.cluster["acceptors"]:
            return self.Acceptor(self.cluster["learners"])
        if at in self.cluster["proposers"]:
            return self.Proposer(at, self.cluster["acceptors"], quorum)
        return self.Learner(quorum)

    def quorum(self, acceptors):
        return acceptors // 2 + 1

    def node(self, request):
        if request["at"] not in self.nodes:
            raise ValueError(f"{request['at']} is not up")
        return self.nodes[request["at"]]

    def step(self, request, handler, *arguments):
        """Calls a handler of a node and reports its effects. A handler that raises has no effect and takes the node down."""
        at, node = request["at"], self.node(request)
        durable_state, decided = node.durable_state(), node.decided
        try:
            messages = handler(*arguments)
        except Exception as error:
            del self.nodes[at]
            return {"fault": {"kind": "panic", "text": f"{type(error).__name__}: {error}"}}
        step = {"send": [{"to": to, "msg": self.encode(message, request.get("mid"))} for to, message in messages]}
        if node.durable_state() != durable_state:
            step["persist"] = {at: json.dumps(node.durable_state())}
        if node.decided != decided:
            step["decided"] = [{"at": at, "slot": 0, "value": node.decided}]
        return {**step, **self.observed([at])}

    def observed(self, names):
        """Reports the timers of the nodes, and the state of those that are up."""
        up = {at: self.nodes[at] for at in names if at in self.nodes}
        timers = {at: ["retry"] if at in up and up[at].waiting else [] for at in names}
        return {"timers": timers, "state": {at: self.state(node) for at, node in up.items()}}

    def state(self, node):
        vote = node.accepted and {"b": node.accepted[0], "v": node.accepted[1]}
        return {"promised": node.promised, "accepted": vote, "decided": node.decided}

    def encode(self, message, mid):
        kind = type(message).__name__.lower()
        is_answer = kind in ("promise", "accepted", "nack")
        return {"k": kind, **dict(zip(self.MESSAGES[kind][1], message)), **({"re": mid} if is_answer else {})}

    def decode(self, wire):
        message, fields = self.MESSAGES[wire["k"]]
        return message(*[wire[field] for field in fields])


def serve(adapter):
    """Answers the requests on standard input, until `bye` or the end of the input."""
    replies, sys.stdout = sys.stdout, sys.stderr  # Standard output is for replies; prints of the implementation go elsewhere.
    for line in sys.stdin.buffer:
        request = {}
        try:
            request = dict(json.loads(line))
            reply = getattr(adapter, "op_" + request["op"])(request)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": request.get("id"), **reply}), file=replies, flush=True)
        if request.get("op") == "bye":
            break


if __name__ == "__main__":
    serve(Adapter())
