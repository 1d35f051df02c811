use std::fs;

use contract::{ModelName, UnitObservation};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::Cmd;

use super::*;
use crate::testing::RedisServer;

/// The lease of tests, ended by force and not by waiting.
const LONG: Duration = Duration::from_secs(60);

fn rollouts(url: &str) -> RedisRollouts {
    RedisRollouts::new(RedisAddress::parse(url).unwrap(), None).unwrap()
}

async fn start(rollouts: &RedisRollouts) {
    let rollout = NewRollout {
        model: &ModelName::new("m").unwrap(),
        id: "r",
        record: "first",
    };
    rollouts.create(rollout).await.unwrap();
}

fn block(sequence: u64) -> Push<'static> {
    Push {
        replica: "a",
        sequence,
        block: "counts",
        units: &[],
        keep_units: LONG,
    }
}

/// Sends a command that the trait does not have.
async fn command<T: redis::FromRedisValue>(rollouts: &RedisRollouts, command: &Cmd) -> T {
    let mut commands = pipe();
    let (answer,): (T,) = rollouts
        .query(commands.add_command(command.clone()))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn redis_keeps_every_promise_of_shared_rollouts() {
    let server = RedisServer::start(&[]);
    let broken = contract::testing::shared_rollouts::check(&rollouts(&server.url())).await;
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn another_server_takes_over_when_the_lease_has_ended_and_the_first_one_is_refused() {
    let server = RedisServer::start(&[]);
    let [first, second] = [(); 2].map(|()| rollouts(&server.url()));
    start(&first).await;
    assert!(first.lease("r", "first", LONG).await.unwrap());
    assert!(!second.lease("r", "second", LONG).await.unwrap());
    let left: u64 = command(&first, redis::cmd("PTTL").arg(keys::lease("r"))).await;
    assert!(left > 50_000 && left <= 60_000, "{left}");
    let ended: bool = command(&first, redis::cmd("PEXPIRE").arg(keys::lease("r")).arg(0)).await;
    assert!(ended);
    assert!(second.lease("r", "second", LONG).await.unwrap());
    let decision = Decision {
        holder: "first",
        revision: 2,
        record: "late",
        counted: 0,
        transitions: &[],
        has_ended: false,
    };
    let refused = first.commit("r", decision).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    let record = second.record("r").await.unwrap().unwrap();
    assert_eq!((record.revision, record.text.as_str()), (1, "first"));
}

#[tokio::test]
async fn a_cut_connection_is_opened_again_and_counts_nothing_twice() {
    let server = RedisServer::start(&[]);
    let rollouts = rollouts(&server.url());
    start(&rollouts).await;
    rollouts.push("r", block(1)).await.unwrap();
    let admin = self::rollouts(&server.url());
    let n_cut: u64 = command(
        &admin,
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]),
    )
    .await;
    assert_eq!(n_cut, 1);
    // The cut is seen by the first call after it, or before that.
    while rollouts.push("r", block(1)).await.is_err() {}
    rollouts.push("r", block(2)).await.unwrap();
    assert_eq!(rollouts.pending("r").await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn while_redis_is_away_calls_fail_at_once_and_its_return_is_found() {
    let mut server = RedisServer::start(&["--requirepass", "secret"]);
    let url = server.url().replace("//", "//:secret@");
    let rollouts = rollouts(&url);
    start(&rollouts).await;
    rollouts.push("r", block(1)).await.unwrap();
    server.kill();
    let refused = rollouts.push("r", block(2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    for text in [refused.message(), refused.diagnostic().unwrap()] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(refused.message().contains("redis://:***@127."), "{refused}");
    server.restart();
    while rollouts.push("r", block(2)).await.is_err() {}
    assert_eq!(rollouts.pending("r").await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_not_a_panic() {
    let server = RedisServer::start(&["--requirepass", "secret"]);
    let error = rollouts(&server.url()).list().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.diagnostic().unwrap().contains("NOAUTH"), "{error:?}");
}

#[tokio::test]
async fn memory_in_redis_is_bounded() {
    let server = RedisServer::start(&[]);
    let rollouts = rollouts(&server.url());
    start(&rollouts).await;
    let units = [UnitObservation {
        set: "errors".to_owned(),
        fingerprint: 1,
        observation: "e".to_owned(),
    }];
    let first = Push {
        units: &units,
        ..block(1)
    };
    rollouts.push("r", first).await.unwrap();
    let keys = [keys::sequence("r", "a"), keys::units("r", "errors")];
    for key in keys {
        let left: i64 = command(&rollouts, redis::cmd("TTL").arg(&key)).await;
        assert!(left > 0, "{key}: {left}");
    }
    let fill = "for i = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], 'b') end";
    let script = Script::new(fill);
    let key = self::keys::pending("r");
    let mut filling = script.key(key);
    rollouts.run::<()>(filling.arg(MAX_PENDING)).await.unwrap();
    let full = rollouts.push("r", block(2)).await.unwrap_err();
    assert_eq!(full.code(), Code::QueueFull);
    let pending = rollouts.pending("r").await.unwrap();
    assert_eq!(
        (pending.entries.len(), pending.end),
        (MAX_TAKEN, MAX_TAKEN as u64)
    );
}

#[tokio::test]
async fn tls_trusts_the_authorities_of_the_file_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(path(name), issuer.pem()).unwrap();
        issuer
    };
    let (issuer, _) = (authority("ca.pem"), authority("other.pem"));
    let key = KeyPair::generate().unwrap();
    let ip = RedisServer::random_address();
    let params = CertificateParams::new([ip.to_string()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(path("server.pem"), certificate.pem()).unwrap();
    fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let [ca, server, key] =
        ["ca.pem", "server.pem", "key.pem"].map(|name| path(name).display().to_string());
    let mut options = vec![
        "--port",
        "0",
        "--tls-port",
        "6379",
        "--tls-auth-clients",
        "no",
    ];
    options.extend([
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &server,
        "--tls-key-file",
        &key,
    ]);
    let server = RedisServer::start_at(ip, &options);
    let url = server.url().replace("redis://", "rediss://");
    let connect = async |file: &str| {
        let address = RedisAddress::parse(&url).unwrap();
        let rollouts = RedisRollouts::new(address, Some(&path(file))).unwrap();
        rollouts.list().await
    };
    assert_eq!(connect("ca.pem").await.unwrap(), []);
    let error = connect("other.pem").await.unwrap_err();
    assert!(
        error.diagnostic().unwrap().contains("ertificate"),
        "{error:?}"
    );
}
