//! Turns S-expressions into a specification, and checks that each name is declared and each argument has the right
//! sort.
//!
//! Names must be declared before they are used. An abbreviation is elaborated again at each use, so that each use has
//! its own bound variables.

use std::collections::{HashMap, HashSet};

use super::{
    Action, Formula, LanguageError, Phrase, Piece, Place, RelationDeclaration, Sort,
    SortDeclaration, Source, Specification, Statement, Update, Variable,
    reader::{self, Expression},
};

type Result<T> = std::result::Result<T, LanguageError>;

const FORMS: &str = "one of `specification`, `declare-sort`, `declare-rigid`, `declare-relation`, \
    `define`, `axiom`, `action`, `invariant` and `safety`";
const FORMULA: &str = "a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, \
    `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or \
    `(exists ((x sort) …) F)`";
const CLAUSES: &str = "`(require FORMULA)`, `(set (R x …) FORMULA)` or \
    `(forall ((y SORT) …) (set (R x y …) FORMULA))`";
const BINDERS: &str = "variables and their sorts, as in `((x client) (y client))`";

/// The words of formulas. No declaration may use them as a name.
const RESERVED: [&str; 10] =
    ["true", "false", "not", "and", "or", "=>", "=", "distinct", "forall", "exists"];

pub(super) fn elaborate(source: &Source) -> Result<Specification> {
    let expressions = reader::read(source)?;
    let mut elaborator = Elaborator {
        source,
        specification: Specification {
            name: String::new(),
            about: String::new(),
            sorts: Vec::new(),
            relations: Vec::new(),
            variables: Vec::new(),
            axioms: Vec::new(),
            actions: Vec::new(),
            invariants: Vec::new(),
            safety: Vec::new(),
            source: source.clone(),
        },
        abbreviations: HashMap::new(),
        names: HashSet::new(),
        depth: 0,
        parts: 0,
    };
    let whole = Place { start: 0, end: source.text().chars().next().map_or(0, char::len_utf8) };
    let Some((first, rest)) = expressions.split_first() else {
        return Err(source.error(whole, "the text is empty").expecting(SPECIFICATION));
    };
    elaborator.heading(first)?;
    for form in rest {
        elaborator.form(form)?;
    }
    let specification = elaborator.specification;
    let missing = |what: &str, form: &str| {
        Err(source.error(whole, format!("the specification has no {what}")).expecting(form))
    };
    if specification.actions.is_empty() {
        return missing("action", "`(action NAME (PARAMETER …) \"in words\" …)`");
    }
    if specification.safety.is_empty() {
        return missing("safety property", "`(safety NAME \"in words\" FORMULA)`");
    }
    Ok(specification)
}

const SPECIFICATION: &str = "`(specification NAME \"what it is\")` at the beginning";

struct Elaborator<'s> {
    source: &'s Source,
    specification: Specification,
    abbreviations: HashMap<&'s str, Abbreviation<'s>>,
    /// The declared names, each with its kind. Names of different kinds may be equal.
    names: HashSet<(&'static str, String)>,
    /// The number of formulas around the current one, with abbreviations expanded.
    depth: usize,
    /// The number of formulas elaborated so far, with abbreviations expanded.
    parts: usize,
}

/// The greatest depth of nested formulas, with abbreviations expanded. It bounds the recursion of all functions on
/// formulas.
const DEPTH_MAX: usize = 200;
/// The greatest number of parts of all formulas together, with abbreviations expanded.
const PARTS_MAX: usize = 100_000;
/// The greatest number of arguments of a relation.
const ARITY_MAX: usize = 8;

#[derive(Clone)]
struct Abbreviation<'s> {
    parameters: Vec<(&'s str, Sort)>,
    body: Expression<'s>,
}

/// The variables in scope, innermost last.
type Scope<'s> = Vec<(&'s str, Variable)>;

impl<'s> Elaborator<'s> {
    fn heading(&mut self, form: &Expression<'s>) -> Result<()> {
        match form {
            Expression::List(items, _) => match items.as_slice() {
                [
                    Expression::Symbol("specification", _),
                    Expression::Symbol(name, _),
                    Expression::Text(about, _),
                ] => {
                    (*name).clone_into(&mut self.specification.name);
                    self.specification.about = sentence(about);
                    Ok(())
                }
                _ => Err(self.error(
                    form,
                    "this is not the first form of a specification",
                    SPECIFICATION,
                )),
            },
            _ => Err(self.error(
                form,
                "this is not the first form of a specification",
                SPECIFICATION,
            )),
        }
    }

