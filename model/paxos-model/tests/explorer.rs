//! `paxos-model explore`, tested by HTTP requests and in a browser.
//!
//! The browser is chromium, without a window. No other test needs it. If it is not installed, the test prints this
//! on standard error, past the capture of the test runner, and checks no page.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _, stderr},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use paxos_model::{
    cluster::{Bounds, CheckedCluster, Cluster},
    diagrams::{Drawn, ExplorerAdapter},
    synod::{self, Synod},
};
use stateright::Model as _;

const PATIENCE: Duration = Duration::from_mins(1);

/// The command. It serves until this value is dropped.
struct Explorer {
    process: Child,
    /// The address, such as `127.0.0.1:40000`.
    address: String,
}

impl Explorer {
    fn start(arguments: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_paxos-model"))
            .args(["explore"])
            .args(arguments.split_whitespace())
            .args(["--port", "0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let said = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, address) = line.split_once("http://")?;
            Some(address.split('/').next().expect("something").to_owned())
        });
        let explorer = Self { process, address: said.expect("it says where it is") };
        let start = Instant::now();
        while TcpStream::connect(&explorer.address).is_err() {
            assert!(start.elapsed() < PATIENCE, "no server listens at {}", explorer.address);
            thread::sleep(Duration::from_millis(20));
        }
        explorer
    }

    /// Returns the response, including its headers.
    fn get(&self, path: &str) -> String {
        get(&self.address, path).expect("it answers, in text")
    }
}

fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map(|_| answer)
}

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the address of a state within the Explorer: the indices of the actions that lead to the state.
fn address<M: Drawn<Action: std::fmt::Debug>>(model: M, way: &[&str]) -> String {
    let shown = ExplorerAdapter::new(model);
    let mut state = shown.init_states().remove(0);
    let mut address = "/0".to_owned();
    for does in way {
        let mut actions = Vec::new();
        shown.actions(&state, &mut actions);
        let place = actions.iter().position(|action| shown.format_action(action) == *does);
        let place = place.unwrap_or_else(|| panic!("{does:?} is not possible"));
        state = shown
            .next_state(&state, actions.swap_remove(place))
            .expect("what is offered can be taken");
        address = format!("{address}/{place}");
    }
    address
}

fn chromium() -> Option<PathBuf> {
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| {
        folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    })
}

