//! One description of each action and message: its name in a trace, its kind in a report, and its fields.
//!
//! Two tables in this file describe all messages and all actions. From them follow the kinds of actions that a search
//! counts, the records in a trace, the digit of a message in a packed step, and the renaming of a message's sender.

use smallvec::SmallVec;

use super::{
    action::Action,
    state::{Ballot, Log, Message, NodeId, Slot, Value, Vote},
};

/// The names of an action or message and of its fields.
#[derive(Debug)]
pub struct Shape {
    /// The name in a trace.
    pub tag: &'static str,
    /// The kind in a report.
    pub kind: &'static str,
    /// The names of the fields in a trace, with their sorts.
    pub fields: &'static [(&'static str, Sort)],
}

/// The sort of a field: the things that may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A node.
    Node,
    /// The node that sends the message.
    Sender,
    /// A ballot.
    Ballot,
    /// A slot of the log.
    Slot,
    /// The end of the trimmed part of a log, from 0. Traces of clusters without snapshots leave it out.
    Trimmed,
    /// The first slot that a node does not know to be chosen, from 0.
    Unknown,
    /// The end of a snapshot, from 1.
    Below,
    /// A value.
    Value,
    /// The number of a round of reads, from 1.
    Round,
    /// A number of slots, from 1.
    Count,
    /// Votes, by slot.
    Votes,
    /// A message.
    Message,
}

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// For [`Sort::Node`] and [`Sort::Sender`].
    Node(NodeId),
    /// For [`Sort::Ballot`].
    Ballot(Ballot),
    /// For [`Sort::Slot`], [`Sort::Trimmed`], [`Sort::Unknown`] and [`Sort::Below`].
    Slot(Slot),
    /// For [`Sort::Value`].
    Value(Value),
    /// For [`Sort::Round`] and [`Sort::Count`].
    Number(u8),
    /// For [`Sort::Votes`].
    Votes(Log<Option<Vote>>),
    /// For [`Sort::Message`].
    Message(Message),
}

/// The fields of an action or message, in the order of its shape.
pub type Fields = SmallVec<[Field; 4]>;

/// A type whose values consist of a shape and fields.
pub trait Described: Sized {
    /// All shapes of the type.
    const SHAPES: &'static [Shape];

    /// Returns the index of the shape of a value.
    fn shape(&self) -> usize;

    /// Returns the index of the shape of a value, and its fields.
    fn parts(self) -> (usize, Fields);

    /// Returns the value with a shape and fields, or none if the fields do not belong to the shape.
    fn from_parts(shape: usize, fields: &[Field]) -> Option<Self>;
}

/// Implements [`Described`]. A row gives the tag, the kind, the fields as `variable "name": Sort = Content`, and the
/// variant that the variables make. A variant is written once, and serves as pattern and as expression.
macro_rules! described {
    ($type:ident {
        $($tag:literal, $kind:literal, [$($field:ident $name:literal: $sort:ident = $content:ident),+],
            $index:literal => { $($variant:tt)+ };)+
    }) => {
        impl Described for $type {
            const SHAPES: &'static [Shape] = &[$(Shape {
                tag: $tag,
                kind: $kind,
                fields: &[$(($name, Sort::$sort)),+],
            }),+];

            #[expect(unused_variables, reason = "a variant is written once, with all of its fields")]
            fn shape(&self) -> usize {
                match *self {
                    $($($variant)+ => $index,)+
                }
            }

            fn parts(self) -> (usize, Fields) {
                match self {
                    $($($variant)+ => {
                        ($index, SmallVec::from_slice(&[$(Field::$content($field)),+]))
                    })+
                }
            }

            fn from_parts(shape: usize, fields: &[Field]) -> Option<Self> {
                Some(match (shape, fields) {
                    $(($index, &[$(Field::$content($field)),+]) => $($variant)+,)+
                    _ => return None,
                })
            }
        }
    };
}

described! {
    Message {
        "Prepare", "prepare", [ballot "ballot": Ballot = Ballot, first "first": Unknown = Slot],
            0 => { Message::Prepare { ballot, first } };
        "Promise", "promise", [
            ballot "ballot": Ballot = Ballot,
            from "sender": Sender = Node,
            reports "reports": Votes = Votes,
            trimmed "trimmed": Trimmed = Slot
        ],
            1 => { Message::Promise { ballot, from, trimmed, reports } };
        "Accept", "accept", [ballot "ballot": Ballot = Ballot, slot "slot": Slot = Slot, value "value": Value = Value],
            2 => { Message::Accept { ballot, slot, value } };
        "Accepted", "accepted", [
            ballot "ballot": Ballot = Ballot,
            slot "slot": Slot = Slot,
            value "value": Value = Value,
            from "sender": Sender = Node
        ],
            3 => { Message::Accepted { ballot, slot, value, from } };
        "Confirm", "confirm", [ballot "ballot": Ballot = Ballot, round "round": Round = Number],
            4 => { Message::Confirm { ballot, round } };
        "Confirmed", "confirmed", [
            ballot "ballot": Ballot = Ballot,
            round "round": Round = Number,
            from "sender": Sender = Node
        ],
            5 => { Message::Confirmed { ballot, round, from } };
    }
}

