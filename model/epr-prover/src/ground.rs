//! The built-in prover: a SAT solver decides clauses by their instances for ground terms.
//!
//! The prover makes only the instances that it needs, in a loop:
//!
//! 1. The solver searches for an assignment to the atoms of the instances made so far. If there is none, the clauses
//!    are unsatisfiable: further instances cannot change that.
//! 2. The prover takes all other atoms as false. It searches for further instances that are then false, or that contain a
//!    term that does not exist yet. If there are such instances, it makes some of them and begins again.
//! 3. Otherwise the assignment is a model, because each clause is true for all ground terms that exist.
//!
//! The loop ends in the decidable fragment, because there are finitely many ground terms.
//!
//! Equality is a predicate like the others. An instance of one of its laws is added when an assignment breaks it.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::{
    clause::{Clause, Clauses, Function, Literal, Predicate, Term},
    language::{Sort, Specification},
    limits::Watch,
    sat::{Answer, Certificate, Sat, literal},
};

/// An index into [`Grounding::terms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct GroundTerm(u32);

type GroundTerms = SmallVec<[GroundTerm; 5]>;

/// A ground atom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Atom {
    predicate: Predicate,
    arguments: GroundTerms,
}

/// Clauses, and their instances made so far.
pub struct Grounding {
    functions: Vec<Function>,
    clauses: Vec<(Clause, Plan)>,
    /// Each term is a function and its arguments.
    terms: Vec<(usize, GroundTerms)>,
    by_sort: Vec<Vec<GroundTerm>>,
    /// The inverse of `terms`.
    interned: HashMap<(usize, GroundTerms), GroundTerm>,
    atoms: Vec<Atom>,
    /// The inverse of `atoms`. An atom and its propositional variable have the same number.
    numbers: HashMap<Atom, usize>,
    sat: Sat,
    clause_count: usize,
    watch: Watch,
}

