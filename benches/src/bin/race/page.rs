//! The page of results: the tables and the plots.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use comfy_table::presets;

use crate::{
    contestants::{Entrant, OURS},
    plots::{Line, Plot},
    report::Report,
    results::{Column, Failed},
    workload::{Log, Storage, Work},
};

/// A quantity that a plot varies.
pub(crate) struct Curve {
    /// The end of the name of the file.
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    /// The work at each point.
    points: Vec<(f64, Work)>,
    only_ours: bool,
}

/// Returns the curves of the page. `entries` is the number of entries of a run.
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
pub(crate) fn curves(entries: u64) -> Vec<Curve> {
    let base = Work {
        storage: Storage::Memory,
        size: 16,
        outstanding: 64,
        log: Log::Retained,
        entries: 0,
        nodes: 3,
    };
    let curve = |name, title, axis, works: Vec<Work>, place: fn(&Work) -> f64| Curve {
        name,
        title,
        axis,
        points: works.into_iter().map(|work| (place(&work), work)).collect(),
        only_ours: false,
    };
    let outstanding = [1, 4, 16, 64, 256, 1024]
        .map(|outstanding| Work { outstanding, ..base }.with_entries(entries));
    let lengths = [entries.div_ceil(16), entries.div_ceil(4), entries, 4 * entries]
        .map(|length| base.with_entries(length));
    let sizes = [16, 64, 256, 1024, 4096]
        .map(|size| Work { size, ..base }.with_entries(entries.div_ceil(4)));
    let nodes = [3, 5, 7, 9].map(|nodes| Work { nodes, ..base }.with_entries(entries));
    vec![
        curve(
            "outstanding",
            "Outstanding entries",
            "outstanding entries",
            outstanding.to_vec(),
            |it| it.outstanding as f64,
        ),
        curve(
            "length",
            "Length of the log",
            "entries in the log at the end",
            lengths.to_vec(),
            |it| it.entries as f64,
        ),
        curve("size", "Size of an entry", "bytes of an entry", sizes.to_vec(), |it| it.size as f64),
        Curve {
            only_ours: true,
            ..curve("nodes", "Number of nodes", "nodes", nodes.to_vec(), |it| it.nodes as f64)
        },
    ]
}

impl Curve {
    /// Returns the number of turns that a measurement takes.
    pub(crate) fn turns(&self, entrants: &[Entrant], runs: usize) -> usize {
        self.points.len() * Column::turns(&self.entrants(entrants), runs)
    }

    fn entrants(&self, entrants: &[Entrant]) -> Vec<Entrant> {
        entrants.iter().filter(|own| !self.only_ours || own.name == OURS).copied().collect()
    }

    /// Measures the curve.
    pub(crate) fn measure(
        &self,
        entrants: &[Entrant],
        runs: usize,
        mut before: impl FnMut(&'static str),
    ) -> Result<Plot, Failed> {
        let entrants = self.entrants(entrants);
        let mut lines: Vec<Line> = Vec::new();
        for (x, work) in &self.points {
            let column = Column::run(work, &entrants, runs, &mut before)?;
            for own in column.contestants {
                let point = (*x, 1e9 / own.entries_per_cpu_second);
                match lines.iter_mut().find(|line| line.name == own.name) {
                    Some(line) => line.points.push(point),
                    None => lines.push(Line { name: own.name, points: vec![point] }),
                }
            }
        }
        let (name, title, x_axis) = (self.name, self.title, self.axis);
        Ok(Plot { name, title, x_axis, y_axis: "CPU ns per entry", lines })
    }
}

/// Writes the page, and each plot beside it.
pub(crate) fn write(path: &Path, report: &Report, plots: &[Plot]) -> io::Result<()> {
    let mut page = String::from(
        "# Race\n\nOur replica beside other implementations of consensus: the same work for all, three nodes in one \
         thread. [README.md](README.md#race) describes the work.\n",
    );
    let mut add = |text: &str| page.push_str(text);
    add(&format!("\n- Machine: {}.\n", report.machine));
    add(&format!(
        "- Runs of each contestant in each column: {}. Numbers are their medians. All contestants took turns.\n",
        report.runs
    ));
    add("- In brackets: ours divided by the peer, the median of the ratios within each run.\n");
    if let Some(reason) = &report.not_counted {
        add(&format!("- Instructions, allocations and live bytes were not counted: {reason}.\n"));
    }
    for grid in report.grids() {
        let (first, rest) = grid.title.split_at(1);
        let table = grid.table(presets::ASCII_MARKDOWN);
        add(&format!("\n## {}{rest}\n\n{table}\n", first.to_uppercase()));
    }
    let variants = best_variants(report);
    if !variants.is_empty() {
        add("\n## Variants\n\nThe best variant counts. It was:\n\n");
        add(&variants);
    }
    if !plots.is_empty() {
        add(
            "\n## Scaling\n\nMemory, 16 B, 64 outstanding, retained, except for what a plot varies.\n",
        );
    }
    for plot in plots.iter().filter(|plot| !plot.lines.is_empty()) {
        let image = image(path, plot);
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        add(&format!(
            "\n### {}\n\n![CPU ns per entry against {}]({name})\n",
            plot.title, plot.x_axis
        ));
        fs::write(&image, plot.svg())?;
    }
    fs::write(path, page)
}

/// Returns a list of the columns in which an implementation has a choice of variants.
fn best_variants(report: &Report) -> String {
    let mut list = String::new();
    for column in &report.columns {
        for own in column.contestants.iter().filter(|own| own.variants.len() > 1) {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "- `{}`: {}", column.name, own.variant);
        }
    }
    list
}

/// Returns the path of a plot: `race-nodes.svg` for the page `race.md`.
fn image(page: &Path, plot: &Plot) -> PathBuf {
    let stem = page.file_stem().unwrap_or_default().to_string_lossy();
    page.with_file_name(format!("{stem}-{}.svg", plot.name))
}
