//! The results as tables, on the terminal and in the page, and as JSON.

use std::{fmt, fs, process::Command, thread};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::{
    contestants::OURS,
    results::{Column, Standing},
    workload::Storage,
};

/// The machine and the build that were measured.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    /// The compiler that cargo uses now.
    pub(crate) compiler: String,
    /// True if the numbers mean nothing, because the build is not optimized.
    pub(crate) debug_build: bool,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) runs: usize,
    /// The reason for which instructions, allocations and live bytes are missing.
    pub(crate) not_counted: Option<String>,
    pub(crate) columns: Vec<Column>,
}

/// A table with a title.
pub(crate) struct Grid {
    pub(crate) title: &'static str,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The number of a contestant in a table, and its ratio if there is one.
type Pick = fn(&Standing) -> Option<(f64, Option<f64>)>;

impl Machine {
    /// Describes this machine, and the compiler in the path.
    pub(crate) fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let compiler = Command::new("rustc").arg("--version").output().ok();
        let compiler = compiler.filter(|output| output.status.success());
        let compiler =
            compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu.unwrap_or_else(unknown),
            compiler: compiler.unwrap_or_else(unknown),
            debug_build: cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, compiler, debug_build } = self;
        write!(f, "{cores} cores of {cpu}, {compiler}")?;
        if *debug_build { f.write_str(", debug build: the numbers mean nothing") } else { Ok(()) }
    }
}

impl Report {
    /// Returns the tables that have rows.
    pub(crate) fn grids(&self) -> Vec<Grid> {
        let memory = Some(Storage::Memory);
        let file = Some(Storage::File);
        let tables: [(_, _, Pick); 7] = [
            ("entries per CPU second, memory", memory, |own| {
                Some((own.entries_per_cpu_second, own.ratio_cpu))
            }),
            ("entries per second, file", file, |own| {
                Some((own.entries_per_second, own.ratio_wall))
            }),
            ("entries per CPU second, file", file, |own| {
                Some((own.entries_per_cpu_second, own.ratio_cpu))
            }),
            ("syncs of all nodes per entry, file", file, |own| Some((own.syncs_per_entry, None))),
            ("instructions per entry, memory", memory, |own| {
                Some((own.instructions_per_entry?, None))
            }),
            ("allocations per entry, memory", memory, |own| {
                Some((own.allocations_per_entry?, None))
            }),
            ("live bytes per entry on all nodes, memory", memory, |own| {
                Some((own.live_bytes_per_entry?, None))
            }),
        ];
        tables.into_iter().filter_map(|(title, of, pick)| self.grid(title, of, pick)).collect()
    }

    fn grid(&self, title: &'static str, of: Option<Storage>, pick: Pick) -> Option<Grid> {
        let columns =
            self.columns.iter().filter(|column| of.is_none_or(|of| column.work.storage == of));
        let mut grid = Grid { title, header: Vec::new(), rows: Vec::new() };
        for column in columns {
            if grid.header.is_empty() {
                grid.header = ["size", "outstanding", "log"].map(str::to_owned).to_vec();
                grid.header.extend(column.contestants.iter().map(|own| own.name.to_owned()));
            }
            let work = &column.work;
            let mut row = vec![size(work.size), work.outstanding.to_string(), work.log.to_string()];
            for own in &column.contestants {
                row.push(match pick(own)? {
                    (number, Some(ratio)) if own.name != OURS => {
                        format!("{} ({ratio:.2})", short(number))
                    }
                    (number, _) => short(number),
                });
            }
            grid.rows.push(row);
        }
        (!grid.rows.is_empty()).then_some(grid)
    }
}

/// The report on the terminal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for grid in self.grids() {
            writeln!(f, "{}\n\n{}\n", grid.title, grid.table(presets::NOTHING))?;
        }
        writeln!(
            f,
            "In brackets: ours divided by the peer. Numbers are medians. Runs: {}.",
            self.runs
        )?;
        if let Some(reason) = &self.not_counted {
            writeln!(f, "Instructions, allocations and live bytes were not counted: {reason}.")?;
        }
        writeln!(f, "{}", self.machine)
    }
}

impl Grid {
    /// Returns the table in one of the styles of `comfy_table`.
    pub(crate) fn table(&self, preset: &str) -> Table {
        let mut table = Table::new();
        table.load_preset(preset).set_header(&self.header).add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// Formats a size in bytes.
fn size(bytes: usize) -> String {
    if bytes >= 1024 && bytes.is_multiple_of(1024) {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} B")
    }
}

/// Formats a number with three digits.
pub(crate) fn short(number: f64) -> String {
    let (number, unit) = match number.abs() {
        n if n >= 1e6 => (number / 1e6, " M"),
        n if n >= 1e4 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if (0.0005..1.0).contains(&n) => 3,
        _ => 2,
    };
    format!("{number:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let expected = [(0.0, "0.00"), (0.0521, "0.052"), (1863.4, "1863"), (12345.0, "12.3 k")];
        for (number, text) in expected.into_iter().chain([(4.741e6, "4.74 M"), (-3.0, "-3.00")]) {
            assert_eq!(short(number), text);
        }
        assert_eq!(
            (size(16), size(1024), size(1100)),
            ("16 B".into(), "1 KiB".into(), "1100 B".into())
        );
    }
}
