//! The memory that this process holds, and the memory that it can still get.
//!
//! Rust aborts when the system refuses memory. Linux kills a process when the machine or a control group has no memory
//! left. Neither leaves a report. So a search measures how much memory is left, and ends before the memory is used up. These
//! limits are measured:
//!
//! - `RLIMIT_AS` (`ulimit -v`) and `RLIMIT_DATA` (`ulimit -d`),
//! - the memory limit of the control group of this process and of those above it, version 1 or 2, mounted
//!   below `/sys/fs/cgroup`,
//! - the memory that the machine has available, without its swap.
//!
//! A search must leave two margins free. One is for the memory that the search takes between two measurements. The other is
//! for the next growth of its tables ([`doubling_bytes`]), because a table that doubles holds the old and the new memory for
//! a moment. The caller passes the second margin, because only the caller knows its tables.
//!
//! A process can still abort or be killed, because some things are not measured:
//!
//! - limits on locked memory, on the number of mappings (`vm.max_map_count`) and on overcommitment
//!   (`vm.overcommit_memory=2`);
//! - the memory that another process takes between two measurements;
//! - on systems other than Linux, anything but the memory of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

const MIB: u64 = 1 << 20;

/// The number of bytes that the machine or a control group must have left.
const MARGIN: u64 = 32 * MIB;

/// The size of a thread's stack, in bytes. The whole stack is mapped, and hardly any of it is used.
const STACK: u64 = 2 * MIB;

static RESERVES_AHEAD: AtomicBool = AtomicBool::new(false);

/// Limits the memory that this process can map, unless the limit is lower already. A test of broken code calls it, because
/// such code may take more and more memory. Does nothing on systems without such a limit.
///
/// # Panics
/// Panics if the system refuses the limit.
pub fn limit(bytes: u64) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::As);
        let current = Some(current.unwrap_or(u64::MAX).min(bytes));
        setrlimit(Resource::As, Rlimit { current, maximum }).expect("a limit can be lowered");
    }
    #[cfg(not(unix))]
    let _ = bytes;
}

/// Declares that the allocator of this program maps memory long before it is used, and serves all threads from it, as
/// mimalloc does. Without this call, a limit on mapped memory seems to be reached too soon.
pub fn allocator_reserves_ahead() {
    RESERVES_AHEAD.store(true, Ordering::Relaxed);
}

/// The memory of this process at the last measurement. One measurement costs more than the search of a few states, so
/// most calls use the result of an earlier one.
pub struct Memory {
    system: System,
    this: Option<Pid>,
    limits: Limits,
    groups: Vec<ControlGroup>,
    measured: Instant,
    held_bytes: u64,
    peak_bytes: u64,
    ceilings: Vec<Ceiling>,
}

impl Memory {
    /// The time between two measurements while at least [`Memory::PLENTY`] bytes are left.
    const INTERVAL: Duration = Duration::from_millis(50);
    /// The time between two measurements while less is left.
    const INTERVAL_SCARCE: Duration = Duration::from_millis(5);
    const PLENTY: u64 = 1 << 30;

