//! t
use paxos_model::{cluster::*, explore::*};
fn main() {
    let a: Vec<u8> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let mut b = Bounds::of(a[0], a[1], a[2]);
    b.campaigners = a[3];
    b.unsynced = a[4];
    b.nacks = a[5] == 1;
    b.chosen = a[6] == 1;
    if a[7] < 9 {
        b.crashes = Some(a[7]);
    }
    if a.len() > 8 {
        b.phase1_quorum = a[8];
        b.phase2_quorum = a[9];
    }
    let r = explore(
        &Cluster::new(b).unwrap(),
        &Options {
            engine: if std::env::var("DFS").is_ok() { Engine::Dfs } else { Engine::Bfs },
            ..Options::default()
        },
    );
    println!(
        "{b} {:?} {} {} {:?} {:.1}s {:?} {:?}",
        r.verdict, r.states, r.transitions, r.depth, r.seconds, r.actions, r.warnings
    );
    for p in &r.properties {
        if let Some(c) = &p.counterexample {
            if p.expectation != Expectation::Sometimes {
                println!("{} {:?}", p.name, p.finding);
                for s in &c.steps {
                    println!("  {:?}\n     {}", s.action, s.state.replace("\n", "\n     "));
                }
                break;
            }
        }
    }
}
