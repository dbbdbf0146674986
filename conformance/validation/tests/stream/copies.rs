//! Copies that are continued, and those that do not fit their servers any more.

use super::{
    recorded::{Recorded, look},
    *,
};

/// A process that copies ends, and another one goes on with its copies.
#[test]
fn copies_are_continued() {
    let machines = Machines::new(2);
    record(19, 3, &machines.all());
    machines.distribute();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    assert_ne!(copies.pull().expect("the servers are right"), Pulled::All);
    let busy = Copies::open(&machines.copies(), &[servers[0].address], SMALL);
    assert!(matches!(busy, Err(CopyError::InUse(_))), "{busy:?}");
    drop(copies);
    let copies = machines.open(&servers, SMALL);
    let report = finish(copies, Watcher::new(&machines.copies()));
    same(&report, &validate(&machines.all()));
}

/// Copies the recordings of two machines, changes something, and returns the error of the next process.
fn error_after(change: impl FnOnce(&Machines, &mut Vec<Served>)) -> String {
    let machines = Machines::new(2);
    record(19, 3, &machines.all());
    machines.distribute();
    let mut servers = machines.serve();
    let copies = machines.open(&servers, Limits::default());
    finish(copies, Watcher::new(&machines.copies()));
    change(&machines, &mut servers);
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let copies = Copies::open(&machines.copies(), &addresses, Limits::default());
    let error = copies.and_then(|mut copies| copies.pull()).expect_err("it is noticed");
    error.to_string()
}

fn change_byte(path: &Path, place: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[place] ^= 1;
    fs::write(path, bytes).expect("there is room");
}

type Change = fn(&Machines);

fn first(directory: &Path) -> PathBuf {
    files(directory).into_iter().next().expect("a file")
}

fn last(directory: &Path) -> PathBuf {
    files(directory).into_iter().next_back().expect("a file")
}

#[test]
fn copies_that_do_not_fit_their_servers_are_refused() {
    let cases: [(&str, Change); 7] = [
        ("bytes before byte", |machines| change_byte(&first(&machines.copies()), 100)),
        ("bytes before byte", |machines| change_byte(&first(&machines.machine(1)), 100)),
        ("the recording has shrunk", |machines| {
            let file = OpenOptions::new().write(true).open(first(&machines.machine(0)));
            file.expect("a file").set_len(100).expect("a file");
        }),
        ("any more, and its copy may not be complete", |machines| {
            fs::remove_file(last(&machines.machine(0))).expect("a file");
        }),
        ("both have recordings of node", |machines| {
            let file = last(&machines.machine(0));
            let name = file.file_name().expect("a name");
            fs::copy(&file, machines.machine(1).join(name)).expect("there is room");
        }),
        ("and no address has", |machines| {
            fs::remove_dir_all(machines.machine(0)).expect("a directory");
        }),
        ("that were not copied from streams", |machines| {
            fs::remove_file(machines.copies().join("copied-from-streams")).expect("a file");
        }),
    ];
    for (expected, change) in cases {
        let error = error_after(|machines, _| change(machines));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = error_after(|_, servers| drop(servers.pop()));
    assert!(error.contains("and no address has"), "{error}");
}

/// The same, while the process that copies runs.
#[test]
fn a_recording_that_changes_while_it_is_copied_is_refused() {
    for shrinks in [true, false] {
        let machines = Machines::new(1);
        record(19, 1, &machines.all());
        machines.distribute();
        let servers = machines.serve();
        let mut copies = machines.open(&servers, Limits::default());
        assert_eq!(copies.pull().expect("the server is right"), Pulled::All);
        let file = files(&machines.machine(0)).pop().expect("a file");
        let length = fs::metadata(&file).expect("a file").len();
        if shrinks {
            let opened = OpenOptions::new().write(true).open(&file).expect("a file");
            opened.set_len(length - 1).expect("a file");
        } else {
            change_byte(&file, length as usize - 1);
            let mut opened = OpenOptions::new().append(true).open(&file).expect("a file");
            opened.write_all(b"more").expect("there is room");
        }
        let error = copies.pull().expect_err("it is noticed").to_string();
        let expected = if shrinks { "has shrunk" } else { "bytes before byte" };
        assert!(error.contains(expected), "{error}");
    }
}

/// A node gives up its recording, which its copy shows as well.
#[test]
fn a_recording_that_is_given_up() {
    let machines = Machines::new(1);
    let mut node = Recorded::new(&machines, NodeId(1));
    node.campaigns();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    let mut watcher = Watcher::new(&machines.copies());
    look(&mut copies, &mut watcher).expect("no contradiction");
    node.recorder.give_up();
    look(&mut copies, &mut watcher).expect("no contradiction");
    let report = watcher.into_validator().report(None);
    assert!(report.doubts[0].contains("could not write its recording any more"), "{report}");
    same(&report, &validate(&machines.machine(0)));
    drop(copies);
    let mut copies = machines.open(&servers, SMALL);
    assert_eq!(copies.pull().expect("the copy is complete"), Pulled::All);
    let lengths = |directory: &Path| -> BTreeMap<_, _> {
        let entry = |path: PathBuf| {
            let length = fs::metadata(&path).expect("a file").len();
            (path.file_name().expect("a name").to_owned(), length)
        };
        files(directory).into_iter().map(entry).collect()
    };
    assert_eq!(lengths(&machines.copies()), lengths(&machines.machine(0)));
}
