//! Nodes that record what a test lets them do, and a look at their recordings.

use super::*;

pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
pub(crate) const FOUR: [NodeId; 4] = [NodeId(1), NodeId(2), NodeId(3), NodeId(4)];

/// A node that records without taking part.
pub(crate) struct Recorded {
    pub(crate) replica: Replica,
    pub(crate) recorder: Recorder,
}

impl Recorded {
    pub(crate) fn new(machines: &Machines, id: NodeId) -> Self {
        Self::of(machines, id, &NODES)
    }

    pub(crate) fn of(machines: &Machines, id: NodeId, members: &[NodeId]) -> Self {
        let config = Config::new(id, members.iter().copied());
        let replica = Replica::new(config).expect("a cluster");
        let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
        let directory = machines.machine(id.0 - 1);
        let options = RecordingOptions::new(directory).file_bytes_max(20_000);
        let recorder = Recorder::create(options, from, replica.parts()).expect("a new directory");
        Self { replica, recorder }
    }

    /// Takes a step, and records it and the messages that leave. Returns these messages.
    pub(crate) fn step(&mut self, event: Event) -> Vec<Envelope> {
        let mut output = Output::default();
        self.recorder.step(&mut self.replica, event, &mut output);
        self.recorder.write();
        self.recorder.durable();
        for envelope in &output.held().messages {
            let departure = self.recorder.departure(envelope.to, &envelope.message);
            self.recorder.push(&Body::Left(vec![departure]));
        }
        self.recorder.flush().expect("there is room");
        output.held().messages.clone()
    }

    /// Records that a message arrives.
    pub(crate) fn receives(&mut self, from: NodeId, message: Message) {
        self.step(Event::Message { from, message });
    }

    /// Records a campaign, and its Prepare message that leaves.
    pub(crate) fn campaigns(&mut self) {
        assert!(!self.step(Event::Timer(Timer::Campaign)).is_empty());
    }

    /// Takes steps beside the other nodes, until `stop` is true. Sends what leaves to the other nodes.
    pub(crate) fn runs(
        mut self,
        stop: &AtomicBool,
        inbox: &Receiver<(NodeId, Message)>,
        others: &Others,
    ) {
        let (me, mut idle) = (self.replica.parts().config.id, 0);
        while !stop.load(Ordering::Relaxed) {
            let event = if let Ok((from, message)) = inbox.recv_timeout(Duration::from_millis(2)) {
                Event::Message { from, message }
            } else {
                idle += 1;
                match idle % 50 {
                    number if number == 10 * u64::from(me.0) => Event::Timer(Timer::Campaign),
                    5 | 45 => Event::Timer(Timer::Resend),
                    _ => {
                        let command = bytes::Bytes::from(format!("{idle} of {me}"));
                        Event::Propose(vec![Proposal { token: Token(idle), command }])
                    }
                }
            };
            for Envelope { to, message } in self.step(event) {
                for (id, outbox) in others {
                    if *id != me && (to == paxos::To::Peers || to == paxos::To::Node(*id)) {
                        // A node that has ended has dropped its inbox.
                        let _ = outbox.send((me, message.clone()));
                    }
                }
            }
        }
    }
}

/// The inboxes of all nodes.
pub(crate) type Others = BTreeMap<NodeId, Sender<(NodeId, Message)>>;

pub(crate) fn learn() -> Message {
    Message::Learn { from: Slot(0) }
}

pub(crate) fn prepare(node: u32) -> Message {
    Message::Prepare {
        ballot: paxos::Ballot::new(1, NodeId(node)).expect("not zero"),
        first: Slot(0),
    }
}

/// Pulls and looks some times.
pub(crate) fn look(copies: &mut Copies, watcher: &mut Watcher) -> Result<(), Halt> {
    (0..5).try_for_each(|_| watcher.look_after(&copies.pull().expect("the servers are right")))
}