/// The order in which a search for false instances binds the variables of a clause.
#[derive(Debug)]
struct Plan {
    steps: Vec<PlanStep>,
    /// For each number of steps taken, the literals whose variables are all bound since then. An instance is not
    /// false if one of these is true.
    checks: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum PlanStep {
    /// Tries all true atoms for a negative literal.
    Match(usize),
    /// Tries all terms for a variable.
    Enumerate(usize),
}

/// The greatest number of instances of one clause that are added at once.
const BATCH: usize = 64;

impl Grounding {
    /// Prepares the clauses. `sorts` is the number of sorts. Adds a constant to each sort without one, because no sort is
    /// empty.
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
            terms: Vec::new(),
            by_sort: vec![Vec::new(); sorts],
            interned: HashMap::new(),
            atoms: Vec::new(),
            numbers: HashMap::new(),
            sat: Sat::new(watch),
            clause_count: 0,
            watch: watch.clone(),
        };
        for function in 0..grounding.functions.len() {
            if grounding.functions[function].arguments.is_empty() {
                grounding.intern(function, GroundTerms::new());
            }
        }
        grounding
    }

    /// Records the proof of the SAT solver, for [`certificate`](Self::certificate).
    pub fn record(&mut self) {
        self.sat.record();
    }

    /// Returns the proof that the instances are unsatisfiable, and one line about each variable. Returns nothing unless
    /// [`solve`](Self::solve) found a contradiction and [recorded](Self::record) the proof.
    pub fn certificate(&self, specification: &Specification) -> Option<(Certificate, Vec<String>)> {
        let sort = |ground_term: GroundTerm| {
            let (function, _) = self.terms[ground_term.0 as usize];
            &specification.sorts[self.functions[function].sort.0].name
        };
        let name = |ground_term: &GroundTerm| format!("{}{}", sort(*ground_term), ground_term.0);
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

    /// Returns the numbers of ground terms and of ground clauses.
    pub fn size(&self) -> (usize, usize) {
        (self.terms.len(), self.clause_count)
    }

    /// Decides whether the clauses are satisfiable.
    pub fn solve(&mut self) -> Answer {
        loop {
            match self.sat.solve(&[]) {
                Answer::Model if self.late() => return Answer::TimeUp,
                Answer::Model => {}
                answer => return answer,
            }
            let model = SatModel::of(self);
            let Some(broken) = self.broken_instances(&model) else { return Answer::TimeUp };
            let laws = self.broken_laws(&model);
            if broken.is_empty() && laws.is_empty() {
                return Answer::Model;
            }
            for (clause, binding) in broken {
                self.instantiate(clause, &binding);
            }
            for law in laws {
                self.add_clause(law);
            }
        }
    }

    fn late(&self) -> bool {
        self.watch.has_ended()
    }

    fn intern(&mut self, function: usize, arguments: GroundTerms) -> GroundTerm {
        let key = (function, arguments);
        if let Some(&ground_term) = self.interned.get(&key) {
            return ground_term;
        }
        let ground_term = GroundTerm(self.terms.len() as u32);
        self.by_sort[self.functions[function].sort.0].push(ground_term);
        self.terms.push(key.clone());
        self.interned.insert(key, ground_term);
        ground_term
    }

    /// Returns the number of an atom, and adds the atom if it is new.
    fn number(&mut self, atom: Atom) -> usize {
        if let Some(&number) = self.numbers.get(&atom) {
            return number;
        }
        let number = self.atoms.len();
        assert_eq!(self.sat.new_variable(), number, "atoms and variables are numbered alike");
        self.atoms.push(atom.clone());
        self.numbers.insert(atom, number);
        number
    }

    fn add_clause(&mut self, literals: Vec<(bool, Atom)>) {
        let mut clause = Vec::new();
        for (positive, atom) in literals {
            clause.push(literal(self.number(atom), positive));
        }
        self.clause_count += 1;
        self.sat.add_clause(&clause);
    }

    fn instantiate(&mut self, clause: usize, binding: &[GroundTerm]) {
        let literals = self.clauses[clause].0.literals.clone();
        let mut ground = Vec::new();
        for Literal { positive, predicate, arguments } in &literals {
            let arguments: GroundTerms =
                arguments.iter().map(|term| self.instantiate_term(term, binding)).collect();
            let atom = Atom::new(*predicate, arguments);
            match (atom.is_trivial(), positive) {
                (false, _) => ground.push((*positive, atom)),
                (true, true) => return,
                (true, false) => {}
            }
        }
        self.add_clause(ground);
    }

    fn instantiate_term(&mut self, term: &Term, binding: &[GroundTerm]) -> GroundTerm {
        match term {
            Term::Variable(x) => binding[*x],
            Term::Apply(function, arguments) => {
                let arguments =
                    arguments.iter().map(|term| self.instantiate_term(term, binding)).collect();
                self.intern(*function, arguments)
            }
        }
    }

    /// Returns the ground term of a term under a binding, if all variables are bound and the ground term exists.
    fn find(&self, term: &Term, binding: &[Option<GroundTerm>]) -> Option<GroundTerm> {
        match term {
            Term::Variable(x) => binding[*x],
            Term::Apply(function, arguments) => {
                let arguments: Option<GroundTerms> =
                    arguments.iter().map(|term| self.find(term, binding)).collect();
                self.interned.get(&(*function, arguments?)).copied()
            }
        }
    }

    /// Returns instances that the assignment does not satisfy, at most [`BATCH`] for each clause. Returns nothing if a limit
    /// was reached.
    fn broken_instances(&self, model: &SatModel) -> Option<Vec<(usize, Vec<GroundTerm>)>> {
        let mut broken = Vec::new();
        let mut steps = 0;
        for (index, (clause, plan)) in self.clauses.iter().enumerate() {
            let mut binding = vec![None; clause.sorts.len()];
            let mut found = Vec::new();
            self.search(model, clause, plan, 0, &mut binding, &mut found, &mut steps)?;
            broken.extend(found.into_iter().map(|binding| (index, binding)));
        }
        Some(broken)
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one recursive search")]
    fn search(
        &self,
        model: &SatModel,
        clause: &Clause,
        plan: &Plan,
        depth: usize,
        binding: &mut Vec<Option<GroundTerm>>,
        found: &mut Vec<Vec<GroundTerm>>,
        steps: &mut u32,
    ) -> Option<()> {
        *steps += 1;
        if steps.is_multiple_of(4096) && self.late() {
            return None;
        }
        let checks = plan.checks[depth].iter();
        if found.len() >= BATCH
            || checks.map(|&at| &clause.literals[at]).any(|it| self.satisfied(model, it, binding))
        {
            return Some(());
        }
        match plan.steps.get(depth) {
            None => found.push(
                binding
                    .iter()
                    .map(|ground_term| ground_term.expect("the plan binds all variables"))
                    .collect(),
            ),
            Some(&PlanStep::Enumerate(x)) => {
                for &ground_term in &self.by_sort[clause.sorts[x].0] {
                    binding[x] = Some(ground_term);
                    self.search(model, clause, plan, depth + 1, binding, found, steps)?;
                }
                binding[x] = None;
            }
            Some(&PlanStep::Match(at)) => {
                let Literal { predicate, arguments, .. } = &clause.literals[at];
                for &atom in model.truths.get(predicate).into_iter().flatten() {
                    let before = binding.clone();
                    let places = arguments.iter().zip(&self.atoms[atom].arguments);
                    let fits = places.clone().all(|(term, &ground_term)| match term {
                        Term::Variable(x) => *binding[*x].get_or_insert(ground_term) == ground_term,
                        constant @ Term::Apply(..) => {
                            self.find(constant, binding) == Some(ground_term)
                        }
                    });
                    if fits {
                        self.search(model, clause, plan, depth + 1, binding, found, steps)?;
                    }
                    *binding = before;
                }
            }
        }
        Some(())
    }

    /// Returns true if all terms of the literal exist and the literal is true.
    fn satisfied(
        &self,
        model: &SatModel,
        literal: &Literal,
        binding: &[Option<GroundTerm>],
    ) -> bool {
        let arguments: Option<GroundTerms> =
            literal.arguments.iter().map(|term| self.find(term, binding)).collect();
        let Some(arguments) = arguments else { return false };
        model.is_true(self, &Atom::new(literal.predicate, arguments)) == literal.positive
    }

    /// Returns instances of the laws of equality that the assignment breaks. If two terms are equal, a predicate that
    /// is true for one is true for the other (which includes transitivity), and functions of them are equal.
    fn broken_laws(&self, model: &SatModel) -> Vec<Vec<(bool, Atom)>> {
        let mut broken = Vec::new();
        let Some(equal) = model.truths.get(&Predicate::Equal) else { return broken };
        let mut equals: HashMap<GroundTerm, Vec<GroundTerm>> = HashMap::new();
        for &atom in equal {
            let [x, y] = self.atoms[atom].arguments[..] else { unreachable!("equal is binary") };
            equals.entry(x).or_default().push(y);
            equals.entry(y).or_default().push(x);
        }
        let same = |x, y| Atom::new(Predicate::Equal, SmallVec::from_slice(&[x, y]));
        for (predicate, atoms) in &model.truths {
            for &atom in atoms {
                let atom = &self.atoms[atom];
                for (place, x) in atom.arguments.iter().enumerate() {
                    for &y in equals.get(x).into_iter().flatten() {
                        let mut arguments = atom.arguments.clone();
                        arguments[place] = y;
                        let other = Atom::new(*predicate, arguments);
                        if !model.is_true(self, &other) {
                            let premises = [(false, atom.clone()), (false, same(*x, y))];
                            broken.push([&premises[..], &[(true, other)]].concat());
                        }
                    }
                }
            }
        }
        for (ground_term, (function, arguments)) in (0..).map(GroundTerm).zip(&self.terms) {
            for (place, x) in arguments.iter().enumerate() {
                for &y in equals.get(x).into_iter().flatten() {
                    let mut arguments = arguments.clone();
                    arguments[place] = y;
                    let Some(&other) = self.interned.get(&(*function, arguments)) else { continue };
                    let conclusion = same(ground_term, other);
                    if !model.is_true(self, &conclusion) {
                        broken.push(vec![(false, same(*x, y)), (true, conclusion)]);
                    }
                }
            }
        }
        broken
    }
}

/// The true atoms in the assignment of the solver.
struct SatModel {
    truths: BTreeMap<Predicate, Vec<usize>>,
    is_true: Vec<bool>,
}

impl SatModel {
    fn of(grounding: &Grounding) -> Self {
        let mut model =
            Self { truths: BTreeMap::new(), is_true: vec![false; grounding.atoms.len()] };
        for (number, atom) in grounding.atoms.iter().enumerate() {
            if grounding.sat.is_true(number) {
                model.truths.entry(atom.predicate).or_default().push(number);
                model.is_true[number] = true;
            }
        }
        model
    }

    fn is_true(&self, grounding: &Grounding, atom: &Atom) -> bool {
        atom.is_trivial() || grounding.numbers.get(atom).is_some_and(|&number| self.is_true[number])
    }
}

impl Atom {
    /// Sorts the arguments of an equality, so that both directions are one atom.
    fn new(predicate: Predicate, mut arguments: GroundTerms) -> Self {
        if predicate == Predicate::Equal {
            arguments.sort_unstable();
        }
        Self { predicate, arguments }
    }

    /// Returns true for an equality of a term with itself.
    fn is_trivial(&self) -> bool {
        self.predicate == Predicate::Equal && self.arguments[0] == self.arguments[1]
    }
}

impl Plan {
    fn of(clause: &Clause) -> Self {
        let mut bound = vec![false; clause.sorts.len()];
        let mut left: Vec<usize> = (0..clause.literals.len()).collect();
        let (mut steps, mut checks) = (Vec::new(), Vec::new());
        loop {
            // Literals are checked as soon as their variables are all bound.
            let ready = |at: &usize| {
                let arguments = &clause.literals[*at].arguments;
                arguments.iter().all(|term| term.is_bound(&bound))
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
                arguments.iter().filter(|term| !term.is_bound(&bound)).count()
            };
            if let Some(&at) = left.iter().filter(matchable).min_by_key(unknown) {
                for argument in &clause.literals[at].arguments {
                    if let Term::Variable(x) = argument {
                        bound[*x] = true;
                    }
                }
                // The matched atom is true, so the negative literal is false and needs no check.
                left.retain(|other| *other != at);
                steps.push(PlanStep::Match(at));
            } else if let Some(x) = bound.iter().position(|bound| !bound) {
                bound[x] = true;
                steps.push(PlanStep::Enumerate(x));
            } else {
                return Self { steps, checks };
            }
        }
    }
}

impl Term {
    fn is_bound(&self, bound: &[bool]) -> bool {
        match self {
            Self::Variable(x) => bound[*x],
            Self::Apply(_, arguments) => arguments.iter().all(|term| term.is_bound(bound)),
        }
    }

    /// Returns true for a variable or a constant. Their ground terms always exist.
    fn is_flat(&self) -> bool {
        match self {
            Self::Variable(_) => true,
            Self::Apply(_, arguments) => arguments.is_empty(),
        }
    }
}
