//! One node, turn by turn, among peers that agree to each of its messages.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use itertools::Itertools as _;
use tokio::sync::oneshot;

use super::{
    FRAGILE, Ledger, POISON, STEP,
    outbox::{Outbox, proposes},
    quick, slots,
};
use crate::{
    Admission, Options, Packet, ProposeError, ReadError,
    node::{Input, Node},
};
use paxos::{
    config::Config,
    message::{Message, To},
    types::{Ballot, NodeId, Slot, Value},
};
use paxos_simulator::disk::{Disk, FaultyStore};
use paxos_store::StoreId;

/// Node 1 of three, whose store does not fail. `introduced` is true if the nodes make handshakes.
fn one_of_three(store: &Disk, introduced: bool) -> Node<Ledger, FaultyStore> {
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    Node::recover(config, quick(), Ledger::default(), store.open(), introduced)
        .expect("its own store")
}

/// A node that waits for the other nodes needs no turn before they have met it.
#[test]
fn a_node_that_has_not_met_the_others_rests() {
    let memory = Disk::new(StoreId(1));
    let mut node = one_of_three(&memory, true);
    let now = Duration::from_secs(1);
    assert!(node.durable_turn([], now, &mut Outbox::of(&memory)).unwrap());
    assert_eq!(node.wake_at(), None);
    let welcomes =
        [2, 3].map(|by| Input::Admitted { by: NodeId(by), admission: Admission::Welcome });
    let mut outbox = Outbox::of(&memory);
    assert!(node.durable_turn(welcomes, now, &mut outbox).unwrap());
    assert!(outbox.sent.contains(&(To::Peers, Packet::PreVote)), "now it takes part");
}

/// A follower without a leader repeats the question of its pre-vote, because the question may be lost. It does not wait
/// for the next pre-vote, which may be two election timeouts away.
#[test]
fn a_follower_asks_again_for_a_leader() {
    let memory = Disk::new(StoreId(1));
    let mut node = one_of_three(&memory, false);
    let questions = |node: &mut Node<Ledger, FaultyStore>, inputs, now| {
        let mut outbox = Outbox::of(&memory);
        assert!(node.durable_turn(inputs, now, &mut outbox).unwrap());
        outbox.sent.iter().filter(|(_, packet)| *packet == Packet::PreVote).count()
    };
    let mut asked = Vec::new();
    while asked.len() < 20 {
        let now = node.wake_at().expect("it waits for a leader");
        assert!(now < Duration::from_secs(10), "it has asked at {asked:?}");
        if questions(&mut node, Vec::new(), now) > 0 {
            asked.push(now);
        }
    }
    let mut pairs = asked.iter().tuple_windows();
    assert!(pairs.all(|(one, next)| *next <= *one + quick().resend), "it has asked at {asked:?}");
    let now = asked[19] + STEP;
    questions(&mut node, says(&Packet::PreVoteGranted), now);
    for step in 1..100 {
        // Now the node is a candidate, and asks for promises instead.
        let again = questions(&mut node, Vec::new(), now + STEP * step);
        assert_eq!(again, 0, "a candidate repeats its pre-vote");
    }
}

/// Nothing leaves before the records that it depends on are durable. A proposal depends on the promise of its ballot
/// alone. In each run the store fails at another change. The outbox checks that the store held the records for each
/// packet that left. With phase-1 quorums of one, a node proposes in the turn in which it promises.
#[test]
fn nothing_leaves_before_it_is_durable() {
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    // Without snapshots all changes are of records.
    let options = Options { snapshot_slots: u64::MAX, ..quick() };
    let (mut bereft, mut answered) = (0, 0);
    // The first two changes are the members and the incarnation.
    for ((phase1, phase2), changes) in [(2, 2), (1, 3), (3, 1)].into_iter().cartesian_product(2..8)
    {
        let store = Disk::new(StoreId(1));
        store.fail_after(changes);
        let config = Config::new(NodeId(1), nodes).with_quorums(phase1, phase2);
        let options = options.clone();
        let mut node =
            Node::recover(config, options, Ledger::default(), store.open(), false).unwrap();
        let (mut sent, mut now) = (Vec::new(), Duration::ZERO);
        let (mut answers, mut acknowledged) = (Vec::new(), 0);
        loop {
            now += STEP;
            // The peers follow, and agree to all messages of the node.
            let mut inputs = says(&Packet::Following);
            for packet in std::mem::take(&mut sent) {
                inputs.extend(agree(packet).iter().flat_map(says));
            }
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            inputs.push(Input::Propose { command: vec![0; 8].into(), reply });
            let mut outbox = Outbox::of(&store);
            let failed = node.durable_turn(inputs, now, &mut outbox).is_err();
            let answer = |answer: &mut oneshot::Receiver<Result<Bytes, ProposeError>>| {
                matches!(answer.try_recv(), Ok(Ok(_)))
            };
            let new = answers.extract_if(.., answer).count();
            acknowledged += new;
            if failed {
                bereft += outbox.sent.iter().filter(|(_, packet)| proposes(packet)).count();
                answered += new;
                break;
            }
            sent = outbox.sent.into_iter().map(|(_, packet)| packet).collect();
            assert!(now < Duration::from_secs(5), "the store was not asked for {changes} changes");
        }
        let voted = slots(&store.records());
        // The first slot opened the session.
        assert!(acknowledged <= voted.saturating_sub(1), "answers without votes");
    }
    assert!(bereft > 0, "no proposal has left before the sync");
    assert!(answered > 0, "no answer has left before a sync that it does not depend on");
}

