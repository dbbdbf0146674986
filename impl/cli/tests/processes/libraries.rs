//! Existing clients of Redis: a library, and `redis-benchmark`.

use std::process::Command;

use redis::{Commands as _, RedisResult, Value};

use super::{cluster::Cluster, process::eventually, storm::seed};

fn connect(cluster: &Cluster, id: u32, protocol: &str) -> RedisResult<redis::Connection> {
    let address = cluster.client_address(id);
    redis::Client::open(format!("redis://{address}/?protocol={protocol}"))?.get_connection()
}

/// The library `redis` works as documented, in both versions of the protocol and with any node.
#[test]
fn a_library_for_redis_works_unchanged() -> RedisResult<()> {
    let cluster = Cluster::formed(3, seed(), |_| Vec::new());
    for (id, protocol) in [(1, "resp2"), (2, "resp3"), (3, "resp3")] {
        let mut client = connect(&cluster, id, protocol)?;
        let key = |name: &str| format!("{protocol}:{id}:{name}");
        let () = client.set(key("text"), "value")?;
        assert_eq!(client.get(key("text")), Ok(Some("value".to_owned())));
        assert_eq!(client.get(key("nothing")), Ok(None::<String>));
        assert_eq!(client.set_nx(key("text"), "another"), Ok(false));
        assert_eq!(client.incr(key("number"), 41), Ok(41));
        let () = client.mset(&[(key("a"), "1"), (key("b"), "2")])?;
        let both: Vec<String> = client.mget(&[key("a"), key("b")])?;
        assert_eq!(both, ["1", "2"]);
        let (one, two): (i64, i64) =
            redis::pipe().incr(key("number"), 1).incr(key("number"), 1).query(&mut client)?;
        assert_eq!((one, two), (42, 43));
        let mut transaction = redis::pipe();
        transaction.atomic().append(key("text"), "s").ignore().get(key("text"));
        assert_eq!(transaction.query(&mut client), Ok(("values".to_owned(),)));
        let found: Vec<String> = client.scan_match(key("*"))?.collect::<RedisResult<_>>()?;
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(client.del(found), Ok(4));
        let refused: RedisResult<Value> = client.expire(key("text"), 1);
        assert_eq!(refused.unwrap_err().code(), Some("ERR"), "there is no expiry");
        let info: redis::InfoDict = redis::cmd("INFO").query(&mut client)?;
        assert_eq!(info.get("paxos_node"), Some(id));
    }
    Ok(())
}

#[test]
fn the_benchmark_of_redis_reports_no_error() {
    if Command::new("redis-benchmark").arg("--version").output().is_err() {
        println!("redis-benchmark is not installed: nothing was tried");
        return;
    }
    let cluster = Cluster::formed(3, seed(), |_| Vec::new());
    eventually("it writes", || connect(&cluster, 2, "resp2").is_ok());
    let port = cluster.client_address(2).port().to_string();
    let tests = ["ping", "set", "get", "incr", "mset"];
    for more in [&["-c", "8"][..], &["-c", "4", "-P", "8"], &["-c", "4", "-3"]] {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &port, "-n", "200", "-q", "-t", &tests.join(",")]).args(more);
        let output = command.output().expect("it is there");
        let said = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
        assert!(output.status.success(), "{said}");
        for test in tests {
            assert!(said.contains(test) && said.contains("requests per second"), "{test}: {said}");
        }
        assert!(!said.contains("error"), "{said}");
    }
}
