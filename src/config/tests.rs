use clap::Parser as _;

use super::*;
use crate::account::Account;
use crate::http::auth::Access;
use crate::http::auth::Presented;
use crate::http::auth::Secret;
use crate::telemetry::logging::with_causes;
use crate::threads::Helpers;
use crate::time::Timestamp;

const DESIGN: &str = "
organizations:
  - slug: acme
    tokens:
      - {name: ci, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, scopes: [write]}
      - {name: prometheus, sha256: 0000000000000000000000000000000000000000000000000000000000000001, scopes: [read, telemetry], expires: 2027-01-01T00:00:00Z}
    refresh_tokens:
      - {name: github, sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752, scopes: [write]}
    default_cluster: main
clusters: [{name: main}, {name: eu, labels: {cluster: eu}}]
labels:
  aliases: {service_name: [service, bucket], deployment_environment: [environment, env]}
  rename: {old: new}
  drop: [commit_message]
  events: {deployment: {allow: [service_name, deployment_environment, version]}}
pairing:
  - {start: deployment_start, stop: deployment_complete, labels: [service_name, deployment_environment, version]}
  - {event: deployment, supersede: [service_name, deployment_environment]}
  - {event: feature_flag_toggle, point: true}
limits: {open_events: 100000, item_bytes: 1000}
";

fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yml");
    std::fs::write(&path, text).unwrap();
    ConfigFile::load(&path)
}

#[test]
fn the_file_of_the_design_is_read() {
    let file = parse(DESIGN).unwrap();
    let settings = file.settings(&Limits::default()).unwrap();
    assert!(!settings.access.is_anonymous());
    assert_eq!(settings.mapping.limits().item_bytes, 1000);
    assert_eq!(&*settings.clusters("acme").resolve("main").unwrap().name, "");
    assert_eq!(&*settings.clusters("acme").resolve("eu").unwrap().name, "eu");
    assert!(settings.clusters("acme").resolve("us").is_err());
    let secret = Secret::from_bytes([0; 32]);
    let presented = Presented::Token("abc".into());
    let grant = settings.access.authorize(&presented, Timestamp::from_millis(0), &secret).unwrap();
    assert_eq!((&*grant.organization, &*grant.token), ("acme", "ci"));
    assert!(settings.access.exchange("123456", Timestamp::from_millis(0), &secret).is_err());
}

#[test]
fn what_says_less_does_not_follow() {
    const EMPTY: [&str; 8] =
        ["", "\n", "# all of it\n# is a comment\n", "---\n", "---\n...\n", "{}", "null\n", "organizations: []\nlabels: {}\n"];
    const SOME: [&str; 3] = ["labels: {drop: [a]}", "organizations: []\nlimits: {item_bytes: 1000}", "clusters: [{name: main}]"];
    const LOCKED: [&str; 2] = ["organizations: [{slug: acme}]", "organizations:\n- slug: ac"];
    const ALL: [&str; 1] = [DESIGN];
    let rows = [(Extent::Nothing, &EMPTY[..]), (Extent::Anonymous, &SOME), (Extent::Locked, &LOCKED), (Extent::Organizations, &ALL)];
    for (extent, texts) in rows {
        for text in texts {
            let file = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(file.extent(), extent, "{text:?}");
            for (before, _) in rows {
                let said = file.may_follow(before).map_err(|error| error.to_string());
                let expected = match (extent, before) {
                    _ if extent >= before => None,
                    (Extent::Nothing, _) => Some("config.yml: the file: configures nothing"),
                    (Extent::Locked, _) => Some("config.yml: organizations: must have a token somewhere"),
                    _ => Some("config.yml: organizations: must not be empty"),
                };
                assert_eq!(said.is_ok(), expected.is_none(), "{text:?} after {before:?}");
                assert!(said.err().unwrap_or_default().contains(expected.unwrap_or_default()), "{text:?} after {before:?}");
            }
        }
    }
}