/// Commands wait at the leader while a batch is in flight, and for a short time for the clients that it has just
/// answered. Otherwise no command waits.
#[test]
fn a_leader_proposes_one_batch_after_the_other() {
    let store = Disk::new(StoreId(1));
    let mut node = one_of_three(&store, false);
    let (mut now, mut waiting) = (Duration::ZERO, Vec::new());
    let mut turn = |inputs: Vec<Input<Ledger>>, commands: usize, passes: Duration| {
        now += passes;
        let asked = (0..commands).map(|_| {
            let (reply, answer) = oneshot::channel();
            waiting.push(answer);
            Input::Propose { command: vec![0; 8].into(), reply }
        });
        let inputs: Vec<_> = inputs.into_iter().chain(asked).collect();
        let mut outbox = Outbox::of(&store);
        assert!(node.durable_turn(inputs, now, &mut outbox).unwrap());
        let wakes_in = node.wake_at().unwrap().saturating_sub(now);
        (outbox.sent.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), wakes_in)
    };
    let agreed = |sent: Vec<Packet>| -> Vec<Input<Ledger>> {
        sent.into_iter().filter_map(agree).flat_map(|packet| says(&packet)).collect()
    };
    let proposed = |sent: &[Packet]| -> Vec<usize> {
        let proposed = sent.iter().filter_map(|packet| match packet {
            Packet::Message(Message::Accept { values, .. }) => Some(values.len()),
            _ => None,
        });
        proposed.collect()
    };

    // The node comes to lead, opens its session, and gets one command chosen.
    let (mut sent, mut begun) = (turn(Vec::new(), 1, STEP).0, 0);
    for _ in 0..1000 {
        begun += proposed(&sent).len();
        sent = turn(says(&Packet::Following).into_iter().chain(agreed(sent)).collect(), 0, STEP).0;
        if begun == 2 {
            break;
        }
    }

    let (first, _) = turn(Vec::new(), 2, STEP);
    assert_eq!(proposed(&first), [2], "nothing is in flight");
    let (second, wakes_in) = turn(Vec::new(), 1, Duration::ZERO);
    assert!(proposed(&second).is_empty() && wakes_in <= quick().batch_wait);
    let (second, wakes_in) = turn(agreed(first), 0, Duration::ZERO);
    assert!(proposed(&second).is_empty() && wakes_in < quick().batch_wait);
    let (second, _) = turn(Vec::new(), 2, Duration::ZERO);
    assert_eq!(proposed(&second), [3], "the first batch is chosen, and its clients have returned");
    turn(Vec::new(), 1, Duration::ZERO);
    let (third, _) = turn(Vec::new(), 0, quick().batch_wait);
    assert_eq!(proposed(&third), [1], "it has waited long enough");
}

