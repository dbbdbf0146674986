"""Serves the Paxos of `template.py` with one deliberate bug, to try the judge on known bugs.

    python3 gallery.py --list    prints one line a bug, with tabs: name, number, expected verdict, meaning
    python3 gallery.py BUG       serves the protocol paxos-conf/1 with that bug

Each bug is a class that overrides a role of the template, or its adapter. The number is the place in the catalogue of known
bugs; it is "-" for a bug outside the catalogue.
"""

import os
import random
import re
import sys
from collections import namedtuple

from template import Accept, Accepted, Acceptor, Adapter, Learner, Nack, Proposer, serve

BUGS = {}
Bug = namedtuple("Bug", "number verdict meaning adapter")


def bug(number, verdict, **caps):
    """Enters a class into `BUGS`. Its name is the name of the bug, and the first line of its docstring the meaning."""

    def enter(cls):
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        members = {"NAME": name, "CAPS": {**Adapter.CAPS, **caps}}
        for role in (Acceptor, Proposer, Learner):  # A proposer is a learner too, so the learner comes last.
            if issubclass(cls, role):
                members[role.__name__] = cls
                break
        base = cls if issubclass(cls, Adapter) else Adapter
        BUGS[name] = Bug(number, verdict, cls.__doc__.splitlines()[0], type(cls.__name__, (base,), members))
        return cls

    return enter


# --------------------------------------------------------------------------------------------------------------- The acceptor's


@bug("1", "safety")
class AnswersBeforePersisting(Acceptor):
    """An acceptor answers a message before its new state is durable; the state follows with the next message."""

    written = {"promised": None, "accepted": None}

    def on_prepare(self, sender, message):
        self.written = super().durable_state()
        return super().on_prepare(sender, message)

    def on_accept(self, sender, message):
        self.written = super().durable_state()
        return super().on_accept(sender, message)

    def durable_state(self):
        return self.written

    def recover(self, durable_state):
        self.written = {**self.written, **durable_state}
        return super().recover(durable_state)


@bug("1", "safety")
class PromiseNotPersisted(Acceptor):
    """An acceptor persists its votes, but not its promises."""

    DURABLE = ["accepted"]


@bug("1", "safety")
class VoteNotPersisted(Acceptor):
    """An acceptor persists its promises, but not its votes."""

    DURABLE = ["promised"]


@bug("2", "safety")
class TakesStoreForEmpty(Acceptor):
    """An acceptor that restarts fails to read its store and begins with an empty one."""

    def recover(self, durable_state):
        return []


@bug("3", "safety")
class VotesBelowPromise(Acceptor):
    """An acceptor votes in a ballot below its promise, and keeps the promise."""

    def may_accept(self, ballot):
        return True

    def on_accept(self, sender, message):
        promised = self.promised or message.ballot
        messages = super().on_accept(sender, message)
        self.promised = max(promised, message.ballot)
        return messages


@bug("4", "safety")
class PromiseDrops(Acceptor):
    """An acceptor promises a ballot below its promise, and its promise drops to that ballot."""

    def may_promise(self, ballot):
        return True


@bug("4", "pass")
class PromiseKept(Acceptor):
    """An acceptor promises a ballot below its promise, and keeps the higher promise: safe, though the promise is useless."""

    def may_promise(self, ballot):
        return True

    def on_prepare(self, sender, message):
        promised = self.promised or message.ballot
        messages = super().on_prepare(sender, message)
        self.promised = max(promised, message.ballot)
        return messages


@bug("5", "safety")
class VoteRaisesNoPromise(Acceptor):
    """A vote does not raise the promise of its acceptor, which then votes in a lower ballot."""

    def on_accept(self, sender, message):
        promised = self.promised
        messages = super().on_accept(sender, message)
        self.promised = promised
        return messages


@bug("6", "safety")
class PromiseClearsVote(Acceptor):
    """An acceptor clears its vote when it promises a higher ballot, before it reports the vote."""

    def on_prepare(self, sender, message):
        if self.may_promise(message.ballot):
            self.accepted = None
        return super().on_prepare(sender, message)


@bug("6", "safety")
class PromiseClearsReportedVote(Acceptor):
    """An acceptor clears its vote when it promises a higher ballot, after it reported the vote once."""

    def on_prepare(self, sender, message):
        may_promise = self.may_promise(message.ballot)
        messages = super().on_prepare(sender, message)
        if may_promise:
            self.accepted = None
        return messages