/// Returns the text of a page after its scripts have run, or `None` if there is no browser.
fn page(url: &str, name: &str) -> Option<String> {
    let Some(chromium) = chromium() else {
        writeln!(stderr(), "not tried in a browser: chromium is not on the PATH")
            .expect("it can be said");
        return None;
    };
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("browser-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&profile).expect("it can be made");
    let mut browser = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium starts");
    let mut out = browser.stdout.take().expect("piped");
    let reader = thread::spawn(move || {
        let mut page = String::new();
        out.read_to_string(&mut page).map(|_| page)
    });
    let start = Instant::now();
    while browser.try_wait().expect("it can be asked").is_none() {
        if start.elapsed() > PATIENCE {
            browser.kill().expect("it can be ended");
            browser.wait().expect("it ends");
            panic!("chromium took more than {PATIENCE:?} for {url}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    let page = reader.join().expect("no panic").expect("a page is text");
    let _ = std::fs::remove_dir_all(&profile);
    Some(page)
}

/// A page that shows the Explorer in a frame of 1280 x 800 pixels, and writes the position of the picture in the frame.
const MEASURE: &str = "<pre id=said>no picture</pre>
<iframe id=frame width=1280 height=800 style='border:0'></iframe>
<script>
frame.src = '/' + location.hash;
setInterval(() => {
    const picture = frame.contentDocument.querySelector('.hscroll svg');
    if (!picture) return;
    const { top, bottom, left, right } = picture.getBoundingClientRect();
    said.textContent = `the picture: ${[top, bottom, left, right].map(Math.round).join(' ')}.`;
}, 50);
</script>";

/// Serves [`MEASURE`] at /measure, and everything else from the Explorer, because only a page of the same address can look into
/// the frame. Returns the address of this server. Its thread ends with the process.
fn measuring(explorer: &Explorer) -> String {
    let explorer = explorer.address.clone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let explorer = explorer.clone();
            // A browser may open connections that it does not use.
            thread::spawn(move || {
                let mut stream = stream.expect("a connection");
                let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
                let Some(Ok(request)) = lines.next() else { return };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let path = request.split(' ').nth(1).expect("a request has a path");
                let answer = if path == "/measure" {
                    format!("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{MEASURE}")
                } else {
                    // At the end of the test, the Explorer is gone before the browser.
                    get(&explorer, path).unwrap_or_default()
                };
                let _ = stream.write_all(answer.as_bytes()); // The browser may have closed it.
            });
        }
    });
    address
}

#[test]
fn the_picture_is_seen_without_scrolling() {
    let explorer = Explorer::start("cluster --nodes 3 --ballots 2");
    let address_of = |way: &[&str]| {
        let cluster = Cluster::new(Bounds::of(3, 1, 2)).expect("bounds in range").checked();
        address(cluster, way)
    };
    let way = [
        "n1 campaigns",
        "n2 gets Prepare b0",
        "n1 gets Promise b0 from n2 reporting nothing",
        "n1 proposes in 1 slots",
        "n2 gets Accept b0 s0=v0",
    ];
    let server = measuring(&explorer);
    for (name, way) in [("begin", &way[..1]), ("end", &way[..])] {
        let url = format!("http://{server}/measure#/steps{}", address_of(way));
        let Some(page) = page(&url, name) else { return };
        let (_, rest) = page.split_once("the picture: ").expect("the frame has a picture");
        let (numbers, _) = rest.split_once('.').expect("four numbers");
        let numbers = numbers.split(' ').map(|number| number.parse().expect("a number"));
        let numbers: Vec<i32> = numbers.collect();
        let [top, bottom, left, right] = numbers[..] else { panic!("{numbers:?}") };
        assert!(0 < top && bottom < 800 && 0 < left && right < 1280, "{numbers:?}");
        assert!(bottom - top > 100 && right - left > 500, "{numbers:?}");
    }
}

fn cluster() -> CheckedCluster {
    Cluster::new(Bounds::of(2, 1, 2)).expect("bounds in range").checked()
}

#[test]
fn a_browser_shows_the_way_and_its_picture() {
    let explorer = Explorer::start("cluster --nodes 2 --ballots 2");
    let way =
        ["n1 campaigns", "n2 gets Prepare b0", "n1 gets Promise b0 from n2 reporting nothing"];
    let url = format!("http://{}/#/steps{}", explorer.address, address(cluster(), &way));
    let Some(page) = page(&url, "cluster") else { return };
    for does in way {
        assert!(page.contains(&format!(">{does}</a>")), "{does:?} is not on the way:\n{page}");
    }
    assert!(page.contains(">n1 proposes in 1 slots</a>"), "the next step:\n{page}");
    let (_, picture) = page.split_once("<svg").expect("a picture");
    for drawn in [">n1</text>", ">n2</text>", ">Promise b0: no vote</text>", ">leads</text>"] {
        assert!(picture.contains(drawn), "{drawn} is not drawn:\n{picture}");
    }
    assert!(page.contains("n1: promised b0, leads"), "the state in words:\n{page}");
}

#[test]
fn the_specification_is_shown_as_well() {
    let bounds = synod::Bounds {
        acceptors: 2,
        values: 1,
        ballots: 2,
        phase1_quorum: None,
        phase2_quorum: None,
    };
    let synod = Synod::new(bounds).expect("bounds in range");
    let explorer = Explorer::start("synod --acceptors 2 --values 1 --ballots 2");
    let way = ["prepare ballot 1", "acceptor 0 promises ballot 1"];
    let answer = explorer.get(&format!("/.states{}", address(synod, &way)));
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    for part in ["acceptor 1 promises ballot 1", ">ballot 1</text>", "1: 1a 1b(0) 1b(1)"] {
        assert!(answer.contains(part), "{part} is not in\n{answer}");
    }
}

#[test]
fn only_what_changes_something_is_offered_and_no_address_stops_it() {
    let explorer = Explorer::start("cluster --nodes 2 --ballots 2");
    let answer = explorer.get("/.states/0");
    let offered = answer.matches("\"action\":").count();
    assert_eq!(offered, 2, "both may campaign: {answer}");
    for nonsense in ["/.states/0/77", "/.states/9", "/.states/0/x", "/.states/0/0/77/0", "/none"] {
        assert!(explorer.get(nonsense).starts_with("HTTP/1.0 404"), "{nonsense}");
    }
    assert!(explorer.get("/.states/0").starts_with("HTTP/1.0 200"), "it is still there");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it has one").port().to_string();
    for (arguments, complaint) in [
        (vec!["synod", "--port", &port], "give another --port, or 0 for any that is free"),
        (vec!["synod", "--acceptors", "0"], "0 is not in 1..=63"),
        (vec!["cluster", "--nodes", "9"], "9 is not in 1..=5"),
        (vec!["cluster", "--bug", "99"], "there is no bug \"99\"; give one of 1, 2, "),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_paxos-model"))
            .arg("explore")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let until = Instant::now() + Duration::from_secs(30);
        while child.try_wait().expect("it can be asked").is_none() {
            if Instant::now() > until {
                child.kill().expect("it runs");
            }
            thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().expect("it has ended");
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(complaint), "{said}");
        assert!(output.stdout.is_empty());
    }
}