/// A leader that has applied entries at the end of a turn proposes waiting commands at once.
#[test]
fn what_is_applied_makes_room_for_more() {
    let store = Disk::new(StoreId(1));
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    // A turn applies one entry in each half.
    let options = Options { turn_max: Duration::ZERO, ..quick() };
    let mut node = Node::recover(config, options, Ledger::default(), store.open(), false).unwrap();
    let (mut now, mut waiting) = (Duration::ZERO, Vec::new());
    let mut turn = |inputs: Vec<Input<Ledger>>, command: Option<usize>, passes: Duration| {
        now += passes;
        let asked = command.map(|bytes| {
            let (reply, answer) = oneshot::channel();
            waiting.push(answer);
            Input::Propose { command: vec![0; bytes].into(), reply }
        });
        let inputs: Vec<_> =
            says(&Packet::Following).into_iter().chain(inputs).chain(asked).collect();
        let mut outbox = Outbox::of(&store);
        assert!(node.durable_turn(inputs, now, &mut outbox).unwrap());
        let wakes_in = node.wake_at().unwrap().saturating_sub(now);
        (outbox.sent.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), wakes_in)
    };
    let agreed = |sent: Vec<Packet>| -> Vec<Input<Ledger>> {
        sent.into_iter().filter_map(agree).flat_map(|packet| says(&packet)).collect()
    };
    let proposes_any = |sent: &[Packet]| sent.iter().any(proposes);
    // The node comes to lead, and opens its session.
    let mut sent = turn(Vec::new(), Some(8), STEP).0;
    for _ in 0..1000 {
        sent = turn(agreed(sent), None, STEP).0;
    }
    let (mut on_their_way, _) = turn(Vec::new(), Some(8), STEP);
    assert!(proposes_any(&on_their_way), "nothing is in flight");
    turn(Vec::new(), Some(16 << 20), Duration::ZERO);
    on_their_way.extend(turn(Vec::new(), None, quick().batch_wait).0);
    turn(Vec::new(), Some(8), Duration::ZERO);
    let (third, _) = turn(Vec::new(), None, quick().batch_wait);
    assert!(!proposes_any(&third), "there is no room");
    let (third, wakes_in) = turn(agreed(on_their_way), None, Duration::ZERO);
    assert!(!proposes_any(&third), "one of two is applied by then");
    assert_eq!(wakes_in, Duration::ZERO, "both are applied now");
    assert!(proposes_any(&turn(Vec::new(), None, Duration::ZERO).0));
}

/// Returns the same packet from both peers.
fn says(packet: &Packet) -> Vec<Input<Ledger>> {
    [2, 3]
        .map(|from| Input::Packet { from: NodeId(from), packet: packet.clone(), room: None })
        .into()
}

fn agree(packet: Packet) -> Option<Packet> {
    Some(Packet::Message(match packet {
        Packet::PreVote => return Some(Packet::PreVoteGranted),
        Packet::Message(Message::Prepare { ballot, .. }) => {
            Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() }
        }
        Packet::Message(Message::Accept { ballot, first, values }) => {
            Message::Accepted { ballot, first, count: values.len() as u64 }
        }
        _ => return None,
    }))
}

/// Commands wait at a follower in the same way before it forwards them.
#[test]
fn a_follower_forwards_one_batch_after_the_other() {
    let store = Disk::new(StoreId(1));
    let mut node = one_of_three(&store, false);
    let (mut now, mut waiting) = (Duration::ZERO, Vec::new());
    let from_leader =
        |message| Input::Packet { from: NodeId(2), packet: Packet::Message(message), room: None };
    let ballot = Ballot::new(1, NodeId(2)).unwrap();
    let mut turn = |learned: Option<(u64, Vec<Bytes>)>, commands: usize, passes: Duration| {
        now += passes;
        let mut inputs = vec![from_leader(Message::Heartbeat { ballot, chosen_below: Slot(0) })];
        inputs.extend(learned.map(|(first, entries)| {
            let values = entries.into_iter().map(Value::Command).collect::<Vec<_>>().into();
            from_leader(Message::Learned { first: Slot(first), values, more: false })
        }));
        inputs.extend((0..commands).map(|_| {
            let (reply, answer) = oneshot::channel();
            waiting.push(answer);
            Input::Propose { command: vec![0; 8].into(), reply }
        }));
        let mut outbox = Outbox::of(&store);
        assert!(node.durable_turn(inputs, now, &mut outbox).unwrap());
        let forwarded = outbox.sent.into_iter().filter_map(|(to, packet)| match packet {
            Packet::Forward(entries) if to == To::Node(NodeId(2)) => Some(entries),
            _ => None,
        });
        forwarded.collect::<Vec<_>>()
    };

    let sizes = |batches: &[Vec<Bytes>]| batches.iter().map(Vec::len).collect::<Vec<_>>();
    let opening = turn(None, 1, STEP).remove(0);
    let first = turn(Some((0, opening)), 1, STEP).remove(0);
    assert_eq!(first.len(), 2, "no batch is on its way");
    assert!(turn(None, 2, Duration::ZERO).is_empty(), "the first batch is on its way");
    assert!(turn(Some((1, first)), 0, Duration::ZERO).is_empty(), "the first batch is applied");
    let second = turn(None, 2, Duration::ZERO);
    assert_eq!(sizes(&second), [4], "the clients of the first batch have returned");
    assert!(turn(None, 1, Duration::ZERO).is_empty());
    let third = turn(None, 0, quick().batch_wait);
    assert_eq!(sizes(&third), [1], "it has waited long enough");
}

