//! What is wrong with a text, where, and what would have been accepted.

use std::{fmt, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Where something stands in a text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
}

/// A text and its name, for those who complain about it.
#[derive(Clone, Debug)]
pub struct Source(Arc<(String, String)>);

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self(Arc::new((name.to_owned(), text.to_owned())))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.0
    }

    pub(super) fn text(&self) -> &str {
        &self.0.1
    }

    /// The line and column of a byte, both counted from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text()[..byte];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        (line, column)
    }

    pub(crate) fn error(&self, place: Place, message: impl Into<String>) -> LanguageError {
        LanguageError(Box::new(Complaint {
            source: self.clone(),
            place,
            message: message.into(),
            expected: None,
        }))
    }
}

/// A text that is no specification.
#[derive(Debug, Clone)]
pub struct LanguageError(Box<Complaint>);

#[derive(Debug, Clone)]
struct Complaint {
    source: Source,
    place: Place,
    message: String,
    expected: Option<String>,
}

impl LanguageError {
    /// Says what would have been accepted.
    #[must_use]
    pub(crate) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    /// The line and column where it is, both counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.0.source.position(self.0.place.start)
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What would have been accepted, if that can be said.
    pub fn expected(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Complaint { source, place, message, expected } = &*self.0;
        let snippet = Snippet::source(source.text())
            .path(&source.0.0)
            .annotation(AnnotationKind::Primary.span(place.start..place.end.max(place.start)));
        let mut group = Level::ERROR.primary_title(message.as_str()).element(snippet);
        if let Some(expected) = expected {
            group = group.element(Level::HELP.with_name("expected").message(expected.as_str()));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

impl std::error::Error for LanguageError {}