#[test]
fn many_organizations_with_many_tokens_are_read() {
    let token = |number: usize| format!("{{name: t{number}, sha256: {number:064x}, scopes: [write, read]}}");
    let organization = |number: usize| {
        let [one, two, three, four] = [0, 1, 2, 3].map(|place| token(4 * number + place));
        format!("- {{slug: o{number}, tokens: [{one}, {two}, {three}], refresh_tokens: [{four}], default_cluster: c{}}}\n", number % 100)
    };
    let clusters: Vec<String> = (0..100).map(|number| format!("- name: c{number}\n")).collect();
    let organizations: String = (0..10_000).map(organization).collect();
    let settings =
        parse(&format!("clusters:\n{}organizations:\n{organizations}", clusters.concat())).unwrap().settings(&Limits::default()).unwrap();
    assert_eq!(&*settings.clusters("o9999").resolve("c99").unwrap().name, "", "its default");
    assert_eq!(&*settings.clusters("o9999").resolve("c98").unwrap().name, "c98");
}

#[test]
fn a_short_file_does_not_become_a_large_one() {
    let laughs = |number: usize| format!("&l{number} [{}]", vec![format!("*l{}", number - 1); 10].join(", "));
    let file = format!("labels:\n  drop: [&l0 [x], {}]\n", (1..8).map(laughs).collect::<Vec<_>>().join(", "));
    refused(&file, &["config.yml"]);
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing\n", "{}", "limits: {}\n"] {
        let settings = parse(text).unwrap().settings(&Limits::default()).unwrap();
        assert!(settings.access.is_anonymous(), "{text:?}");
        assert_eq!(settings.limits, crate::http::body::Limits::default());
    }
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = with_causes(&parse(text).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn wrong_files_are_refused_with_the_place() {
    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    refused("organisations: []\n", &["organisations", "line 1"]);
    refused("limits:\n  open_evnets: 3\n", &["open_evnets", "line 2"]);
    refused("limits: {batch_items: many}\n", &["line 1"]);
    refused("labels: {drop: commit_message}\n", &["line 1"]);
    refused("organizations:\n  - tokens: []\n", &["slug"]);
    refused("organizations: [{slug: a/b}]", &["organizations[0].slug"]);
    refused("organizations: [{slug: ''}]", &["organizations[0].slug"]);
    refused("organizations: [{slug: a}, {slug: a}]", &["organizations[1].slug", "`a` is there twice"]);
    refused(
        "organizations: [{slug: a, tokens: [{name: t, sha256: secret-token, scopes: [read]}]}]",
        &["organizations[0].tokens[0].sha256"],
    );
    refused(
        &format!("organizations: [{{slug: a, tokens: [{{name: t, sha256: {HASH}, scopes: [all]}}]}}]"),
        &["`all` is none of write, read, telemetry, admin"],
    );
    refused(
        &format!("organizations: [{{slug: a, tokens: [{{name: t, sha256: {HASH}, scopes: [], expires: soon}}]}}]"),
        &["tokens[0].expires"],
    );
    refused(
        &format!(
            "organizations: [{{slug: a, tokens: [{{name: t, sha256: {HASH}, scopes: []}}], refresh_tokens: [{{name: t, sha256: {HASH}, scopes: []}}]}}]"
        ),
        &["refresh_tokens[0].sha256", "another token"],
    );
    refused("organizations: [{slug: a, default_cluster: eu}]\nclusters: [{name: main}]", &["default_cluster", "eu"]);
    refused("clusters: [{name: main}, {name: main}]", &["clusters", "twice"]);
    refused("pairing: [{start: a}]", &["pairing[0]", "either `event`"]);
    refused("pairing: [{event: a, start: b, stop: c}]", &["pairing[0]"]);
    refused("labels: {rename: {a: 'not a label'}}", &["labels.rename"]);
    refused("a: [", &["line"]);
}

#[test]
fn a_refusal_does_not_quote_what_may_be_a_token() {
    for text in [
        "organizations: [{slug: a, tokens: [{name: t, sha256: my-secret-token, scopes: [read]}]}]",
        "organizations: [{slug: a, tokens: [{name: t, sha256: my-secret-token, scopes: read}]}]",
        "organizations:\n  - slug: a\n    tokens:\n      - {name: t, sha256: my-secret-token, scope: [read]}\n",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("my-secret"), "{error:?}");
    }
}

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