/// A turn applies and reads for a bounded time, so that a node takes new inputs before all is applied and read.
#[test]
fn a_turn_applies_and_reads_for_a_bounded_time() {
    let store = Disk::new(StoreId(1));
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    let options = Options { turn_max: Duration::ZERO, ..quick() };
    let mut node = Node::recover(config, options, Ledger::default(), store.open(), false).unwrap();
    let (ballot, chosen_below) = (Ballot::new(1, NodeId(2)).unwrap(), Slot(0));
    let from_leader = |packet| Input::Packet { from: NodeId(2), packet, room: None };
    let mut turn = |inputs: Vec<Input<Ledger>>| {
        let (reply, mut status) = oneshot::channel();
        let inputs = inputs.into_iter().chain([Input::Status(reply)]);
        let mut outbox = Outbox::of(&store);
        assert!(node.durable_turn(inputs, STEP, &mut outbox).unwrap());
        let status = status.try_recv().unwrap();
        let wakes_at_once = node.wake_at() == Some(Duration::ZERO);
        (outbox.sent, status.applied_below, status.waiting_reads, wakes_at_once)
    };
    let heartbeat = || from_leader(Packet::Message(Message::Heartbeat { ballot, chosen_below }));
    let readings = (0..2).map(|_| Input::Read(Box::new(|_: Result<&Ledger, ReadError>| {})));
    let (sent, ..) = turn([heartbeat()].into_iter().chain(readings).collect());
    let asked = sent.iter().find_map(|(_, packet)| match packet {
        Packet::ReadIndex { id } => Some(*id),
        _ => None,
    });
    let at = Packet::ReadAt { id: asked.expect("it asks the leader"), at: Slot(4) };
    let learned =
        Message::Learned { first: Slot(0), values: vec![Value::Noop; 4].into(), more: true };
    turn(vec![from_leader(at), from_leader(Packet::Message(learned))]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (sent, applied_below, reads, wakes_at_once) = turn(vec![heartbeat()]);
        assert!(sent.contains(&(To::Node(NodeId(2)), Packet::Following)), "it hears the leader");
        seen.push((applied_below.0, reads, wakes_at_once));
    }
    // A turn applies and reads once in each half. The status is from before both.
    assert_eq!(seen, [(2, 2, true), (4, 1, false), (4, 0, false)]);
}

