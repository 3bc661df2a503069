//! Configurations, right and wrong.

use super::*;

fn fault(text: &str) -> String {
    match Config::parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(fault) => fault.to_string(),
    }
}

fn with_module(rest: &str) -> String {
    format!("[[module]]\nname = \"data\"\npath = \"{}\"\n{rest}\n", top().replace('\\', "\\\\"))
}

fn top() -> String {
    std::env::temp_dir().to_str().expect("a text").to_owned()
}

#[test]
fn an_empty_file_has_the_defaults() {
    let config = Config::parse("").expect("valid");
    assert_eq!(config, Config::empty());
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:9031");
    assert_eq!(config.limits.stall_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.drain_timeout, Duration::from_secs(30));
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = with_module(
        "comment = \"c\"\nread_only = false\nallow = [\"blit1sennq8amfr4xh2yrrlnm2zxlf3u4ntsxmtgx42fpz5qupscql9ms2v6nfl\"]\nhosts = [\"10.0.0.0/8\", \"::1\"]\n\
         uid = 1234\ngid = 12\nnumeric_ids = true\nmax_sessions = 3",
    );
    let head = "listen = [\"[::1]:0\", \"192.0.2.1\"]\nmotd = \"hello\"\nkey_file = \"/k\"\n\
        [tls]\ncert_file = \"/c\"\nkey_file = \"/t\"\nca_file = \"/a\"\nplaintext = \"never\"\n\
        [limits]\nstall_timeout = \"2m\"\nhandshake_timeout = 3\ndrain_timeout = \"1h\"\nmax_connections = 7\n\
        max_connections_per_address = 2\nmax_sessions = 4\nstreams_max = 5\nbatch_files_max = 0x10\nbatch_bytes_max = 4096\n\
        [metrics]\nlisten = \"127.0.0.1:0\"\n[mdns]\nenabled = false\n";
    let config = Config::parse(&(head.to_owned() + &text)).expect("valid");
    let shown: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["[::1]:0", "192.0.2.1:9031"]);
    assert_eq!(config.tls.plaintext, Plaintext::Never);
    assert_eq!(config.limits.stall_timeout, Duration::from_secs(120));
    assert_eq!(config.limits.batch_files_max, 16);
    assert_eq!(config.metrics.expect("there").port(), 0);
    let module = config.module("data").expect("there");
    assert!(!module.read_only && module.numeric_ids);
    assert_eq!(module.allow.as_ref().expect("there").len(), 1);
    assert_eq!(module.owner.map(|owner| (owner.uid, owner.gid)), Some((1234, 12)));
    assert!(module.admits_host("10.9.9.9".parse().expect("an address")));
    assert!(!module.admits_host("192.0.2.1".parse().expect("an address")));
    assert_eq!(module.sessions_max, Some(3));
}

