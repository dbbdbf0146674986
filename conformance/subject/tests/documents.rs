//! The page about the protocol lists the claims as the report prints them.

use paxos_subject::claims::ALL;

#[test]
fn the_page_has_each_claim() {
    let page = include_str!("../../../docs/subject-protocol.md");
    let listed = page.lines().skip_while(|line| *line != "| class | claim |").skip(2);
    let listed: Vec<_> = listed.take_while(|line| line.starts_with('|')).collect();
    let claims: Vec<_> =
        ALL.iter().map(|claim| format!("| `{}` | {} |", claim.class, claim.text)).collect();
    assert_eq!(listed, claims);
}