described! {
    Action {
        "Campaign", "campaign", [node "node": Node = Node],
            0 => { Action::Campaign(node) };
        "Propose", "propose", [node "node": Node = Node, count "count": Count = Number],
            1 => { Action::Propose { node, count } };
        "Deliver", "deliver", [to "to": Node = Node, message "message": Message = Message],
            2 => { Action::Deliver { to, message } };
        "Nack", "nack", [to "to": Node = Node, promised "promised": Ballot = Ballot],
            3 => { Action::Nack { to, promised } };
        "Chosen", "chosen", [
            to "to": Node = Node,
            slot "slot": Slot = Slot,
            ballot "ballot": Ballot = Ballot,
            value "value": Value = Value
        ],
            4 => { Action::Chosen { to, slot, ballot, value } };
        "Sync", "sync", [node "node": Node = Node],
            5 => { Action::Sync(node) };
        "Crash", "crash", [node "node": Node = Node],
            6 => { Action::Crash(node) };
        "Snapshot", "snapshot", [to "to": Node = Node, below "below": Below = Slot],
            7 => { Action::Snapshot { to, below } };
        "Read", "read", [node "node": Node = Node],
            8 => { Action::Read(node) };
    }
}

/// The index of the action that delivers a message.
const DELIVER: usize = 2;

/// The number of kinds: a delivery has the kind of its message.
const KINDS: usize = Action::SHAPES.len() - 1 + Message::SHAPES.len();

impl Action {
    /// The kinds of actions, in the order of their shapes. The kinds of the messages stand in the place of the delivery.
    pub const KINDS: [&'static str; KINDS] = {
        let mut kinds = [""; KINDS];
        let (mut action, mut kind) = (0, 0);
        while action < Self::SHAPES.len() {
            if action == DELIVER {
                let mut message = 0;
                while message < Message::SHAPES.len() {
                    kinds[kind] = Message::SHAPES[message].kind;
                    (message, kind) = (message + 1, kind + 1);
                }
            } else {
                kinds[kind] = Self::SHAPES[action].kind;
                kind += 1;
            }
            action += 1;
        }
        kinds
    };

    /// Returns the index of the action's kind among [`KINDS`](Self::KINDS).
    pub fn kind(self) -> usize {
        if let Self::Deliver { message, .. } = self {
            return DELIVER + message.shape();
        }
        let shape = self.shape();
        if shape < DELIVER { shape } else { shape - 1 + Message::SHAPES.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use itertools::Itertools as _;

    use super::*;

    fn example(sort: Sort) -> Field {
        match sort {
            Sort::Node | Sort::Sender => Field::Node(NodeId(1)),
            Sort::Ballot => Field::Ballot(Ballot(2)),
            Sort::Slot | Sort::Trimmed | Sort::Unknown | Sort::Below => Field::Slot(Slot(1)),
            Sort::Value => Field::Value(Value(1)),
            Sort::Round | Sort::Count => Field::Number(2),
            Sort::Votes => Field::Votes(Log::default()),
            Sort::Message => Field::Message(Message::Prepare { ballot: Ballot(3), first: Slot(1) }),
        }
    }

    /// Asserts that a shape with its fields makes a value of that shape, and that a further field is refused.
    fn assert_describes<D: Described + Copy + Debug>() {
        for (index, shape) in D::SHAPES.iter().enumerate() {
            let mut fields: Fields = shape.fields.iter().map(|(_, sort)| example(*sort)).collect();
            let value = D::from_parts(index, &fields).expect(shape.tag);
            assert_eq!(value.parts(), (index, fields.clone()), "{}", shape.tag);
            assert_eq!(value.shape(), index, "{}", shape.tag);
            fields.push(example(Sort::Node));
            assert!(D::from_parts(index, &fields).is_none(), "{} has a field more", shape.tag);
        }
        assert!(D::SHAPES.iter().map(|shape| shape.tag).all_unique());
        assert!(D::from_parts(D::SHAPES.len(), &[]).is_none());
    }

    #[test]
    fn shapes_describe_values() {
        assert_describes::<Message>();
        assert_describes::<Action>();
        assert_eq!(Action::SHAPES[DELIVER].tag, "Deliver");
    }

    #[test]
    fn no_two_kinds_have_the_same_name() {
        assert!(Action::KINDS.iter().all_unique());
        let kind = |action: Action| Action::KINDS[action.kind()];
        assert_eq!(kind(Action::Campaign(NodeId(0))), "campaign");
        assert_eq!(kind(Action::Read(NodeId(0))), "read");
        for (shape, Shape { kind: name, fields, .. }) in Message::SHAPES.iter().enumerate() {
            let fields: Fields = fields.iter().map(|(_, sort)| example(*sort)).collect();
            let message = Message::from_parts(shape, &fields).expect("the fields fit");
            assert_eq!(kind(Action::Deliver { to: NodeId(0), message }), *name);
        }
    }
}