#[test]
fn a_module_is_read_only_unless_it_says_otherwise() {
    let config = Config::parse(&with_module("")).expect("valid");
    assert!(config.modules[0].read_only);
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_nearest_key() {
    assert_eq!(
        fault("motd = \"x\"\nlisten_on = \"::1\"\n").split(';').next(),
        Some("line 2: there is no key listen_on here")
    );
    assert!(fault("lisen = \"::1\"").ends_with("did you mean listen?"));
    assert!(fault("[limits]\nstall_timout = 3").ends_with("did you mean stall_timeout?"));
    assert!(fault(&with_module("readonly = false")).ends_with("did you mean read_only?"));
    assert!(fault(&with_module("read_olny = false")).starts_with("line 4: "));
    assert!(fault("[limits]\nquux = 3").contains("the keys here are stall_timeout, "));
    assert!(fault("[modules]\n").ends_with("did you mean module?"));
}

#[test]
fn what_is_not_toml_is_told_by_its_line_without_its_text() {
    let fault = fault("motd = \"x\"\nkey = hunter2-secret\n");
    assert!(fault.starts_with("line 2: not TOML: "), "{fault}");
    assert!(!fault.contains("hunter2"), "{fault}");
}

#[test]
fn a_wrong_value_does_not_show_itself() {
    for text in ["motd = 123454321", "[tls]\nplaintext = \"123454321\"", "listen = \"123454321\""] {
        assert!(!fault(text).contains("123454321"), "{}", fault(text));
    }
    let key = with_module("allow = [\"blit2secretsecret\"]");
    assert!(fault(&key).starts_with("line 4: allow lists keys"));
    assert!(!fault(&key).contains("secretsecret"));
}

#[test]
fn wrong_values_are_refused() {
    for (text, why) in [
        ("listen = []", "names no address"),
        ("listen = \"localhost\"", "names are not looked up"),
        ("listen = [\"::1\", \"[::1]:9031\"]", "listed twice"),
        ("key_file = \"k\"", "path from the top"),
        ("[tls]\ncert_file = \"/c\"", "go together"),
        ("[limits]\nstall_timeout = 0", "from 1 second"),
        ("[limits]\nstall_timeout = \"soon\"", "number of seconds"),
        ("[limits]\nmax_connections = -1", "a number from 1"),
        ("[limits]\nmax_connections = 100000000", "a number from 1"),
        ("[limits]\nstreams_max = 1.5", "a number from 1"),
        ("[metrics]", "has no listen"),
        ("[metrics]\nlisten = \"127.0.0.1\"", "with a port"),
        ("[mdns]\nenabled = true", "not in this build"),
        ("limits = 3", "begins with [limits]"),
        ("module = 3", "begins with [[module]]"),
        ("[module]\nname = \"x\"", "begins with [[module]]"),
        ("[[module]]\npath = \"/\"", "has no name"),
        ("[[module]]\nname = \"x\"", "has no path"),
        ("[[module]]\nname = \"x\"\npath = \"srv\"", "path from the top"),
        ("[[module]]\nname = \"x\"\npath = \"/no/such/place\"", "no such directory"),
        ("motd = \"a\\u0000b\"", "must be a text"),
    ] {
        assert!(fault(text).contains(why), "{text}: {}", fault(text));
    }
}

#[test]
fn wrong_modules_are_refused() {
    for (rest, why) in [
        ("read_only = \"no\"", "true or false"),
        ("hosts = [\"example.org\"]", "names are not looked up"),
        ("hosts = [\"10.0.0.1/8\"]", "bits set behind"),
        ("gid = 5", "gid needs uid"),
        ("uid = \"no such user at all\"", "line 4: "),
        ("uid = -1", "a name or a number"),
        ("uid = \"\"", "a name or a number"),
        ("uid = 4294967295\ngid = 1", "nobody at all"),
        ("uid = 3999999999", "gid must name the group"),
        ("allow = \"blit1\"", "begin with blit1"),
        ("max_sessions = 0", "a number from 1"),
    ] {
        assert!(fault(&with_module(rest)).contains(why), "{rest}: {}", fault(&with_module(rest)));
    }
    let twice = with_module("") + &with_module("");
    assert_eq!(fault(&twice), "line 5: there is a module data already");
}

#[test]
fn the_name_of_a_module_is_one_plain_component() {
    for name in ["a/b", "..", ".", "", "a:b", "a\\\\b", "a\\nb", "a\\u001bb", " a", "/"] {
        let text = format!("[[module]]\nname = \"{name}\"\npath = \"/\"");
        assert!(fault(&text).contains("one plain component"), "{name}");
    }
}

#[test]
fn an_empty_list_lets_nobody_in() {
    let config = Config::parse(&with_module("allow = []\nhosts = []")).expect("valid");
    let module = &config.modules[0];
    let loopback = "127.0.0.1".parse().expect("an address");
    assert!(!module.admits_host(loopback));
    assert!(!module.admits_strangers(loopback, true));
}

#[test]
fn without_keys_a_module_serves_this_machine_and_others_only_if_told_to() {
    let config = Config::parse(&with_module("")).expect("valid");
    let module = &config.modules[0];
    for (local, open) in
        [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("192.0.2.1", false)]
    {
        let local = local.parse().expect("an address");
        assert_eq!(module.admits_strangers(local, false), open);
        assert!(module.admits_strangers(local, true));
    }
}

#[test]
fn what_is_allowed_is_said_in_words() {
    let text = with_module(
        "read_only = false\nallow = [\"blit1sennq8amfr4xh2yrrlnm2zxlf3u4ntsxmtgx42fpz5qupscql9ms2v6nfl\"]\nhosts = \"10.0.0.0/8\"\nuid = 7\ngid = 8",
    );
    let words = words::describe(&Config::parse(&text).expect("valid"));
    for part in [
        "listens on 127.0.0.1:9031, reached from this machine only",
        "module data: ",
        "the holder of 1 key may read, write and delete",
        "from 10.0.0.0/8 only",
        "as user 7 and group 8",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let open = "listen = \"192.0.2.1\"\n".to_owned() + &with_module("");
    let words = words::describe(&Config::parse(&open).expect("valid"));
    assert!(words.contains("nobody, since it has no allow, may read\n"), "{words}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let example = include_str!("../../systemd/blitd.toml").replace("\n#", "\n");
    let mut bytes = example.clone().into_bytes();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from((random >> 33) % below as u64).expect("it is below")
    };
    let mut refused = 0;
    for round in 0..3000 {
        if round % 8 == 0 {
            bytes = example.clone().into_bytes();
        }
        let at = next(bytes.len());
        bytes[at] = b"[]{}=\"'#\n\\.,0-\x1b\xc3"[next(16)];
        let text = String::from_utf8_lossy(&bytes);
        if let Err(fault) = Config::parse(&text) {
            refused += 1;
            let lines = text.lines().count() + 1;
            assert!((1..=lines).contains(&fault.line), "{fault}");
            assert!(!fault.why.contains(char::is_control), "{fault:?}");
        }
    }
    assert!(refused > 1000, "{refused}");
    for open in ["[", "{a=", "a.", "[["] {
        assert!(Config::parse(&format!("x = {}", open.repeat(100_000))).is_err());
        assert!(Config::parse(&open.repeat(100_000)).is_err());
    }
}
