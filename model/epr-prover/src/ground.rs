//! The built-in prover: clauses are instantiated with terms, and a SAT solver decides the rest.
//!
//! Only instances that matter are made. The solver gives an assignment to what it was told of; all that
//! it was not told of counts as false; an instance that is false then, or that talks of a thing not yet
//! made, is told; and so on. That no assignment is left is a proof, whatever was not told. That nothing
//! is left to be told is a model: for each clause is true of all terms there are, without regard to
//! things not made. In the decidable fragment one of both comes about, since there are finitely many
//! terms.
//!
//! Equality is a predicate like the others, whose laws are told when they are broken.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::{
    clause::{Clause, Clauses, Function, Literal, Predicate, Term},
    language::{Sort, Specification},
    patience::Watch,
    sat::{Answer, Certificate, Sat, literal},
};

/// A ground term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thing(u32);

type Things = SmallVec<[Thing; 5]>;

/// A ground atom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Atom {
    predicate: Predicate,
    arguments: Things,
}

/// Instances of clauses, and what is known of their atoms.
pub struct Grounding {
    functions: Vec<Function>,
    clauses: Vec<(Clause, Plan)>,
    things: Vec<(usize, Things)>,
    by_sort: Vec<Vec<Thing>>,
    made: HashMap<(usize, Things), Thing>,
    atoms: Vec<Atom>,
    numbers: HashMap<Atom, usize>,
    sat: Sat,
    told: usize,
    watch: Watch,
}

/// How the false instances of a clause are found: by going through the true atoms for some of its
/// negative literals, and then through all things for the variables that are left.
#[derive(Debug)]
struct Plan {
    moves: Vec<Move>,
    /// The literals to look at after so many moves, when all their variables are known.
    checks: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Match(usize),
    Enumerate(usize),
}

/// The most instances of one clause that are told at once.
const BATCH: usize = 64;

impl Grounding {
    /// The clauses, about so many sorts of things; none is empty.
    pub fn new(mut clauses: Clauses, sorts: usize, watch: &Watch) -> Self {
        for sort in (0..sorts).map(Sort) {
            let constant =
                |function: &Function| function.sort == sort && function.arguments.is_empty();
            if !clauses.functions.iter().any(constant) {
                clauses.constant(sort);
            }
        }
        let planned = clauses.clauses.into_iter().map(|clause| {
            let plan = Plan::of(&clause);
            (clause, plan)
        });
        let mut grounding = Self {
            clauses: planned.collect(),
            functions: clauses.functions,
            things: Vec::new(),
            by_sort: vec![Vec::new(); sorts],
            made: HashMap::new(),
            atoms: Vec::new(),
            numbers: HashMap::new(),
            sat: Sat::new(watch),
            told: 0,
            watch: watch.clone(),
        };
        for function in 0..grounding.functions.len() {
            if grounding.functions[function].arguments.is_empty() {
                grounding.make(function, Things::new());
            }
        }
        grounding
    }

    /// Keeps the reasons of the SAT solver, for [`certificate`](Self::certificate).
    pub fn record(&mut self) {
        self.sat.record();
    }

    /// Why the instances that were told can not all be true, and what the variables in them are; if that
    /// was found, and recorded.
    pub fn certificate(&self, specification: &Specification) -> Option<(Certificate, Vec<String>)> {
        let sort = |thing: Thing| {
            let (function, _) = self.things[thing.0 as usize];
            &specification.sorts[self.functions[function].sort.0].name
        };
        let name = |thing: &Thing| format!("{}{}", sort(*thing), thing.0);
        let atoms = self.atoms.iter().zip(1..).map(|(atom, number)| {
            let predicate = match atom.predicate {
                Predicate::Equal => "=".to_owned(),
                Predicate::Relation(relation) => specification.relations[relation.0].name.clone(),
                Predicate::Definition(definition) => format!("definition{definition}"),
            };
            let arguments: Vec<_> = atom.arguments.iter().map(name).collect();
            format!("{number} is ({predicate} {})", arguments.join(" "))
        });
        Some((self.sat.certificate()?, atoms.collect()))
    }

    /// How many ground terms there are, and how many ground clauses.
    pub fn size(&self) -> (usize, usize) {
        (self.things.len(), self.told)
    }

    /// Whether the clauses can all be true.
    pub fn solve(&mut self) -> Answer {
        loop {
            match self.sat.solve(&[]) {
                Answer::Model if self.late() => return Answer::TimeUp,
                Answer::Model => {}
                answer => return answer,
            }
            let world = World::of(self);
            let Some(broken) = self.broken_instances(&world) else { return Answer::TimeUp };
            let laws = self.broken_laws(&world);
            if broken.is_empty() && laws.is_empty() {
                return Answer::Model;
            }
            for (clause, binding) in broken {
                self.instantiate(clause, &binding);
            }
            for law in laws {
                self.tell(law);
            }
        }
    }

    fn late(&self) -> bool {
        self.watch.has_ended()
    }