fn flags(arguments: &[&str]) -> Flags {
    Command::try_parse_from(["serve"].iter().chain(arguments)).unwrap().flags
}

#[test]
fn defaults_are_those_of_the_parts() {
    let (flags, file) = (flags(&[]), ConfigFile::default());
    assert_eq!(format!("{:?}", flags.store(&file, Account::boundless())), format!("{:?}", crate::store::Options::default()));
    assert_eq!(
        format!("{:?}", flags.exposition(Account::boundless(), Helpers::default()).unwrap()),
        format!("{:?}", crate::exposition::Options::default())
    );
    assert_eq!(format!("{:?}", flags.server(&file, usize::MAX)), format!("{:?}", crate::http::server::Options::default()));
    assert_eq!(format!("{:?}", flags.web(&[]).unwrap()), format!("{:?}", crate::http::app::WebOptions::default()));
    assert_eq!(flags.addresses(&Access::default()).unwrap(), ["127.0.0.1:10555".parse().unwrap()]);
    assert_eq!(flags.writer().unwrap().retention, Some(std::time::Duration::from_hours(365 * 24)));
}

#[test]
fn flags_win_over_the_file() {
    let file = parse("limits: {batch_items: 5, item_bytes: 6, connections: 7}").unwrap();
    let limits = flags(&["--limit.batch-items=8"]).limits(&file);
    assert_eq!((limits.batch_items, limits.item_bytes, limits.connections), (Some(8), Some(6), Some(7)));
}

#[test]
fn paths_are_those_of_prometheus() {
    #[track_caller]
    fn check(arguments: &[&str], expected: Result<(&str, &str), &str>) {
        let web = flags(arguments).web(&[]);
        match (web, expected) {
            (Ok(web), Ok((prefix, path))) => assert_eq!((&*web.route_prefix, &*web.telemetry_path), (prefix, path)),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (web, _) => panic!("{web:?}"),
        }
    }
    check(&["--web.route-prefix=/"], Ok(("", "/metrics")));
    check(&["--web.route-prefix=events/"], Ok(("/events", "/metrics")));
    check(&["--web.external-url=https://example.org/tools/events/"], Ok(("/tools/events", "/metrics")));
    check(&["--web.external-url=https://example.org"], Ok(("", "/metrics")));
    check(&["--web.external-url=https://example.org/a", "--web.route-prefix=/"], Ok(("", "/metrics")));
    check(&["--web.telemetry-path=/own"], Ok(("", "/own")));
    check(&["--web.telemetry-path=own"], Err("--web.telemetry-path"));
    check(&["--web.telemetry-path=/"], Err("--web.telemetry-path"));
    check(&["--web.telemetry-path=/-/ready"], Err("must not begin with /-/"));
    check(&["--web.telemetry-path=/v1/accounts/a/events"], Err("must not begin with /v1/"));
    check(&["--web.telemetry-path=/{x}"], Err("letters, digits"));
    check(&["--web.route-prefix=/a//b"], Err("single slashes"));
    check(&["--web.allowed-hosts=a.example,b:80"], Err("--web.allowed-hosts: `b:80` must be a host name"));
    check(&["--web.allowed-hosts="], Err("--web.allowed-hosts"));
    check(&["--web.external-url=example.org"], Err("--web.external-url"));
    check(&["--web.external-url=https://example.org/a b", "--web.route-prefix=/"], Err("--web.external-url: `/a b` must hold only"));
}