    fn form(&mut self, form: &Expression<'s>) -> Result<()> {
        let (head, arguments) = self.list(form, FORMS)?;
        let Expression::Symbol(word, _) = head else {
            return Err(self.error(head, "a form begins with a word", FORMS));
        };
        match (*word, arguments) {
            ("declare-sort", [name, Expression::Text(prefix, _)]) => {
                let name = self.declare("sort", name)?;
                let prefix = (*prefix).to_owned();
                self.specification.sorts.push(SortDeclaration { name, prefix });
                Ok(())
            }
            ("declare-sort", _) => Err(self.shape(form, "`(declare-sort NAME \"PREFIX\")`")),
            ("declare-rigid", [name, signature, phrase]) => {
                self.relation(name, signature, phrase, true)
            }
            ("declare-relation", [name, signature, phrase]) => {
                self.relation(name, signature, phrase, false)
            }
            ("declare-relation", [name, signature, phrase, Expression::Symbol("highest", _)]) => {
                self.relation(name, signature, phrase, false)?;
                let declared = self.specification.relations.last_mut();
                declared.expect("it was declared just now").highest = true;
                Ok(())
            }
            ("declare-rigid" | "declare-relation", _) => Err(self.shape(
                form,
                &format!("`({word} NAME (SORT …) \"a sentence with {{0}}, {{1}}, …\")`"),
            )),
            ("define", [name, parameters, body]) => self.abbreviation(name, parameters, body),
            ("define", _) => Err(self.shape(form, "`(define NAME ((x SORT) …) FORMULA)`")),
            ("axiom" | "invariant" | "safety", [name, Expression::Text(words, _), formula]) => {
                self.statement(word, name, words, formula)
            }
            ("axiom" | "invariant" | "safety", _) => {
                Err(self.shape(form, &format!("`({word} NAME \"in words\" FORMULA)`")))
            }
            ("action", [name, parameters, Expression::Text(words, place), body @ ..]) => {
                self.action(name, parameters, (words, *place), body)
            }
            ("action", _) => Err(self.shape(
                form,
                "`(action NAME ((x SORT) …) \"in words, with {x}\" (require F) … (set (R x …) F) …)`",
            )),
            ("specification", _) => {
                Err(self.error(head, "a text holds one specification", "the next form"))
            }
            ("declare-fun" | "declare-const" | "define-fun", _) => Err(self.error(
                head,
                "there are no functions and no constants",
                "relations: `declare-rigid`, `declare-relation`, or an abbreviation by `define`",
            )),
            ("init" | "initially", _) => Err(self.error(
                head,
                "the initial state needs no form",
                "nothing: every relation of `declare-relation` is empty at first",
            )),
            _ => Err(self.error(head, &format!("`{word}` is not a form"), FORMS)),
        }
    }

    fn relation(
        &mut self,
        name: &Expression<'s>,
        signature: &Expression<'s>,
        phrase: &Expression<'s>,
        rigid: bool,
    ) -> Result<()> {
        let name = self.declare("relation", name)?;
        let expression = signature;
        let Expression::List(sorts, _) = signature else {
            return Err(self.error(signature, "this is not a list", "the sorts of the arguments"));
        };
        let signature = sorts.iter().map(|sort| self.sort(sort)).collect::<Result<Vec<_>>>()?;
        if signature.len() > ARITY_MAX {
            let expected = format!("at most {ARITY_MAX} sorts");
            return Err(self.error(expression, "this relation has too many arguments", &expected));
        }
        let Expression::Text(words, place) = phrase else {
            return Err(self.error(
                phrase,
                "this is not a string",
                "the sentence that states a fact of the relation",
            ));
        };
        let placeholders: Vec<_> = (0..signature.len()).map(|i| i.to_string()).collect();
        let phrase = self.phrase(words, *place, &placeholders)?;
        let highest = false;
        let declaration = RelationDeclaration { name, signature, rigid, phrase, highest };
        self.specification.relations.push(declaration);
        Ok(())
    }

    fn abbreviation(
        &mut self,
        name: &Expression<'s>,
        parameters: &Expression<'s>,
        body: &Expression<'s>,
    ) -> Result<()> {
        let Expression::Symbol(symbol, _) = name else {
            return Err(self.error(name, "this is not a name", "a name"));
        };
        let scope = self.bind(parameters, &Scope::new())?;
        let parameters = scope.iter().map(|(name, x)| (*name, x.sort)).collect();
        // Elaborated once here, so that errors in it are reported at the definition and not at a use.
        self.formula(body, &scope)?;
        self.declare("relation", name)?;
        self.abbreviations.insert(symbol, Abbreviation { parameters, body: body.clone() });
        Ok(())
    }