    /// Finds the limits of this process, and measures for the first time.
    pub fn of_this_process() -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut memory = Self {
            system: System::new(),
            this: sysinfo::get_current_pid().ok(),
            limits: Limits::of_this_process(),
            groups: control_groups(&membership, Path::new("/sys/fs/cgroup")),
            measured: Instant::now(),
            held_bytes: 0,
            peak_bytes: 0,
            ceilings: Vec::new(),
        };
        memory.measure();
        memory
    }

    /// Returns the memory that this process holds, in bytes. Measures again if the last measurement is too old.
    pub fn held_bytes(&mut self) -> u64 {
        let scarce = self.left_bytes().is_some_and(|left| left < Self::PLENTY);
        let interval = if scarce { Self::INTERVAL_SCARCE } else { Self::INTERVAL };
        if self.measured.elapsed() >= interval {
            self.measure();
        }
        self.held_bytes
    }

    /// Measures, and returns the most memory that any measurement has found, in bytes.
    pub fn peak_bytes(&mut self) -> u64 {
        self.measure();
        self.peak_bytes
    }

    /// Returns a message that names a limit, if the limit leaves too little memory for the search. `next` is the number of
    /// bytes for which the tables of the search ask when they grow.
    pub fn exhausted(&mut self, next: u64) -> Option<String> {
        self.held_bytes();
        let ceiling = self.ceilings.iter().find(|ceiling| !ceiling.admits(next))?;
        Some(format!("too little memory is left: {}", ceiling.what))
    }

    /// Returns the memory that this process can still get, in bytes, if any limit is known.
    pub fn left_bytes(&self) -> Option<u64> {
        self.ceilings.iter().map(Ceiling::left).min()
    }

    fn measure(&mut self) {
        self.measured = Instant::now();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        if let Some(this) = self.this {
            let what = ProcessRefreshKind::nothing().with_memory();
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), true, what);
            self.held_bytes = self.system.process(this).map_or(0, sysinfo::Process::memory);
            self.peak_bytes = self.peak_bytes.max(self.held_bytes);
        }
        self.ceilings = self.groups.iter().filter_map(ControlGroup::ceiling).collect();
        let available = self.system.available_memory();
        if available > 0 {
            let what = format!("the machine has {} available", HumanBytes(available));
            self.ceilings.push(Ceiling { what, headroom: Headroom::Physical { left: available } });
        }
        if let Some(mapped) = self.limits.any().then(Mapped::of_this_process).flatten() {
            self.ceilings.extend(self.limits.ceilings(&mapped));
        }
    }
}

/// One limit, and the memory below it that is left.
struct Ceiling {
    /// Names the limit in a message.
    what: String,
    headroom: Headroom,
}

enum Headroom {
    /// The bytes that are left below a limit on used memory.
    Physical { left: u64 },
    /// The bytes that are left below a limit on mapped memory, which need not be used.
    Mapped {
        /// The bytes that can still be mapped.
        left: u64,
        /// The bytes that are mapped, not used, and available to any allocation.
        spare: u64,
    },
}

impl Ceiling {
    /// Returns true if enough memory is left for a search whose tables ask for `next` bytes when they grow.
    fn admits(&self, next: u64) -> bool {
        match self.headroom {
            Headroom::Physical { left } => left >= MARGIN + next,
            Headroom::Mapped { left, spare } => {
                let small = left >= MARGIN || spare >= MARGIN / 2;
                // The spare memory may be fragmented or already allocated, so twice the need is required of it.
                let large = left >= next + MIB || spare >= 2 * (next + MARGIN);
                small && (next == 0 || large)
            }
        }
    }

    fn left(&self) -> u64 {
        match self.headroom {
            Headroom::Physical { left } => left,
            Headroom::Mapped { left, spare } => left + spare,
        }
    }
}

/// The resource limits of this process, in bytes.
#[derive(Clone, Copy, Default)]
struct Limits {
    address_space: Option<u64>,
    data: Option<u64>,
}

impl Limits {
    #[cfg(target_os = "linux")]
    fn of_this_process() -> Self {
        use rustix::process::{Resource, getrlimit};
        Self {
            address_space: getrlimit(Resource::As).current,
            data: getrlimit(Resource::Data).current,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of_this_process() -> Self {
        Self::default()
    }

    fn any(self) -> bool {
        self.address_space.is_some() || self.data.is_some()
    }

    fn ceilings(self, mapped: &Mapped) -> impl Iterator<Item = Ceiling> {
        let &Mapped { size, data, used, threads } = mapped;
        let unused = data.saturating_sub(used).saturating_sub(threads * STACK);
        let spare = if RESERVES_AHEAD.load(Ordering::Relaxed) { unused } else { 0 };
        let limits = [
            (self.address_space, size, "the address space", "RLIMIT_AS"),
            (self.data, data, "the data", "RLIMIT_DATA"),
        ];
        limits.into_iter().filter_map(move |(limit, mapped, what, name)| {
            let limit = limit?;
            let what = format!("{what} of a process is limited to {} ({name})", HumanBytes(limit));
            let headroom = Headroom::Mapped { left: limit.saturating_sub(mapped), spare };
            Some(Ceiling { what, headroom })
        })
    }
}

/// The memory that is mapped into this process, in bytes.
struct Mapped {
    /// All mapped memory (`VmSize`).
    size: u64,
    /// The part of `size` that is private and writable (`VmData`).
    data: u64,
    /// The part of `data` that is used (`RssAnon`).
    used: u64,
    threads: u64,
}

impl Mapped {
    fn of_this_process() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let number = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib = |name| Some(number(name)?.saturating_mul(1024));
        Some(Self {
            size: kib("VmSize:")?,
            data: kib("VmData:")?,
            used: kib("RssAnon:")?,
            threads: number("Threads:")?,
        })
    }
}

/// A control group whose folder has a file for a memory limit. The file may say that there is no limit.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ControlGroup {
    folder: PathBuf,
    files: &'static Files,
}