#[test]
fn links_begin_with_the_external_url_and_routes_with_the_prefix() {
    #[track_caller]
    fn check(arguments: &[&str], route: &str, link: &str) {
        let web = flags(arguments).web(&[]).unwrap();
        assert_eq!((web.route_prefix.as_str(), web.link_prefix()), (route, link), "{arguments:?}");
        assert_eq!(web.link(&format!("{route}/v1/x")), format!("{link}/v1/x"), "{arguments:?}");
    }
    check(&[], "", "");
    check(&["--web.external-url=https://example.org"], "", "");
    check(&["--web.external-url=https://example.org/ce/"], "/ce", "/ce");
    check(&["--web.external-url=http://[::1]:80/a/b", "--web.route-prefix=/"], "", "/a/b");
    check(&["--web.external-url=https://example.org/", "--web.route-prefix=ce"], "/ce", "");
    check(&["--web.external-url=https://example.org/a", "--web.route-prefix=/b/"], "/b", "/a");
    check(&["--web.route-prefix=/ce"], "/ce", "/ce");
}

#[test]
fn strangers_are_kept_out_unless_told() {
    let named = parse(DESIGN).unwrap().settings(&Limits::default()).unwrap().access;
    let check = |address: &str, anonymous: bool, allowed: bool| {
        let access = if anonymous { &Access::default() } else { &named };
        let allow = if allowed { &["--web.allow-anonymous"][..] } else { &[] };
        flags(&[&["--web.listen-address", address], allow].concat()).addresses(access).is_ok()
    };
    assert!(check("127.0.0.1:0", true, false));
    assert!(check("[::1]:0", true, false));
    assert!(check("localhost:0", true, false));
    assert!(!check("0.0.0.0:0", true, false));
    assert!(!check(":0", true, false));
    assert!(!check("[::]:0", true, false));
    assert!(!check("192.0.2.1:0", true, false));
    assert!(check("0.0.0.0:0", true, true));
    assert!(check("0.0.0.0:0", false, false));
    let unreadable = |address| matches!(flags(&[address]).addresses(&named), Err(ConfigError::Address { .. }));
    assert!(unreadable("--web.listen-address=nonsense"));
    assert!(unreadable("--web.listen-address=:many"));
}

#[test]
fn names_are_asked_for_where_only_this_machine_asks() {
    let hosts = |arguments: &[&str], addresses: &[&str]| {
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        flags(arguments).web(&addresses).unwrap().hosts
    };
    for elsewhere in [&[][..], &["0.0.0.0:1"], &["[::]:1"], &["192.0.2.1:1"], &["127.0.0.1:1", "192.0.2.1:1"]] {
        assert_eq!(hosts(&[], elsewhere), None, "{elsewhere:?}");
    }
    let given = [
        "--web.allowed-hosts=a.example,*.b.example",
        "--web.allowed-hosts=c.example",
        "--web.external-url=https://user@d.example:8443/tools",
        "--web.listen-address=e.example:1",
    ];
    for here in [&["127.0.0.1:1"][..], &["[::1]:1"], &["[::ffff:127.0.0.1]:1", "127.9.9.9:1"]] {
        let (plain, named) = (hosts(&[], here).unwrap(), hosts(&given, here).unwrap());
        for name in ["a.example", "x.b.example", "c.example", "d.example:8443", "e.example"] {
            assert!(named.know(name) && !plain.know(name), "{name}");
        }
        for name in ["b.example", "user", "example"] {
            assert!(!named.know(name), "{name}");
        }
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert!(plain.know(&machine) && plain.know(machine.split('.').next().unwrap()), "{machine}");
    }
}

#[test]
fn sizes_of_pages_are_bounded() {
    for wrong in ["--exposure.hold=0", "--exposure.hold=1h", "--exposure.keep=50m", "--exposure.max-samples=0"] {
        assert!(flags(&[wrong]).exposition(Account::boundless(), Helpers::default()).is_err(), "{wrong}");
    }
}
