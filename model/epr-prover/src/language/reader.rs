//! Parses a text into S-expressions, each with its place. `elaborate` gives them a meaning.

use super::error::{LanguageError, Place, Source};

/// A symbol, a string, or a list of these.
#[derive(Clone, Debug)]
pub(super) enum Expression<'t> {
    Symbol(&'t str, Place),
    Text(&'t str, Place),
    List(Vec<Self>, Place),
}

impl Expression<'_> {
    pub(super) const fn place(&self) -> Place {
        match self {
            Self::Symbol(_, place) | Self::Text(_, place) | Self::List(_, place) => *place,
        }
    }
}

/// The greatest depth of nested lists. It bounds the recursion of the elaborator.
const DEPTH: usize = 100;

/// Reads all expressions of a text. A comment goes from `;` to the end of its line.
pub(super) fn read(source: &Source) -> Result<Vec<Expression<'_>>, LanguageError> {
    let text = source.text();
    // The lists that are still open, each with the offset of its parenthesis. The first is the text itself.
    let mut open: Vec<(usize, Vec<Expression<'_>>)> = vec![(0, Vec::new())];
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let start = at;
        at += first.len_utf8();
        let read = match first {
            ';' => {
                at = text[at..].find('\n').map_or(text.len(), |line| at + line);
                continue;
            }
            space if space.is_whitespace() => continue,
            '(' => {
                if open.len() > DEPTH {
                    let place = Place { start, end: at };
                    let error = source.error(place, "this is nested too deeply");
                    return Err(error.expecting(format!("at most {DEPTH} lists in each other")));
                }
                open.push((start, Vec::new()));
                continue;
            }
            ')' => {
                let place = Place { start, end: at };
                let (begin, items) = open.pop().expect("the text itself is never popped");
                if open.is_empty() {
                    return Err(source
                        .error(place, "this parenthesis closes nothing")
                        .expecting("a `(` before it"));
                }
                Expression::List(items, Place { start: begin, end: at })
            }
            '"' => {
                let Some(length) = text[at..].find('"') else {
                    let place = Place { start, end: at };
                    return Err(source.error(place, "this string never ends").expecting("a `\"`"));
                };
                let content = &text[at..at + length];
                at += length + 1;
                // A sentence is printed in one line, so line ends are allowed and other control characters are not.
                if let Some(odd) = content.find(|c: char| c.is_control() && c != '\n') {
                    let place = Place { start: start + 1 + odd, end: start + 2 + odd };
                    let error = source.error(place, "a sentence cannot contain this character");
                    return Err(error.expecting("no control characters except ends of lines"));
                }
                Expression::Text(content, Place { start, end: at })
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ';' | '"');
                at = text[at..].find(ends).map_or(text.len(), |length| at + length);
                Expression::Symbol(&text[start..at], Place { start, end: at })
            }
        };
        open.last_mut().expect("the text itself is open").1.push(read);
    }
    let (begin, items) = open.pop().expect("the text itself is open");
    if open.is_empty() {
        return Ok(items);
    }
    let place = Place { start: begin, end: begin + 1 };
    Err(source.error(place, "this parenthesis is never closed").expecting("a `)`"))
}
