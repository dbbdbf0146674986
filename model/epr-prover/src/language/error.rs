//! The error for a text that is not a specification: its place, the reason, and the text that was expected.

use std::{fmt, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A range of bytes in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The offset of the first byte.
    pub start: usize,
    /// The offset after the last byte.
    pub end: usize,
}

/// A text and its name, both kept for errors. Clones are cheap.
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

    /// Returns the line and column of a byte offset, both counted from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text()[..byte];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        (line, column)
    }

    pub(crate) fn error(&self, place: Place, message: impl Into<String>) -> LanguageError {
        LanguageError(Box::new(Diagnostic {
            source: self.clone(),
            place,
            message: message.into(),
            expected: None,
        }))
    }
}

/// The error for a text that is not a specification. Its text is a message with the marked source line.
#[derive(Debug, Clone)]
pub struct LanguageError(Box<Diagnostic>);

#[derive(Debug, Clone)]
struct Diagnostic {
    source: Source,
    place: Place,
    message: String,
    expected: Option<String>,
}

impl LanguageError {
    /// Adds the text that was expected at the place.
    #[must_use]
    pub(crate) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    /// Returns the line and column of the error, both counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.0.source.position(self.0.place.start)
    }

    /// Returns the reason, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the text that was expected at the place, if that is known.
    pub fn expected(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { source, place, message, expected } = &*self.0;
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
