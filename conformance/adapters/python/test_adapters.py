"""Tests the adapters as the judge uses them: as processes that answer requests on their standard input. Run them by

python3 -m unittest discover -s conformance/adapters/python
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
CLUSTER = {"acceptors": ["a1", "a2", "a3"], "proposers": ["p1", "p2"], "learners": ["l1"]}
NODES = [name for names in CLUSTER.values() for name in names]
COMPOSABLE_PAXOS = importlib.util.find_spec("composable_paxos")


class Subject:
    """An adapter that runs as a process, and the messages in flight between its nodes."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.replies = []
        self.store = {}
        self.flying = []
        self.mid = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self, line):
        """Sends one line and returns the reply."""
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self, op, **fields):
        """Sends one request, notes the effects of the step that it gets, and returns it."""
        number = len(self.replies)
        reply = self.line(json.dumps({"id": number, "op": op, **fields}).encode())
        assert reply["id"] == number, reply
        self.replies.append(reply)
        self.store.update(reply.get("persist", {}))
        for send in reply.get("send", []):
            for to in send["to"]:
                self.mid += 1
                self.flying.append({"at": to, "from": fields["at"], "mid": self.mid, "msg": send["msg"]})
        return reply

    def start(self):
        hello = self.ask("hello", proto="paxos-conf/1")
        init = self.ask("init", **CLUSTER, host=NODES, seed=7, store={})
        return hello, init

    def deliver_all(self, down=()):
        """Delivers the messages in the order in which they were sent, and returns the decisions."""
        decided = []
        while self.flying:
            message = self.flying.pop(0)
            if message["at"] not in down:
                decided += self.ask("deliver", **message).get("decided", [])
        return decided

    def crash_and_restart(self, at):
        self.ask("crash", at=at)
        return self.ask("restart", at=at, store=self.store.get(at))