/// The names of a control group's files, and of entries in `memory.stat`.
#[derive(PartialEq, Eq, Debug)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// Entries of `memory.stat` for memory that the system takes back when it needs it.
    reclaimable: [&'static str; 2],
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file ", "total_active_file "],
};

const VERSION_2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: ["inactive_file ", "active_file "],
};

/// Returns the control groups of a process, from its own up to the root. `membership` is the text of `/proc/self/cgroup`. In
/// a container, the paths in this text may be those of the host. Then only the root is found.
fn control_groups(membership: &str, mounted: &Path) -> Vec<ControlGroup> {
    let mut groups = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, files) = if controllers.is_empty() {
            (mounted.to_owned(), &VERSION_2)
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (mounted.join("memory"), &VERSION_1)
        } else {
            continue;
        };
        let own = root.join(path.trim_start_matches('/'));
        let up = own.ancestors().take_while(|folder| folder.starts_with(&root));
        let folders = up.filter(|folder| folder.join(files.limit).is_file());
        groups.extend(folders.map(|folder| ControlGroup { folder: folder.to_owned(), files }));
    }
    groups
}

impl ControlGroup {
    /// Returns the limit of the group, if it has one.
    fn ceiling(&self) -> Option<Ceiling> {
        /// If there is no limit, version 1 writes the largest number of whole pages, which is above this number.
        const NONE: u64 = 1 << 60;
        let read = |name| fs::read_to_string(self.folder.join(name)).ok();
        let number = |name| read(name)?.trim().parse::<u64>().ok();
        let limit = number(self.files.limit).filter(|limit| *limit < NONE)?;
        let usage = number(self.files.usage)?;
        let stat = read("memory.stat").unwrap_or_default();
        let reclaimable = self.files.reclaimable.iter().filter_map(|name| {
            let value = stat.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        });
        let used = usage.saturating_sub(reclaimable.sum());
        let folder = self.folder.display();
        let what = format!("the control group {folder} is limited to {}", HumanBytes(limit));
        Some(Ceiling { what, headroom: Headroom::Physical { left: limit.saturating_sub(used) } })
    }
}