/// A command that makes the machine panic halts the machine, and not the node. The node still votes, answers pending
/// requests with an error, and refuses new ones. Started again with the same machine, the node halts at the same slot.
/// Started again with a machine that can apply the command, it does not halt.
#[test]
fn a_panic_halts_the_machine_and_not_the_node() {
    let store = Disk::new(StoreId(1));
    for (life, round) in [(Life::Panics, 1000), (Life::Panics, 2000), (Life::IsMended, 3000)] {
        FRAGILE.set(life == Life::Panics);
        let mut node = one_of_three(&store, false);
        let (mut sent, mut now, mut replies) = (Vec::new(), Duration::ZERO, Vec::new());
        let mut ask = |node: &mut Node<Ledger, FaultyStore>,
                       sent: &mut Vec<Packet>,
                       inputs: Vec<_>| {
            now += STEP;
            let mut all = says(&Packet::Following);
            all.extend(
                std::mem::take(sent).into_iter().filter_map(agree).flat_map(|packet| says(&packet)),
            );
            all.extend(inputs);
            let mut outbox = Outbox::of(&store);
            assert!(node.durable_turn(all, now, &mut outbox).unwrap(), "it goes on");
            *sent = outbox.sent.into_iter().map(|(_, packet)| packet).collect();
        };
        let propose = |command: &[u8]| {
            let (reply, answer) = oneshot::channel();
            (Input::Propose { command: Bytes::copy_from_slice(command), reply }, answer)
        };
        let status = |node: &mut Node<Ledger, FaultyStore>| {
            let (reply, mut status) = oneshot::channel();
            node.durable_turn([Input::Status(reply)], Duration::ZERO, &mut Outbox::of(&store))
                .unwrap();
            status.try_recv().unwrap()
        };
        let first = if life == Life::Panics { POISON } else { &[0; 8] };
        for command in [first, &[1; 8]] {
            let (input, answer) = propose(command);
            replies.push(answer);
            ask(&mut node, &mut sent, vec![input]);
        }
        for _ in 0..1000 {
            ask(&mut node, &mut sent, Vec::new());
        }
        let slot = status(&mut node).halted;
        assert_eq!(slot.is_some(), life == Life::Panics);
        let answers: Vec<_> = replies.iter_mut().map(|answer| answer.try_recv().unwrap()).collect();
        let (input, mut late) = propose(&[2; 8]);
        ask(&mut node, &mut sent, vec![input]);
        if let Some(slot) = slot {
            let halted = |may_be_applied| Err(ProposeError::Halted { slot, may_be_applied });
            // The second start knows from its note what is chosen, so it halts in its first turn.
            assert_eq!(answers, [halted(true), halted(round == 1000)]);
            assert_eq!(late.try_recv().unwrap(), halted(false));
            let (reply, mut read) = oneshot::channel();
            let reading = Box::new(move |machine: Result<&Ledger, ReadError>| {
                reply.send(machine.map(drop)).unwrap();
            });
            ask(&mut node, &mut sent, vec![Input::Read(reading)]);
            assert_eq!(read.try_recv().unwrap(), Err(ReadError::Halted(slot)));
            // The node still votes for proposals of other nodes.
            let end = status(&mut node).log_end;
            let (ballot, values) = (Ballot::new(round, NodeId(2)).unwrap(), [Value::Noop].into());
            let accept = Packet::Message(Message::Accept { ballot, first: end, values });
            ask(
                &mut node,
                &mut sent,
                vec![Input::Packet { from: NodeId(2), packet: accept, room: None }],
            );
            assert_eq!(status(&mut node).log_end, end.plus(1));
        } else {
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            assert_eq!(node.machine().0.iter().filter(|number| **number == u64::MAX).count(), 1);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Panics,
    IsMended,
}

/// While a write is under way the node takes further inputs, up to a limit. A vote leaves once its write is durable, and the
/// next votes share the next write.
#[test]
fn a_node_goes_on_while_a_write_is_under_way() {
    let store = Disk::new(StoreId(1));
    let mut node = one_of_three(&store, false);
    let ballot = Ballot::new(1, NodeId(2)).expect("rounds begin with 1");
    let accept = |slot| {
        let message = Message::Accept { ballot, first: Slot(slot), values: [Value::Noop].into() };
        Input::Packet { from: NodeId(2), packet: Packet::Message(message), room: None }
    };
    let turn = |node: &mut Node<Ledger, FaultyStore>, slots: Range<u64>| {
        let mut outbox = Outbox::of(&store);
        assert!(node.turn(slots.map(accept), STEP, &mut outbox).unwrap());
        assert!(
            !outbox.sent.iter().any(|(_, packet)| votes(packet).is_some()),
            "it is not durable"
        );
        node.take_commit(&mut outbox)
    };
    let sync = |node: &mut Node<Ledger, FaultyStore>, commit| {
        let mut outbox = Outbox::of(&store);
        let committed = node.persist(commit);
        node.committed(committed, STEP, &mut outbox).unwrap();
        outbox.sent.iter().filter_map(|(_, packet)| votes(packet)).collect_vec()
    };
    let most = quick().inputs_per_turn_max as u64;
    assert_eq!(node.inputs_max() as u64, most);
    let first = turn(&mut node, 0..1).expect("a vote");
    assert!(turn(&mut node, 1..3).is_none(), "a write is under way");
    assert!(turn(&mut node, 3..most + 1).is_none());
    assert_eq!(node.inputs_max(), 0, "it waits for the disk now");
    assert_eq!(sync(&mut node, first), [(0, 1)]);
    let second = node.take_commit(&mut Outbox::of(&store)).expect("all other votes");
    assert_eq!(node.inputs_max() as u64, most);
    let left = sync(&mut node, second);
    assert_eq!(left, (1..=most).map(|slot| (slot, 1)).collect_vec());
}

/// The first slot of an Accepted message, and the number of slots.
fn votes(packet: &Packet) -> Option<(u64, u64)> {
    let Packet::Message(Message::Accepted { first, count, .. }) = packet else { return None };
    Some((first.0, *count))
}