    fn statement(
        &mut self,
        kind: &str,
        name: &Expression<'s>,
        words: &str,
        formula: &Expression<'s>,
    ) -> Result<()> {
        let place = name.place();
        let kind_of_name = if kind == "axiom" { "axiom" } else { "statement" };
        let name = self.declare(kind_of_name, name)?;
        let typed = self.formula(formula, &Scope::new())?;
        let relations = &self.specification.relations;
        if kind == "axiom" && typed.mentions(&|relation| !relations[relation.0].rigid) {
            let message = "an axiom is about rigid relations only, and this formula contains another relation";
            return Err(self.error(formula, message, "relations declared with `declare-rigid`"));
        }
        let statement = Statement { name, words: sentence(words), formula: typed, place };
        match kind {
            "axiom" => self.specification.axioms.push(statement),
            "invariant" => self.specification.invariants.push(statement),
            _ => self.specification.safety.push(statement),
        }
        Ok(())
    }

    fn action(
        &mut self,
        name: &Expression<'s>,
        parameters: &Expression<'s>,
        (words, words_at): (&str, Place),
        body: &[Expression<'s>],
    ) -> Result<()> {
        let place = name.place();
        let name = self.declare("action", name)?;
        let scope = self.bind(parameters, &Scope::new())?;
        let placeholders: Vec<_> = scope.iter().map(|(name, _)| (*name).to_owned()).collect();
        let phrase = self.phrase(words, words_at, &placeholders)?;
        let (mut guards, mut updates) = (Vec::new(), Vec::<Update>::new());
        for clause in body {
            let (head, arguments) = self.list(clause, CLAUSES)?;
            match (head, arguments) {
                (Expression::Symbol("require", _), [formula]) => {
                    guards.push(self.formula(formula, &scope)?);
                }
                (Expression::Symbol("set", _), [pattern, formula]) => {
                    let update = self.update(&scope, &scope, pattern, formula, &updates)?;
                    updates.push(update);
                }
                (Expression::Symbol("forall", _), [binders, set]) => {
                    let inner = self.bind(binders, &scope)?;
                    match set {
                        Expression::List(items, _) => match items.as_slice() {
                            [Expression::Symbol("set", _), pattern, formula] => {
                                let update =
                                    self.update(&scope, &inner, pattern, formula, &updates)?;
                                updates.push(update);
                            }
                            _ => return Err(self.error(set, "this is not a `set`", CLAUSES)),
                        },
                        _ => return Err(self.error(set, "this is not a `set`", CLAUSES)),
                    }
                }
                (Expression::Symbol("require", _), formulas) => {
                    let message =
                        format!("`require` takes one formula, but {} are given", formulas.len());
                    return Err(self.error(clause, &message, "one `(require FORMULA)` for each"));
                }
                _ => return Err(self.error(clause, "this is not part of an action", CLAUSES)),
            }
        }
        let parameters = scope.into_iter().map(|(_, variable)| variable).collect();
        self.specification.actions.push(Action {
            name,
            parameters,
            phrase,
            guards,
            updates,
            place,
        });
        Ok(())
    }

    /// Elaborates `(set PATTERN FORMULA)`. `outer` has the parameters of the action. `inner` has those and the
    /// variables of the `forall` around the `set`.
    fn update(
        &mut self,
        outer: &Scope<'s>,
        inner: &Scope<'s>,
        pattern: &Expression<'s>,
        formula: &Expression<'s>,
        earlier: &[Update],
    ) -> Result<Update> {
        let Formula::Atom(relation, arguments) = self.formula(pattern, inner)? else {
            return Err(self.error(pattern, "only a relation can be set", "`(R x …)`"));
        };
        let declaration = &self.specification.relations[relation.0];
        if declaration.rigid {
            let message = format!("`{}` is rigid: it never changes", declaration.name);
            return Err(self.error(pattern, &message, "a relation of `declare-relation`"));
        }
        if earlier.iter().any(|update| update.relation == relation) {
            let message = format!("this action sets `{}` twice", declaration.name);
            let expected = "one `set` for each relation; to set several tuples, \
                `(forall ((y SORT)) (set (R y) FORMULA))` with a formula that distinguishes them";
            return Err(self.error(pattern, &message, expected));
        }
        let bound: Vec<_> = inner[outer.len()..].iter().map(|(_, variable)| *variable).collect();
        for (name, variable) in &inner[outer.len()..] {
            if arguments.iter().filter(|argument| *argument == variable).count() != 1 {
                let message =
                    format!("`{name}`, bound by the `forall`, must occur here exactly once");
                return Err(self.error(pattern, &message, "each variable of the `forall` once"));
            }
        }
        let formula = self.formula(formula, inner)?;
        Ok(Update { relation, pattern: arguments, bound, formula })
    }

    fn formula(&mut self, expression: &Expression<'s>, scope: &Scope<'s>) -> Result<Formula> {
        self.parts += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX || self.parts > PARTS_MAX {
            let expected = format!(
                "at most {DEPTH_MAX} nested formulas and {PARTS_MAX} in total, with abbreviations \
                 expanded"
            );
            return Err(self.error(expression, "the formulas are too large", &expected));
        }
        let formula = self.unchecked_formula(expression, scope);
        self.depth -= 1;
        formula
    }

    fn unchecked_formula(
        &mut self,
        expression: &Expression<'s>,
        scope: &Scope<'s>,
    ) -> Result<Formula> {
        let (items, place) = match expression {
            Expression::Symbol("true", _) => return Ok(Formula::truth()),
            Expression::Symbol("false", _) => return Ok(Formula::falsehood()),
            Expression::List(items, place) if !items.is_empty() => (items, *place),
            Expression::Symbol(name, _) if self.specification.relation(name).is_some() => {
                let expected =
                    format!("`({name} …)`, with parentheses even if it has no arguments");
                return Err(self.error(expression, "this is not a formula", &expected));
            }
            other => return Err(self.error(other, "this is not a formula", FORMULA)),
        };
        let Expression::Symbol(word, word_at) = &items[0] else {
            return Err(self.error(&items[0], "a formula begins with a word", FORMULA));
        };
        let arguments = &items[1..];
        let all = |this: &mut Self| {
            arguments.iter().map(|part| this.formula(part, scope)).collect::<Result<Vec<_>>>()
        };
        match (*word, arguments) {
            ("not", [part]) => Ok(self.formula(part, scope)?.negated()),
            ("and", _) => Ok(Formula::all(all(self)?)),
            ("or", _) => Ok(Formula::any(all(self)?)),
            ("=>", [premises @ .., conclusion]) if !premises.is_empty() => {
                let mut parts = Vec::new();
                for premise in premises {
                    parts.push(self.formula(premise, scope)?.negated());
                }
                parts.push(self.formula(conclusion, scope)?);
                Ok(Formula::any(parts))
            }
            ("=" | "distinct", [Expression::Symbol(..), Expression::Symbol(..)])
                if !arguments.iter().any(is_constant) =>
            {
                let x = self.variable(&arguments[0], scope)?;
                let y = self.variable(&arguments[1], scope)?;
                if x.sort != y.sort {
                    let message = format!(
                        "a {} is never a {}",
                        self.specification.sorts[x.sort.0].name,
                        self.specification.sorts[y.sort.0].name
                    );
                    return Err(self.error(expression, &message, "two variables of one sort"));
                }
                let equal = Formula::Equal(x, y);
                Ok(if *word == "=" { equal } else { equal.negated() })
            }
            ("=", [left, right]) => {
                // Each side occurs twice in the result, so it is elaborated twice, for separate bound variables.
                let (l, r) = (self.formula(left, scope)?, self.formula(right, scope)?);
                let (l2, r2) = (self.formula(left, scope)?, self.formula(right, scope)?);
                Ok(Formula::all([Formula::any([l.negated(), r]), Formula::any([l2, r2.negated()])]))
            }
            ("forall" | "exists", [binders, part]) => {
                let inner = self.bind(binders, scope)?;
                let bound = inner[scope.len()..].iter().map(|(_, variable)| *variable).collect();
                let part = Box::new(self.formula(part, &inner)?);
                if inner.len() == scope.len() {
                    return Ok(*part);
                }
                Ok(match *word {
                    "forall" => Formula::Forall(bound, part, place),
                    _ => Formula::Exists(bound, part, place),
                })
            }
            ("iff" | "<=>" | "==", _) => Err(self.error(
                &items[0],
                &format!("`{word}` is not a word of the language"),
                "`=`",
            )),
            ("!=" | "/=", _) => Err(self.error(
                &items[0],
                &format!("`{word}` is not a word of the language"),
                "`(distinct x y)`",
            )),
            ("distinct" | "=", _) => {
                let message =
                    format!("`{word}` compares two things, but {} are given", arguments.len());
                Err(self.error(expression, &message, &format!("`({word} x y)`")))
            }
            ("not" | "=>" | "forall" | "exists", _) => {
                Err(self.error(expression, &format!("`{word}` is used in the wrong form"), FORMULA))
            }
            _ => self.application(word, *word_at, place, arguments, scope),
        }
    }

    /// Elaborates the application of a relation or an abbreviation to variables.
    fn application(
        &mut self,
        word: &'s str,
        word_at: Place,
        place: Place,
        arguments: &[Expression<'s>],
        scope: &Scope<'s>,
    ) -> Result<Formula> {
        let abbreviation = self.abbreviations.get(word).cloned();
        let relation = self.specification.relation(word);
        let signature = match (&abbreviation, relation) {
            (Some(known), _) => known.parameters.iter().map(|(_, sort)| *sort).collect(),
            (None, Some(known)) => self.specification.relations[known.0].signature.clone(),
            (None, None) => return Err(self.unknown("relation", word, word_at)),
        };
        if arguments.len() != signature.len() {
            let message = format!(
                "`{word}` takes {}, but {} given",
                arguments_in_words(signature.len()),
                given(arguments.len())
            );
            let sorts: Vec<_> =
                signature.iter().map(|sort| &*self.specification.sorts[sort.0].name).collect();
            let expected = format!("`({word} {})`", sorts.join(" "));
            return Err(self.source.error(place, message).expecting(expected));
        }
        let mut variables = Vec::new();
        for (argument, &sort) in arguments.iter().zip(&signature) {
            let variable = self.variable(argument, scope)?;
            let found = variable.sort;
            if found != sort {
                let name = |sort: Sort| &self.specification.sorts[sort.0].name;
                let message = format!(
                    "`{}` is a {}, but `{word}` takes a {} here",
                    self.specification.variables[variable.index],
                    name(found),
                    name(sort)
                );
                let expected = format!("a variable of sort `{}`", name(sort));
                return Err(self.error(argument, &message, &expected));
            }
            variables.push(variable);
        }
        match abbreviation {
            None => Ok(Formula::Atom(
                relation.expect("no abbreviation of this name is known, so the relation is"),
                variables,
            )),
            Some(Abbreviation { parameters, body }) => {
                let names = parameters.iter().map(|(name, _)| *name);
                self.formula(&body, &names.zip(variables).collect())
            }
        }
    }

    fn variable(&self, expression: &Expression<'s>, scope: &Scope<'s>) -> Result<Variable> {
        let Expression::Symbol(name, place) = expression else {
            return Err(self.error(
                expression,
                "the language has no terms other than variables",
                "the name of a variable",
            ));
        };
        let found = scope.iter().find(|(known, _)| known == name);
        found.map(|(_, variable)| *variable).ok_or_else(|| {
            let known: Vec<_> = scope.iter().map(|(known, _)| *known).collect();
            let error = self.source.error(*place, format!("there is no variable `{name}` here"));
            error.expecting(choices(name, &known, "a `forall` or `exists` around it"))
        })
    }

    /// Returns the scope extended by the variables of a binder list.
    fn bind(&mut self, binders: &Expression<'s>, scope: &Scope<'s>) -> Result<Scope<'s>> {
        let Expression::List(binders, _) = binders else {
            return Err(self.error(
                binders,
                "this is not a list of variables and their sorts",
                BINDERS,
            ));
        };
        let mut scope = scope.clone();
        for binder in binders {
            let Expression::List(pair, _) = binder else {
                return Err(self.error(binder, "this is not a pair", BINDERS));
            };
            let [Expression::Symbol(name, place), sort] = pair.as_slice() else {
                return Err(self.error(binder, "this is not a variable and its sort", BINDERS));
            };
            let sort = self.sort(sort)?;
            if scope.iter().any(|(known, _)| known == name) || RESERVED.contains(name) {
                let error = self.source.error(*place, format!("`{name}` is already in use"));
                return Err(error.expecting("another name"));
            }
            let variable = Variable { index: self.specification.variables.len(), sort };
            self.specification.variables.push((*name).to_owned());
            scope.push((name, variable));
        }
        Ok(scope)
    }

    fn sort(&self, expression: &Expression<'s>) -> Result<Sort> {
        match expression {
            Expression::Symbol(name, place) => {
                self.specification.sort(name).ok_or_else(|| self.unknown("sort", name, *place))
            }
            other => Err(self.error(other, "this is not a sort", "the name of a sort")),
        }
    }

    /// Records a declaration, and returns its name. Fails if the name is reserved or another declaration of this kind
    /// has it.
    fn declare(&mut self, kind: &'static str, name: &Expression<'s>) -> Result<String> {
        let Expression::Symbol(name, place) = name else {
            return Err(self.error(
                name,
                "this is not a name",
                &format!("the name of this {kind}"),
            ));
        };
        if RESERVED.contains(name) {
            let error = self.source.error(*place, format!("`{name}` is a word of the language"));
            return Err(error.expecting("another name"));
        }
        if !self.names.insert((kind, (*name).to_owned())) {
            let error = self.source.error(*place, format!("there is a {kind} `{name}` already"));
            return Err(error.expecting("another name"));
        }
        Ok((*name).to_owned())
    }

    fn phrase(&self, words: &str, place: Place, placeholders: &[String]) -> Result<Phrase> {
        let mut pieces = Vec::new();
        let words = sentence(words);
        let mut rest = &*words;
        while let Some((before, after)) = rest.split_once('{') {
            let placeholder = after.split_once('}');
            let index = placeholder.and_then(|(placeholder, _)| {
                placeholders.iter().position(|known| known == placeholder)
            });
            let (Some((_, after)), Some(index)) = (placeholder, index) else {
                let known: Vec<_> =
                    placeholders.iter().map(|name| format!("`{{{name}}}`")).collect();
                let error = self.source.error(place, "this placeholder names no argument");
                return Err(error.expecting(known.join(", ")));
            };
            pieces.push(Piece::Words(before.to_owned()));
            pieces.push(Piece::Placeholder(index));
            rest = after;
        }
        pieces.push(Piece::Words(rest.to_owned()));
        Ok(Phrase(pieces))
    }

    fn list<'e>(
        &self,
        expression: &'e Expression<'s>,
        expected: &str,
    ) -> Result<(&'e Expression<'s>, &'e [Expression<'s>])> {
        match expression {
            Expression::List(items, _) if !items.is_empty() => Ok((&items[0], &items[1..])),
            other => Err(self.error(other, "this is not a form", expected)),
        }
    }

    fn shape(&self, form: &Expression<'s>, expected: &str) -> LanguageError {
        self.error(form, "this form has the wrong shape", expected)
    }

    fn unknown(&self, kind: &str, name: &str, place: Place) -> LanguageError {
        let known: Vec<&str> = if kind == "sort" {
            self.specification.sorts.iter().map(|sort| &*sort.name).collect()
        } else {
            let relations = self.specification.relations.iter().map(|known| &*known.name);
            relations.chain(self.abbreviations.keys().copied()).collect()
        };
        let error = self.source.error(place, format!("there is no {kind} `{name}`"));
        error.expecting(choices(name, &known, &format!("a {kind} that is declared above")))
    }

    fn error(&self, at: &Expression<'s>, message: &str, expected: &str) -> LanguageError {
        self.source.error(at.place(), message).expecting(expected)
    }
}

/// Joins the lines of a string into one.
fn sentence(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn arguments_in_words(count: usize) -> String {
    if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") }
}

fn given(count: usize) -> String {
    format!("{count} {}", if count == 1 { "is" } else { "are" })
}

fn is_constant(expression: &Expression<'_>) -> bool {
    matches!(expression, Expression::Symbol("true" | "false", _))
}

/// Returns the known name that is closest to `name`, if one is close. Otherwise returns all known names if they are
/// few, and `otherwise`.
fn choices(name: &str, known: &[&str], otherwise: &str) -> String {
    let alike = |other: &&&str| {
        let distance = strsim::damerau_levenshtein(name, other);
        distance <= 1 + name.len() / 4 && distance < name.len()
    };
    let nearest = known
        .iter()
        .filter(alike)
        .min_by_key(|other| (strsim::damerau_levenshtein(name, other), **other));
    match nearest {
        Some(nearest) => format!("`{nearest}`, perhaps"),
        None if known.is_empty() || known.len() > 6 => otherwise.to_owned(),
        None => {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("{}, or {otherwise}", names.join(", "))
        }
    }
}