@bug("7", "safety")
class OneBallotVariable(Acceptor):
    """An acceptor keeps one variable for the ballot it promised and the ballot it voted in, so a promise moves its vote."""

    def on_prepare(self, sender, message):
        messages = super().on_prepare(sender, message)
        if self.accepted:
            self.accepted = [self.promised, self.accepted[1]]
        return messages


@bug("18", "safety")
class ReportsNoVote(Acceptor):
    """A promise reports no vote although its acceptor voted."""

    def on_prepare(self, sender, message):
        return [
            (to, answer if isinstance(answer, Nack) else answer._replace(vote_ballot=None, vote_value=None))
            for to, answer in super().on_prepare(sender, message)
        ]


@bug("18", "safety")
class HidesLowerVote(PromiseKept):
    """An acceptor promises below its promise, and reports no vote if its last vote is above the promised ballot."""

    def on_prepare(self, sender, message):
        vote = self.accepted
        if vote and vote[0] > message.ballot:
            self.accepted = None
        messages = super().on_prepare(sender, message)
        self.accepted = vote
        return messages


@bug("19", "liveness")
class AcceptNeedsEqualPromise(Acceptor):
    """An acceptor refuses an accept unless it promised exactly that ballot: it is no help if the prepare was lost."""

    def may_accept(self, ballot):
        return ballot == self.promised


class SendsAcceptToPromisers(Proposer):
    def broadcast(self, message):
        if isinstance(message, Accept):
            return [([acceptor for acceptor in self.acceptors if acceptor in self.promises], message)]
        return super().broadcast(message)


@bug("19", "pass", accept_to="promisers")
class AcceptToPromisersNeedsEqualPromise(Adapter):
    """An acceptor refuses an accept unless it promised exactly that ballot; only acceptors that promised it get the accept."""

    Acceptor, Proposer = AcceptNeedsEqualPromise, SendsAcceptToPromisers


@bug("20", "liveness")
class AcceptNeedsHigherBallot(Acceptor):
    """An acceptor refuses an accept unless its ballot is above the promise, so the promised ballot itself is refused."""

    def may_accept(self, ballot):
        return self.promised is None or ballot > self.promised


@bug("21", "pass")
class PromisesTwice(Acceptor):
    """An acceptor answers a second prepare of the same ballot by a promise: safe, because one proposer owns the ballot."""

    def may_promise(self, ballot):
        return self.promised is None or ballot >= self.promised


@bug("22", "safety")
class AcceptedWithoutVote(Acceptor):
    """An acceptor that refuses an accept answers with an accepted message all the same."""

    def on_accept(self, sender, message):
        if self.may_accept(message.ballot):
            return super().on_accept(sender, message)
        return [([sender] + self.learners, Accepted(message.ballot, message.value))]


@bug("29", "liveness")
class VotesOnce(Acceptor):
    """An acceptor that voted ignores every later accept."""

    def on_accept(self, sender, message):
        return [] if self.accepted else super().on_accept(sender, message)


# --------------------------------------------------------------------------------------------------------------- The proposer's


@bug("8", "safety")
class IgnoresReportedVotes(Proposer):
    """A proposer proposes its own value although promises report votes."""

    def choose_value(self, reported_votes):
        return self.wish


@bug("9", "safety")
class AdoptsLowestVote(Proposer):
    """A proposer adopts the value of the lowest reported vote."""

    def choose_value(self, reported_votes):
        return min(reported_votes)[1] if reported_votes else self.wish


class RemembersArrival(Proposer):
    """A proposer that adopts the vote at one place in the order in which the promises arrived."""

    def start_round(self):
        self.arrived = []
        return super().start_round()

    def on_promise(self, sender, message):
        if message.ballot == self.ballot and message.vote_ballot is not None:
            self.arrived.append(message.vote_value)
        return super().on_promise(sender, message)

    def choose_value(self, reported_votes):
        return self.arrived[self.ADOPTED] if self.arrived else self.wish


@bug("9", "safety")
class AdoptsFirstVote(RemembersArrival):
    """A proposer adopts the value of the vote that was reported first."""

    ADOPTED = 0


@bug("9", "safety")
class AdoptsLastVote(RemembersArrival):
    """A proposer adopts the value of the vote that was reported last."""

    ADOPTED = -1


