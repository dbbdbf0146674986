"""Drives the package composable-paxos 1.0.0 of PyPI for the conformance judge: an example of a finished adapter.

    pip install composable-paxos==1.0.0
    paxos-conformance subject -- python3 composable.py [--keep-round]

The package has no store. The adapter persists the state of an acceptor, as the package demands. A proposer that restarts begins
at round 0 again, unless `--keep-round` makes the adapter persist its round too.
"""

import base64
import io
import pickle
import sys

import template
from template import Accept, Accepted, Nack, Prepare, Promise

try:
    import composable_paxos as package
except ImportError:
    print("cannot import composable_paxos: install it by `pip install composable-paxos==1.0.0`", file=sys.stderr)
    sys.exit(2)


class Ballot(package.ProposalID):
    """A ballot that is above `None`. The package compares the two, which only Python 2 allows."""

    def __lt__(self, other):
        return other is not None and tuple(self) < other

    def __le__(self, other):
        return other is not None and tuple(self) <= other

    def __gt__(self, other):
        return other is None or tuple(self) > other

    def __ge__(self, other):
        return other is None or tuple(self) >= other


NO_BALLOT = Ballot(0, "")  # A promise without a vote carries this ballot instead of `None`: it compares with `None` too.


def ballot_of(wire):
    return NO_BALLOT if wire is None else Ballot(*wire)


class Acceptor(template.Node):
    DURABLE = ["promised", "accepted"]

    def __init__(self, learners):
        self.learners = learners
        self.acceptor = package.Acceptor("")

    @property
    def promised(self):
        return self.acceptor.promised_id

    @property
    def accepted(self):
        return self.acceptor.accepted_id and [self.acceptor.accepted_id, self.acceptor.accepted_value]

    def recover(self, durable_state):
        promised, accepted = durable_state.get("promised"), durable_state.get("accepted")
        if promised:
            self.acceptor.promised_id = Ballot(*promised)
        if accepted:
            self.acceptor.accepted_id, self.acceptor.accepted_value = Ballot(*accepted[0]), accepted[1]
        return []

    def on_prepare(self, sender, message):
        answer = self.acceptor.receive(package.Prepare(sender, Ballot(*message.ballot)))
        if isinstance(answer, package.Nack):
            return [([sender], Nack(answer.proposal_id, answer.promised_proposal_id, phase=1))]
        return [([sender], Promise(answer.proposal_id, answer.last_accepted_id, answer.last_accepted_value))]

    def on_accept(self, sender, message):
        answer = self.acceptor.receive(package.Accept(sender, Ballot(*message.ballot), message.value))
        if isinstance(answer, package.Nack):
            return [([sender], Nack(answer.proposal_id, answer.promised_proposal_id, phase=2))]
        return [([sender] + self.learners, Accepted(answer.proposal_id, answer.proposal_value))]


class Learner(template.Node):
    def __init__(self, quorum):
        self.learner = package.Learner("", quorum)

    @property
    def decided(self):
        return self.learner.final_value

    def on_accepted(self, sender, message):
        self.learner.receive(package.Accepted(sender, Ballot(*message.ballot), message.value))
        return []


class Proposer(Learner):
    def __init__(self, name, acceptors, quorum):
        super().__init__(quorum)
        self.acceptors = acceptors
        self.proposer = package.Proposer(name, quorum)

    @property
    def round(self):
        return self.proposer.highest_proposal_id.number

    @property
    def waiting(self):
        return self.proposer.proposed_value is not None and self.decided is None

    def recover(self, durable_state):
        if "round" in durable_state:
            self.proposer.observe_proposal(Ballot(durable_state["round"], self.proposer.network_uid))
        return []

    def propose(self, value):
        if self.proposer.proposed_value is not None:
            return []
        return self.broadcast(self.proposer.propose_value(value) or self.proposer.prepare())

    def start_round(self):
        return self.broadcast(self.proposer.prepare())

    def on_promise(self, sender, message):
        ballot, vote_ballot = Ballot(*message.ballot), ballot_of(message.vote_ballot)
        name = self.proposer.network_uid
        return self.broadcast(self.proposer.receive(package.Promise(sender, name, ballot, vote_ballot, message.vote_value)))

    def on_nack(self, sender, message):
        ballot, promised = Ballot(*message.ballot), ballot_of(message.promised)
        return self.broadcast(self.proposer.receive(package.Nack(sender, self.proposer.network_uid, ballot, promised)))

    def broadcast(self, message):
        if isinstance(message, package.Prepare):
            return [(self.acceptors, Prepare(message.proposal_id))]
        if isinstance(message, package.Accept):
            return [(self.acceptors, Accept(message.proposal_id, message.proposal_value))]
        return []


class RoundKeeper(Proposer):
    DURABLE = ["round"]


class Saver(pickle.Pickler):
    """Pickles a set as a sorted list, because the order of a set of strings differs from process to process."""

    def persistent_id(self, value):
        return sorted(value) if isinstance(value, set) else None


class Loader(pickle.Unpickler):
    def persistent_load(self, members):
        return set(members)


class Adapter(template.Adapter):
    NAME = "composable-paxos 1.0.0"
    CAPS = {**template.Adapter.CAPS, "durable": ["promised", "accepted"], "retry": ["on_timeout", "on_nack"]}
    Acceptor, Learner, Proposer = Acceptor, Learner, Proposer

    def op_save(self, request):
        blob = io.BytesIO()
        saver = Saver(blob)
        saver.fast = True  # Without its memo the blob depends on the values alone, not on the identity of equal values.
        saver.dump([self.cluster, sorted(self.nodes.items())])
        return {"blob": base64.b64encode(blob.getvalue()).decode()}

    def op_load(self, request):
        self.cluster, nodes = Loader(io.BytesIO(base64.b64decode(request["blob"]))).load()
        self.nodes = dict(nodes)
        return self.observed(self.cluster["host"])


class AdapterThatKeepsRounds(Adapter):
    CAPS = {**Adapter.CAPS, "durable": ["promised", "accepted", "round"]}
    Proposer = RoundKeeper


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--keep-round"]):
        sys.exit("usage: composable.py [--keep-round]")
    template.serve(AdapterThatKeepsRounds() if sys.argv[1:] else Adapter())
