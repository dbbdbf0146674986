//! The page `docs/server.md`, taken apart into sections, code blocks and tables.

use std::{fs, path::Path};

/// The page, or a section of it.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a>(&'a str);

/// Returns the text of the page.
pub(crate) fn server_page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/server.md");
    fs::read_to_string(page).expect("the page is there")
}

impl<'a> Document<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Returns the section with this title.
    pub(crate) fn section(self, title: &str) -> Self {
        let mut sections = self.0.split("\n## ");
        let section = sections.find_map(|section| section.strip_prefix(title)?.strip_prefix('\n'));
        Self(section.unwrap_or_else(|| panic!("no section has the title `{title}`")))
    }

    /// Returns the code blocks of a language, in order. A line that a backslash continues is one line.
    pub(crate) fn blocks(self, language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let blocks = self.0.split(&fence).skip(1);
        let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
        blocks.map(|block| block.trim_end().replace("\\\n", " ")).collect()
    }

    /// Returns the rows of the table whose first column has this name, without the header.
    pub(crate) fn table(self, first: &str) -> Vec<Vec<String>> {
        let header = format!("| {first} |");
        let lines = self.0.lines().skip_while(|line| !line.starts_with(&header));
        let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
        let cells = |row: &str| {
            let cells = row.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        };
        let rows: Vec<Vec<String>> = rows.map(cells).collect();
        assert!(!rows.is_empty(), "there is no table with the first column `{first}`");
        rows
    }
}

/// Returns the parts of a cell that are code.
pub(crate) fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