    fn make(&mut self, function: usize, arguments: Things) -> Thing {
        let key = (function, arguments);
        if let Some(&thing) = self.made.get(&key) {
            return thing;
        }
        let thing = Thing(self.things.len() as u32);
        self.by_sort[self.functions[function].sort.0].push(thing);
        self.things.push(key.clone());
        self.made.insert(key, thing);
        thing
    }

    /// The number of an atom, new or not.
    fn number(&mut self, atom: Atom) -> usize {
        if let Some(&number) = self.numbers.get(&atom) {
            return number;
        }
        let number = self.atoms.len();
        assert_eq!(self.sat.variable(), number, "atoms and variables are numbered alike");
        self.atoms.push(atom.clone());
        self.numbers.insert(atom, number);
        number
    }

    fn tell(&mut self, literals: Vec<(bool, Atom)>) {
        let mut clause = Vec::new();
        for (positive, atom) in literals {
            clause.push(literal(self.number(atom), positive));
        }
        self.told += 1;
        self.sat.clause(&clause);
    }

    fn instantiate(&mut self, clause: usize, binding: &[Thing]) {
        let literals = self.clauses[clause].0.literals.clone();
        let mut told = Vec::new();
        for Literal { positive, predicate, arguments } in &literals {
            let arguments: Things =
                arguments.iter().map(|term| self.make_term(term, binding)).collect();
            let atom = Atom::new(*predicate, arguments);
            match (atom.is_trivial(), positive) {
                (false, _) => told.push((*positive, atom)),
                (true, true) => return,
                (true, false) => {}
            }
        }
        self.tell(told);
    }

    fn make_term(&mut self, term: &Term, binding: &[Thing]) -> Thing {
        match term {
            Term::Variable(x) => binding[*x],
            Term::Apply(function, arguments) => {
                let arguments =
                    arguments.iter().map(|term| self.make_term(term, binding)).collect();
                self.make(*function, arguments)
            }
        }
    }

    /// The thing that a term is, if it was made and the variables in it are known.
    fn find(&self, term: &Term, binding: &[Option<Thing>]) -> Option<Thing> {
        match term {
            Term::Variable(x) => binding[*x],
            Term::Apply(function, arguments) => {
                let arguments: Option<Things> =
                    arguments.iter().map(|term| self.find(term, binding)).collect();
                self.made.get(&(*function, arguments?)).copied()
            }
        }
    }

    /// Instances that are false, a number of them for each clause; nothing if it took too long.
    fn broken_instances(&self, world: &World) -> Option<Vec<(usize, Vec<Thing>)>> {
        let mut broken = Vec::new();
        let mut steps = 0;
        for (index, (clause, plan)) in self.clauses.iter().enumerate() {
            let mut binding = vec![None; clause.sorts.len()];
            let mut found = Vec::new();
            self.search(world, clause, plan, 0, &mut binding, &mut found, &mut steps)?;
            broken.extend(found.into_iter().map(|binding| (index, binding)));
        }
        Some(broken)
    }

    #[expect(clippy::too_many_arguments, reason = "what a search carries along, and no more")]
    fn search(
        &self,
        world: &World,
        clause: &Clause,
        plan: &Plan,
        depth: usize,
        binding: &mut Vec<Option<Thing>>,
        found: &mut Vec<Vec<Thing>>,
        steps: &mut u32,
    ) -> Option<()> {
        *steps += 1;
        if steps.is_multiple_of(4096) && self.late() {
            return None;
        }
        let checks = plan.checks[depth].iter();
        if found.len() >= BATCH
            || checks.map(|&at| &clause.literals[at]).any(|it| self.satisfied(world, it, binding))
        {
            return Some(());
        }
        match plan.moves.get(depth) {
            None => found.push(binding.iter().map(|thing| thing.expect("all are known")).collect()),
            Some(&Move::Enumerate(x)) => {
                for &thing in &self.by_sort[clause.sorts[x].0] {
                    binding[x] = Some(thing);
                    self.search(world, clause, plan, depth + 1, binding, found, steps)?;
                }
                binding[x] = None;
            }
            Some(&Move::Match(at)) => {
                let Literal { predicate, arguments, .. } = &clause.literals[at];
                for &atom in world.truths.get(predicate).into_iter().flatten() {
                    let before = binding.clone();
                    let places = arguments.iter().zip(&self.atoms[atom].arguments);
                    let fits = places.clone().all(|(term, &thing)| match term {
                        Term::Variable(x) => *binding[*x].get_or_insert(thing) == thing,
                        constant @ Term::Apply(..) => self.find(constant, binding) == Some(thing),
                    });
                    if fits {
                        self.search(world, clause, plan, depth + 1, binding, found, steps)?;
                    }
                    *binding = before;
                }
            }
        }
        Some(())
    }

    /// Whether a literal is true, as far as it is about things that were made.
    fn satisfied(&self, world: &World, literal: &Literal, binding: &[Option<Thing>]) -> bool {
        let arguments: Option<Things> =
            literal.arguments.iter().map(|term| self.find(term, binding)).collect();
        let Some(arguments) = arguments else { return false };
        world.is_true(self, &Atom::new(literal.predicate, arguments)) == literal.positive
    }