class AdapterTests:
    """The tests that every adapter passes."""

    COMMAND = []

    def subject(self):
        return Subject(*self.COMMAND)

    def happy_run(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            return subject.deliver_all(), subject.replies

    def test_decides(self):
        decided, replies = self.happy_run()
        self.assertEqual(
            sorted(decided, key=lambda decision: decision["at"]),
            [{"at": "l1", "slot": 0, "value": "v1"}, {"at": "p1", "slot": 0, "value": "v1"}],
        )
        self.assertEqual([reply for reply in replies if "error" in reply or "fault" in reply], [])

    def test_same_schedule_gives_same_replies(self):
        self.assertEqual(self.happy_run(), self.happy_run())

    def test_init_forgets(self):
        with self.subject() as subject:
            _, first = subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            subject.deliver_all()
            _, second = subject.start()
            self.assertEqual({**first, "id": None}, {**second, "id": None})

    def test_answers_name_the_message(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            step = subject.ask("deliver", **{**subject.flying.pop(0), "mid": 99})
            self.assertEqual(
                step["send"], [{"to": ["p1"], "msg": {"k": "promise", "b": [1, "p1"], "vb": None, "v": None, "re": 99}}]
            )

    def test_acceptor_keeps_vote_over_restart(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            subject.deliver_all()
            before = subject.ask("query", at="a1", slot=0)
            self.assertEqual(before["accepted"], {"b": [1, "p1"], "v": "v1"})
            subject.crash_and_restart("a1")
            after = subject.ask("query", at="a1", slot=0)
            self.assertEqual({**before, "id": None}, {**after, "id": None})

    def test_store_survives_the_process(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            subject.deliver_all()
            store, before = subject.store["a1"], subject.ask("query", at="a1", slot=0)
        with self.subject() as other:
            init = other.ask("init", **CLUSTER, host=["a1"], seed=7, store={"a1": store})
            self.assertEqual({"id": before["id"], **init["state"]["a1"]}, before)
            self.assertEqual((set(init["state"]), init["timers"]), ({"a1"}, {"a1": []}))

    def test_second_proposer_adopts_vote_and_stale_proposer_is_refused(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            prepares, subject.flying = subject.flying, []
            for prepare in prepares:
                subject.ask("deliver", **prepare)
            subject.ask("deliver", **subject.flying.pop(0))
            subject.ask("deliver", **subject.flying.pop(0))
            accepts = subject.flying[1:]
            subject.ask("deliver", **accepts[0])  # a1 alone votes for v1.
            subject.flying = []
            subject.ask("propose", at="p2", slot=0, value="v2")
            self.assertEqual({decision["value"] for decision in subject.deliver_all()}, {"v1"})
            nack = subject.ask("deliver", **accepts[1])["send"][0]["msg"]
            self.assertEqual((nack["k"], nack["b"], nack["pb"], nack["ph"]), ("nack", [1, "p1"], [1, "p2"], 2))
            self.assertEqual(subject.ask("timer", at="p1", timer="retry")["timers"], {"p1": ["retry"]})

    def test_save_and_load_restore_everything(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            for _ in range(5):  # Three prepares and two promises.
                subject.ask("deliver", **subject.flying.pop(0))
            subject.ask("crash", at="a3")
            blob, flying = subject.ask("save")["blob"], list(subject.flying)
            states = [subject.ask("query", at=at, slot=0) for at in NODES if at != "a3"]
            decided = subject.deliver_all(down=["a3"])
            self.assertTrue(decided)

            loaded = subject.ask("load", blob=blob)
            self.assertEqual(subject.ask("save")["blob"], blob)
            self.assertEqual(loaded["timers"], {at: ["retry"] if at == "p1" else [] for at in NODES})
            self.assertEqual(set(loaded["state"]), set(NODES) - {"a3"})
            for at, state in zip(loaded["state"], states):
                self.assertEqual({"id": state["id"], **loaded["state"][at]}, state)
            self.assertIn("error", subject.ask("deliver", **{**flying[0], "at": "a3"}))
            subject.flying = list(flying)
            self.assertEqual(subject.deliver_all(down=["a3"]), decided)

        with self.subject() as other:  # A process that never saw `init`.
            other.ask("load", blob=blob)
            other.flying = list(flying)
            self.assertEqual(other.deliver_all(down=["a3"]), decided)

    def test_malformed_lines_give_error_replies(self):
        with self.subject() as subject:
            for line in (b"", b"{", b"7", b"null", b"[]", b"[1,2]", b"\xff", b'"x"', b"{}"):
                reply = subject.line(line)
                self.assertEqual((set(reply), reply["id"]), ({"id", "error"}, None), line)
            subject.start()
            for request in (
                {"op": "nonsense"},
                {"op": 7},
                {"op": "init"},
                {"op": "propose", "at": "p9", "value": "v1"},
                {"op": "propose", "at": "p1"},
                {"op": "deliver", "at": "a1", "from": "p1", "mid": 1},
                {"op": "deliver", "at": "a1", "from": "p1", "mid": 1, "msg": {"k": "nonsense"}},
                {"op": "deliver", "at": "a1", "from": "p1", "mid": 1, "msg": {"k": "prepare"}},
                {"op": "timer", "at": "p1", "timer": "retry"},
                {"op": "timer", "at": "a1", "timer": "retry"},
                {"op": "timer", "at": "p1", "timer": "nonsense"},
                {"op": "restart", "at": "a1", "store": None},
                {"op": "crash", "at": "x"},
                {"op": "load", "blob": "nonsense"},
            ):
                self.assertIn("error", subject.ask(**request), request)

            subject.start()
            self.assertEqual(subject.ask("bye"), {"id": len(subject.replies) - 1})
            self.assertEqual(subject.process.wait(10), 0)
            self.assertEqual(subject.process.stderr.read(), b"")


class TemplateTests(AdapterTests, unittest.TestCase):
    COMMAND = ["template.py"]

    def test_proposer_keeps_round_over_restart(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            subject.crash_and_restart("p1")
            step = subject.ask("propose", at="p1", slot=0, value="v2")
            self.assertEqual(step["send"][0]["msg"], {"k": "prepare", "b": [2, "p1"]})

    def test_second_value_is_ignored(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            step = subject.ask("propose", at="p1", slot=0, value="v2")
            self.assertEqual((step["send"], step["timers"]), ([], {"p1": ["retry"]}))

    def test_nack_raises_the_round(self):
        with self.subject() as subject:
            subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            nack = {"k": "nack", "b": [1, "p1"], "pb": [5, "p2"], "ph": 1}
            subject.ask("deliver", **{"at": "p1", "from": "a1", "mid": 77, "msg": nack})
            step = subject.ask("timer", at="p1", timer="retry")
            self.assertEqual(step["send"][0]["msg"], {"k": "prepare", "b": [6, "p1"]})


@unittest.skipUnless(COMPOSABLE_PAXOS, "composable-paxos is not installed")
class ComposableTests(AdapterTests, unittest.TestCase):
    COMMAND = ["composable.py"]

    def restarted_proposal(self):
        with self.subject() as subject:
            hello, _ = subject.start()
            subject.ask("propose", at="p1", slot=0, value="v1")
            subject.crash_and_restart("p1")
            step = subject.ask("propose", at="p1", slot=0, value="v2")
            return "round" in hello["caps"]["durable"], step["send"][0]["msg"]["b"]

    def test_proposer_loses_round(self):
        self.assertEqual(self.restarted_proposal(), (False, [1, "p1"]))


@unittest.skipUnless(COMPOSABLE_PAXOS, "composable-paxos is not installed")
class KeepRoundTests(ComposableTests):
    COMMAND = ["composable.py", "--keep-round"]

    def test_proposer_loses_round(self):
        self.assertEqual(self.restarted_proposal(), (True, [2, "p1"]))


class MissingPackageTests(unittest.TestCase):
    def test_missing_package_is_reported(self):
        command = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import composable"]
        run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60)
        self.assertEqual((run.returncode, run.stdout), (2, ""))
        self.assertIn("pip install composable-paxos==1.0.0", run.stderr)
        self.assertNotIn("Traceback", run.stderr)


class GalleryTests(unittest.TestCase):
    VERDICTS = {"nondeterministic", "safety", "fault", "contract", "liveness", "vacuous", "pass", "broken"}

    def bugs(self):
        run = subprocess.run([sys.executable, "gallery.py", "--list"], cwd=HERE, capture_output=True, text=True, timeout=60)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return [line.split("\t") for line in run.stdout.splitlines()]

    def test_list(self):
        bugs = self.bugs()
        self.assertEqual(len({name for name, *_ in bugs}), len(bugs))
        for name, number, verdict, meaning in bugs:
            self.assertRegex(name, "^[a-z][a-z-]+$")
            self.assertRegex(number, "^([0-9]+|-)$")
            self.assertIn(verdict, self.VERDICTS)
            self.assertTrue(meaning.endswith("."), meaning)
        elsewhere = {23, 26, 27}  # They need several slots, reads or a state machine.
        self.assertEqual({int(number) for _, number, _, _ in bugs if number != "-"}, set(range(1, 30)) - elsewhere)

    def test_every_bug_starts(self):
        for name, _, verdict, _ in self.bugs():
            with self.subTest(name), Subject("gallery.py", name) as subject:
                hello, init = subject.start()
                self.assertEqual(hello["impl"], name)
                reported = "state" if hello["caps"]["observe"] else "timers"
                self.assertEqual(set(init[reported]), set(NODES))
                subject.ask("propose", at="p1", slot=0, value="v1")
                blob = subject.ask("save")["blob"]
                self.assertIn(reported, subject.ask("load", blob=blob))

    def test_bugs_that_need_a_rare_schedule_decide_in_the_happy_run(self):
        for name, _, verdict, _ in self.bugs():
            if verdict in ("safety", "contract", "fault", "pass") and name not in ("new-value-in-round",):
                with self.subTest(name), Subject("gallery.py", name) as subject:
                    subject.start()
                    subject.ask("propose", at="p1", slot=0, value="v1")
                    self.assertTrue(subject.deliver_all())

    def test_broken_bugs_break_at_the_first_accept(self):
        for name, ends in (("hangs", b""), ("exits", b""), ("garbage", b"DEBUG: accept!\n"), ("floods", b"flood flood ")):
            with self.subTest(name), Subject("gallery.py", name) as subject:
                subject.start()
                subject.ask("propose", at="p1", slot=0, value="v1")
                while subject.flying[0]["msg"]["k"] != "accept":
                    subject.ask("deliver", **subject.flying.pop(0))
                request = json.dumps({"id": 99, "op": "deliver", **subject.flying[0]}).encode()
                subject.process.stdin.write(request + b"\n")
                subject.process.stdin.close()
                subject.process.stdin = None
                self.assertTrue(subject.process.stdout.read(len(ends) or 1).startswith(ends))

    def test_hash_order_differs(self):
        orders = set()
        with Subject("gallery.py", "hash-order") as subject:
            for _ in range(50):
                subject.start()
                orders.add(tuple(subject.ask("propose", at="p1", slot=0, value="v1")["send"][0]["to"]))
        self.assertGreater(len(orders), 1)

    def test_unknown_bug_is_reported(self):
        run = subprocess.run([sys.executable, "gallery.py", "x"], cwd=HERE, capture_output=True, text=True, timeout=60)
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.assertIn("--list", run.stderr)


if __name__ == "__main__":
    unittest.main()
