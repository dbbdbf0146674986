//! The layout of reports: text is wrapped to the width of the terminal, and nothing is cut off.
//!
//! A report is a [`Display`]. `{report:width$}` writes its tables in `width` columns, and `{report:#width$}` also writes the
//! details. [`laid_out`] chooses between the two forms, and wraps the lines that are not in tables.

use std::fmt::{self, Display};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::Term;
use textwrap::{Options, WordSplitter};

/// The width of a report, in columns, if standard output is not a terminal.
pub const WIDTH: usize = 100;

/// Returns the width of the terminal in columns, or [`WIDTH`] if standard output is not a terminal.
pub fn terminal_width() -> usize {
    Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns))
}

/// Returns the text of a report in lines of at most `width` columns, with the details if `verbose`. Only a word that is longer
/// makes a longer line.
pub fn laid_out(report: &impl Display, verbose: bool, width: usize) -> String {
    let text = if verbose { format!("{report:#width$}") } else { format!("{report:width$}") };
    text.split_inclusive('\n').map(|line| wrapped(line, width)).collect()
}

/// Wraps a line between words. Further lines are indented to the text behind the last two spaces in the first half of the
/// width, such as the text behind a name. Without such spaces, they are indented by two columns more than the first line.
fn wrapped(line: &str, width: usize) -> String {
    if line.trim_end().chars().count() <= width {
        return line.to_owned();
    }
    let start = line.len() - line.trim_start().len();
    let half = line.char_indices().nth(width / 2).map_or(line.len(), |(end, _)| end);
    let set_off = line[..half].rfind("  ").map_or(0, |gap| gap + 2);
    let set_off = line[..set_off].chars().count();
    let indent = " ".repeat(if set_off > start { set_off } else { start + 2 });
    let options = Options::new(width)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(line, options)
}

/// Writes a table in the width of the formatter, or in [`WIDTH`] columns. Wraps cells that are too wide. Aligns the columns
/// `right`, counted from 0, to the right, and does not wrap them.
///
/// # Errors
/// Fails if the formatter does.
pub fn write_table(
    f: &mut fmt::Formatter<'_>,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    right: &[usize],
) -> fmt::Result {
    let width = u16::try_from(f.width().unwrap_or(WIDTH)).unwrap_or(u16::MAX);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header).add_rows(rows);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for &column in right {
        let column = table.column_mut(column).expect("a header names each column");
        column.set_cell_alignment(CellAlignment::Right);
        column.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
    }
    table.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Report;

    impl Display for Report {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let long = "many words ".repeat(9);
            write_table(f, &["name", "number"], [vec![long.clone(), "1234567".to_owned()]], &[1])?;
            writeln!(f, "warning  {long}")?;
            writeln!(f, "    {long}")?;
            if f.alternate() { writeln!(f, "a detail") } else { Ok(()) }
        }
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let line = format!("größer  {}", "ä ".repeat(60));
        for width in 2..80 {
            let lines = wrapped(&line, width);
            assert_eq!(lines.matches('ä').count(), 60, "{width}: {lines}");
        }
        assert!(
            wrapped(&line, 40).contains("\n        ä"),
            "behind the name: {}",
            wrapped(&line, 40)
        );
    }

    #[test]
    fn nothing_is_wider_than_asked_for_and_nothing_is_lost() {
        for width in [30, 60, WIDTH] {
            let text = laid_out(&Report, false, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.matches("many").count(), 27, "{text}");
            assert!(text.contains("1234567"), "{text}");
        }
        assert!(laid_out(&Report, true, WIDTH).ends_with("a detail\n"));
    }

    #[test]
    fn a_wrapped_line_goes_on_below_its_text() {
        assert_eq!(wrapped("why    one two three\n", 16), "why    one two\n       three\n");
        assert_eq!(wrapped("  one two three four", 12), "  one two\n    three\n    four");
    }
}