@bug("10", "safety")
class CountsOldPromise(Proposer):
    """A proposer counts a promise for one of its older ballots."""

    def on_promise(self, sender, message):
        return super().on_promise(sender, message._replace(ballot=self.ballot)) if self.ballot else []


@bug("11", "safety")
class CountsPromiseTwice(Proposer):
    """A proposer counts a duplicate promise as the promise of a further acceptor."""

    def on_promise(self, sender, message):
        return super().on_promise(f"{sender}, promise {len(self.promises)}", message)


@bug("15", "safety")
class ReusesBallot(Proposer):
    """A proposer does not persist its round, although it claims to, and uses a ballot again after a restart."""

    DURABLE = []


@bug("16", "safety")
class NewValueAfterRestart(Proposer):
    """A proposer that restarts takes its last ballot for prepared and proposes a new value in it."""

    def propose(self, value):
        if self.ballot or not self.round:
            return super().propose(value)
        self.wish = self.value = value
        self.ballot = [self.round, self.name]
        return self.broadcast(Accept(self.ballot, value))


@bug("16", "safety")
class NewValueInRound(Proposer):
    """A proposer that gets a second value proposes it in the ballot in which it proposed the first."""

    def propose(self, value):
        if self.value is None:
            return super().propose(value)
        self.wish = self.value = value
        return self.broadcast(Accept(self.ballot, value))


@bug("24", "safety")
class IgnoresMinority(Proposer):
    """A proposer adopts the highest reported vote only if a majority of its promises reports that vote."""

    def choose_value(self, reported_votes):
        highest = max(reported_votes, default=None)
        return highest[1] if 2 * reported_votes.count(highest) > len(self.promises) else self.wish


@bug("28", "safety")
class AcceptInFreshBallot(Proposer):
    """A proposer sends its accept under a fresh ballot that it never prepared."""

    def broadcast(self, message):
        if isinstance(message, Accept):
            self.round += 1
            self.ballot = [self.round, self.name]
            message = message._replace(ballot=self.ballot)
        return super().broadcast(message)


@bug("-", "contract", durable=["promised", "accepted"])
class RoundsNotDurable(Proposer):
    """A proposer does not persist its round, and says so."""

    DURABLE = []


@bug("-", "fault")
class Throws(Proposer):
    """A proposer raises an exception when a promise for one of its older ballots arrives."""

    def on_promise(self, sender, message):
        if message.ballot != self.ballot:
            raise RuntimeError(f"promise for {message.ballot} in ballot {self.ballot}")
        return super().on_promise(sender, message)


@bug("-", "nondeterministic")
class HashOrder(Proposer):
    """A proposer sends to the acceptors in the order of a hash map that is salted at random."""

    def broadcast(self, message):
        return [(random.sample(self.acceptors, len(self.acceptors)), message)]


# ---------------------------------------------------------------------------------------------------------------- The learner's


@bug("12", "safety")
class CountsVoteTwice(Learner):
    """A learner counts a duplicate accepted message as the vote of a further acceptor."""

    def on_accepted(self, sender, message):
        return super().on_accepted(f"{sender}, vote {len(self.votes)}", message)


@bug("13", "safety")
class AddsBallots(Learner):
    """A learner adds up the votes of different ballots and decides the value of the last vote to arrive."""

    def count(self, vote):
        return len(self.votes)


@bug("13", "safety")
class AddsBallotsTakesHighest(AddsBallots):
    """A learner adds up the votes of different ballots and decides the value of the highest vote."""

    def on_accepted(self, sender, message):
        if self.decided is None:
            super().on_accepted(sender, message)
            self.decided = self.decided and max(self.votes.values())[1]
        return []


@bug("14", "safety")
class AddsEqualValues(Learner):
    """A learner adds up the votes for equal values in different ballots."""

    def count(self, vote):
        return [value for ballot, value in self.votes.values()].count(vote[1])


# ---------------------------------------------------------------------------------------------------------------- The cluster's


@bug("17", "safety", sizes=[2, 4])
class HalfRoundedUp(Adapter):
    """A quorum is n/2 acceptors, rounded up: two quorums of an even number of acceptors may be disjoint."""

    def quorum(self, acceptors):
        return (acceptors + 1) // 2


