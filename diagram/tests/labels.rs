//! No label covers another, in pictures of any form.

#[path = "../../model/paxos-model/tests/support/labels.rs"]
mod labels;

use labels::assert_readable;
use space_time::{Arrow, Diagram, End, Lane};

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Returns a text of up to `words` words.
    fn text(&mut self, words: u64) -> String {
        let words = (0..=self.below(words)).map(|_| "w".repeat(1 + self.below(9) as usize));
        words.collect::<Vec<_>>().join(" ")
    }
}

fn picture(numbers: &mut Numbers) -> Diagram {
    let mut diagram = Diagram::new(numbers.text(40)).scale([6, 40][numbers.below(2) as usize]);
    let lanes: Vec<Lane> =
        (0..2 + numbers.below(4)).map(|n| diagram.lane(format!("n{n}"))).collect();
    let mut messages = 0;
    for at in 1..3 + numbers.below(30) {
        let mut lane = || lanes[numbers.below(lanes.len() as u64) as usize];
        let (node, other) = (lane(), lane());
        diagram.event(node, at, numbers.text(7));
        if numbers.below(4) == 0 {
            diagram.event(other, at, numbers.text(3));
        }
        if node != other {
            let from = (other, numbers.below(at));
            let end = [End::Arrives, End::Lost, End::Refused][numbers.below(3) as usize];
            let faint = numbers.below(3) == 0;
            diagram.arrow(Arrow { end, faint, ..Arrow::new(from, (node, at), numbers.text(5)) });
            messages += 1;
        }
        match numbers.below(12) {
            0 => diagram.moment(at, numbers.text(4)),
            1 => diagram.milestone(at, numbers.text(4)),
            2 => diagram.alarm(at, numbers.text(8)),
            3 => diagram.down(node, at, Some(at + 1)),
            _ => {}
        }
    }
    diagram.end(messages);
    diagram
}

#[test]
fn no_label_covers_another() {
    let mut numbers = Numbers(7);
    for number in 0..200 {
        assert!(assert_readable(&picture(&mut numbers).svg(), &format!("picture {number}")) > 5);
    }
}

/// Messages that leave and arrive at the same places, two values that are chosen at the same time, and long words.
#[test]
fn no_label_covers_another_where_all_are_in_the_same_place() {
    let mut diagram = Diagram::new("a title");
    let (left, right) = (diagram.lane("left"), diagram.lane("right"));
    for number in 0..9 {
        diagram.arrow(Arrow::new((left, 1), (right, 2), format!("message {number} of nine")));
        diagram.event(right, 2, format!("gets {}", "message".repeat(number)));
    }
    diagram.milestone(2, "a value is chosen");
    diagram.alarm(2, "another value is chosen");
    assert_readable(&diagram.svg(), "the same place");
}