/// Returns the number of bytes for which a table of `len` entries asks when it doubles. Returns 0 while the table is less
/// than three quarters full.
pub const fn doubling_bytes(len: usize, capacity: usize, entry_bytes: usize) -> u64 {
    if len / 3 < capacity / 4 {
        0
    } else {
        (capacity as u64).saturating_mul(2 * entry_bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_nearly_full_is_about_to_double() {
        assert_eq!(doubling_bytes(0, 1000, 8), 0);
        assert_eq!(doubling_bytes(700, 1000, 8), 0);
        assert_eq!(doubling_bytes(760, 1000, 8), 16_000);
        assert_eq!(doubling_bytes(1000, 1000, 8), 16_000);
        assert_eq!(doubling_bytes(0, 0, 8), 0);
    }

    #[test]
    fn the_sizes_of_mappings_are_parsed() {
        let status =
            "Name:\tx\nVmSize:\t    300 kB\nVmData:\t  200 kB\nRssAnon:\t 50 kB\nThreads:\t3\n";
        let mapped = Mapped::parse(status).expect("all fields are present");
        assert_eq!(
            (mapped.size, mapped.data, mapped.used, mapped.threads),
            (300 << 10, 200 << 10, 50 << 10, 3)
        );
        assert!(Mapped::parse("VmSize:\t300 kB\n").is_none());
    }

    #[test]
    fn limits_on_mapped_memory_account_for_spare_memory_and_growing_tables() {
        let limits = Limits { address_space: Some(300 * MIB), data: Some(200 * MIB) };
        let admits = |size, data, used, next| {
            let mapped =
                Mapped { size: size * MIB, data: data * MIB, used: used * MIB, threads: 1 };
            limits.ceilings(&mapped).all(|ceiling| ceiling.admits(next * MIB))
        };
        assert!(admits(200, 100, 90, 0));
        assert!(!admits(280, 100, 90, 0), "the address space is used up");
        assert!(!admits(200, 180, 170, 0), "the data limit is used up");
        assert!(
            !admits(280, 180, 90, 0),
            "spare memory does not count without an allocator that reserves ahead"
        );
        assert!(admits(200, 100, 90, 80) && !admits(200, 100, 90, 120));
        allocator_reserves_ahead();
        assert!(admits(280, 180, 90, 0), "spare memory serves small allocations");
        assert!(admits(280, 180, 60, 20) && !admits(280, 180, 60, 40));
    }

    #[test]
    fn control_groups_are_found_up_to_the_root() {
        let mounted = tempfile::tempdir().expect("a temporary directory is writable");
        let group = |path: &str, files: &[(&str, &str)]| {
            let folder = mounted.path().join(path);
            fs::create_dir_all(&folder).expect("a temporary directory is writable");
            for (name, text) in files {
                fs::write(folder.join(name), text).expect("a temporary directory is writable");
            }
        };
        let stat = "anon 7\ninactive_file 1048576\nactive_file 1048576\n";
        let limited = [("memory.max", "104857600\n"), ("memory.current", "83886080\n")];
        group("a", &[limited[0], limited[1], ("memory.stat", stat)]);
        group("a/b", &[("memory.max", "max\n"), ("memory.current", "5\n"), ("memory.stat", "")]);
        let groups = control_groups("0::/a/b\n1:cpu:/x\n", mounted.path());
        let folders: Vec<_> = groups.iter().map(|group| group.folder.clone()).collect();
        assert_eq!(folders, [mounted.path().join("a/b"), mounted.path().join("a")]);
        let ceilings: Vec<_> = groups.iter().filter_map(ControlGroup::ceiling).collect();
        let [ceiling] = &ceilings[..] else { panic!("exactly one group has a limit") };
        // 100 MiB, of which 78 are in use.
        assert_eq!(ceiling.left(), 22 * MIB);
        assert!(!ceiling.admits(0) && ceiling.what.ends_with("a is limited to 100.00 MiB"));

        let old = [
            ("memory.limit_in_bytes", "104857600"),
            ("memory.usage_in_bytes", "52428800"),
            ("memory.stat", "total_inactive_file 0\n"),
        ];
        group("memory/c", &old);
        group("memory", &[("memory.limit_in_bytes", "9223372036854771712"), old[1]]);
        let groups = control_groups("4:memory:/c\n0::/nowhere\n", mounted.path());
        let ceilings: Vec<_> = groups.iter().filter_map(ControlGroup::ceiling).collect();
        let [ceiling] = &ceilings[..] else {
            panic!("exactly one group has a limit: the root has none")
        };
        assert!(ceiling.admits(10 * MIB) && !ceiling.admits(20 * MIB));
    }

    #[test]
    fn this_process_has_memory_left() {
        let mut memory = Memory::of_this_process();
        assert!(memory.held_bytes() > 0 && memory.left_bytes().is_none_or(|left| left > 0));
        assert_eq!(memory.exhausted(0), None);
        let why = memory.exhausted(u64::MAX >> 8).expect("no machine has so much");
        assert!(why.starts_with("too little memory is left: "), "{why}");
    }
}