@bug("17", "safety")
class HalfRoundedDown(Adapter):
    """A quorum is n/2 acceptors, rounded down: two quorums may be disjoint."""

    def quorum(self, acceptors):
        return acceptors // 2


@bug("-", "liveness")
class NeedsAll(Adapter):
    """A quorum is all acceptors, although the capabilities say that it is a majority."""

    def quorum(self, acceptors):
        return acceptors


Decided = namedtuple("Decided", "value")


class AnnouncesDecision(Proposer):
    def on_accepted(self, sender, message):
        was_waiting = self.waiting
        super().on_accepted(sender, message)
        return self.broadcast(Decided(self.decided)) if was_waiting and not self.waiting else []


class TrimsDecided(Acceptor):
    def on_decided(self, sender, message):
        self.accepted = None
        return []


@bug("25", "safety", decided_msg=True)
class DropsDecidedVote(Adapter):
    """An acceptor drops its vote when it hears of the decision, and then promises as if it had not voted."""

    Acceptor, Proposer = TrimsDecided, AnnouncesDecision
    MESSAGES = {**Adapter.MESSAGES, "decided": (Decided, ["v"])}


# ---------------------------------------------------------------------------------------------------------------- The process's


class FirstAccept(Adapter):
    """An adapter that misbehaves when the first accept reaches an acceptor."""

    reached = False

    def op_deliver(self, request):
        if request["msg"]["k"] == "accept" and not self.reached:
            self.reached = True
            self.misbehave()
        return super().op_deliver(request)


class CrashKeepsMemory(Adapter):
    kept = None

    def op_crash(self, request):
        self.kept = self.nodes[request["at"]]
        return super().op_crash(request)

    def op_restart(self, request):
        if not isinstance(self.kept, Acceptor):
            return super().op_restart(request)
        self.nodes[request["at"]] = self.kept
        return self.observed([request["at"]])

    def observed(self, names):
        return {"timers": super().observed(names)["timers"]}


@bug("-", "nondeterministic", observe=[])
class CrashKeepsPromise(CrashKeepsMemory):
    """A crash leaves the node in memory, so that a promise that was not persisted is not lost. A kill would lose it."""

    Acceptor = PromiseNotPersisted


@bug("-", "nondeterministic", observe=[])
class CrashKeepsVote(CrashKeepsMemory):
    """A crash leaves the node in memory, so that a vote that was not persisted is not lost. A kill would lose it."""

    Acceptor = VoteNotPersisted


@bug("-", "pass")
class HostsAllOrNone(Adapter):
    """An adapter that refuses to host one node alone. Its schedules run with all nodes in one process only."""

    def op_init(self, request):
        if len(request["host"]) == 1:
            raise ValueError("this adapter hosts all nodes")
        return super().op_init(request)


@bug("-", "broken")
class Hangs(FirstAccept):
    """The process stops replying at the first accept."""

    def misbehave(self):
        while sys.stdin.buffer.read(1 << 16):  # Ends with the judge.
            pass
        sys.exit()


@bug("-", "broken")
class Garbage(FirstAccept):
    """The process prints a line that is no JSON at the first accept."""

    def misbehave(self):
        print("DEBUG: accept!", file=sys.__stdout__, flush=True)


@bug("-", "broken")
class Floods(FirstAccept):
    """The process prints without end and without a newline at the first accept."""

    def misbehave(self):
        while True:
            os.write(1, b"flood " * 10_000)


@bug("-", "broken")
class Exits(FirstAccept):
    """The process ends at the first accept."""

    def misbehave(self):
        sys.exit(3)


@bug("-", "broken")
class Leaks(Adapter):
    """The process takes another 64 MiB of memory for every message delivered, until it has none left."""

    leaked = []

    def op_deliver(self, request):
        try:
            self.leaked.append(b"x" * (64 << 20))
        except MemoryError:
            sys.exit("out of memory")
        return super().op_deliver(request)


def main(arguments):
    if arguments == ["--list"]:
        for name, entry in BUGS.items():
            print(name, entry.number, entry.verdict, entry.meaning, sep="\t")
    elif len(arguments) == 1 and arguments[0] in BUGS:
        serve(BUGS[arguments[0]].adapter())
    else:
        sys.exit("usage: gallery.py BUG, or gallery.py --list for the names of the bugs")


if __name__ == "__main__":
    main(sys.argv[1:])