    /// Instances of the laws of equality that the assignment breaks: what is the same as the same is
    /// the same, and what is true of a thing, or made of it, is so of what is the same.
    fn broken_laws(&self, world: &World) -> Vec<Vec<(bool, Atom)>> {
        let mut broken = Vec::new();
        let Some(equal) = world.truths.get(&Predicate::Equal) else { return broken };
        let mut twins: HashMap<Thing, Vec<Thing>> = HashMap::new();
        for &atom in equal {
            let [x, y] = self.atoms[atom].arguments[..] else { unreachable!("equal is binary") };
            twins.entry(x).or_default().push(y);
            twins.entry(y).or_default().push(x);
        }
        let same = |x, y| Atom::new(Predicate::Equal, SmallVec::from_slice(&[x, y]));
        for (predicate, atoms) in &world.truths {
            for &atom in atoms {
                let atom = &self.atoms[atom];
                for (place, x) in atom.arguments.iter().enumerate() {
                    for &y in twins.get(x).into_iter().flatten() {
                        let mut arguments = atom.arguments.clone();
                        arguments[place] = y;
                        let other = Atom::new(*predicate, arguments);
                        if !world.is_true(self, &other) {
                            let premises = [(false, atom.clone()), (false, same(*x, y))];
                            broken.push([&premises[..], &[(true, other)]].concat());
                        }
                    }
                }
            }
        }
        for (thing, (function, arguments)) in (0..).map(Thing).zip(&self.things) {
            for (place, x) in arguments.iter().enumerate() {
                for &y in twins.get(x).into_iter().flatten() {
                    let mut arguments = arguments.clone();
                    arguments[place] = y;
                    let Some(&other) = self.made.get(&(*function, arguments)) else { continue };
                    let conclusion = same(thing, other);
                    if !world.is_true(self, &conclusion) {
                        broken.push(vec![(false, same(*x, y)), (true, conclusion)]);
                    }
                }
            }
        }
        broken
    }
}

/// The assignment of the solver: what is true in it.
struct World {
    truths: BTreeMap<Predicate, Vec<usize>>,
    is_true: Vec<bool>,
}

impl World {
    fn of(grounding: &Grounding) -> Self {
        let mut world =
            Self { truths: BTreeMap::new(), is_true: vec![false; grounding.atoms.len()] };
        for (number, atom) in grounding.atoms.iter().enumerate() {
            if grounding.sat.is_true(number) {
                world.truths.entry(atom.predicate).or_default().push(number);
                world.is_true[number] = true;
            }
        }
        world
    }

    fn is_true(&self, grounding: &Grounding, atom: &Atom) -> bool {
        atom.is_trivial() || grounding.numbers.get(atom).is_some_and(|&number| self.is_true[number])
    }
}

impl Atom {
    /// Equality has no direction.
    fn new(predicate: Predicate, mut arguments: Things) -> Self {
        if predicate == Predicate::Equal {
            arguments.sort_unstable();
        }
        Self { predicate, arguments }
    }

    /// Whether it says that a thing is itself.
    fn is_trivial(&self) -> bool {
        self.predicate == Predicate::Equal && self.arguments[0] == self.arguments[1]
    }
}

impl Plan {
    fn of(clause: &Clause) -> Self {
        let mut known = vec![false; clause.sorts.len()];
        let mut left: Vec<usize> = (0..clause.literals.len()).collect();
        let (mut moves, mut checks) = (Vec::new(), Vec::new());
        loop {
            // Literals whose variables are all known are looked at as soon as they are.
            let ready = |at: &usize| {
                let arguments = &clause.literals[*at].arguments;
                arguments.iter().all(|term| term.is_known(&known))
            };
            let (now, later) = left.iter().copied().partition(ready);
            checks.push(now);
            left = later;
            let matchable = |at: &&usize| {
                let Literal { positive, predicate, arguments } = &clause.literals[**at];
                !positive && *predicate != Predicate::Equal && arguments.iter().all(Term::is_flat)
            };
            let unknown = |at: &&usize| {
                let arguments = &clause.literals[**at].arguments;
                arguments.iter().filter(|term| !term.is_known(&known)).count()
            };
            if let Some(&at) = left.iter().filter(matchable).min_by_key(unknown) {
                for argument in &clause.literals[at].arguments {
                    if let Term::Variable(x) = argument {
                        known[*x] = true;
                    }
                }
                // What was matched is true, and so its opposite is not: nothing is left to look at.
                left.retain(|other| *other != at);
                moves.push(Move::Match(at));
            } else if let Some(x) = known.iter().position(|known| !known) {
                known[x] = true;
                moves.push(Move::Enumerate(x));
            } else {
                return Self { moves, checks };
            }
        }
    }
}

impl Term {
    fn is_known(&self, known: &[bool]) -> bool {
        match self {
            Self::Variable(x) => known[*x],
            Self::Apply(_, arguments) => arguments.iter().all(|term| term.is_known(known)),
        }
    }

    /// Whether it is a variable or a constant, which always exist.
    fn is_flat(&self) -> bool {
        match self {
            Self::Variable(_) => true,
            Self::Apply(_, arguments) => arguments.is_empty(),
        }
    }
}
