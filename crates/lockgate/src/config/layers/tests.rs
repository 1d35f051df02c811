use super::*;

fn read(file: Option<&str>, environment: &[(&str, &str)], flags: &RawConfig) -> Result<Layers> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lockgate.yaml");
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
    }
    Layers::read(
        file.map(|_| path.as_path()),
        &Environment::of(environment),
        flags,
    )
}

fn source(layers: &Layers, key: &str) -> (Value, &'static str) {
    let (_, value, source) = layers
        .entries()
        .iter()
        .find(|(known, ..)| known == key)
        .unwrap();
    let source = match source {
        Source::Default => "default",
        Source::File(_) => "file",
        Source::Environment => "environment",
        Source::Flag => "flag",
    };
    (value.clone(), source)
}

#[test]
fn a_flag_wins_over_environment_over_file_over_default() {
    let file = Some("port: 1\ngrpc_port: 1\nmetrics_port: 1\n");
    let environment = [("LOCKGATE_PORT", "2"), ("LOCKGATE_GRPC_PORT", "2")];
    let flags = RawConfig {
        port: Some(3),
        ..RawConfig::default()
    };
    let layers = read(file, &environment, &flags).unwrap();
    assert_eq!(source(&layers, "port"), (3.into(), "flag"));
    assert_eq!(source(&layers, "grpc_port"), (2.into(), "environment"));
    assert_eq!(source(&layers, "metrics_port"), (1.into(), "file"));
    assert_eq!(source(&layers, "log_format"), ("human".into(), "default"));
}

#[test]
fn the_default_file_lists_every_setting() {
    let listed: Vec<_> = to_map(&RawConfig::default())
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let forgotten: Vec<_> = listed
        .iter()
        .filter(|key| !DEFAULT_FILE.contains(&format!("\n{key}:")))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn an_unknown_key_is_reported_with_its_line() {
    let error = format!(
        "{:#}",
        read(Some("host: a\nprot: 1\n"), &[], &RawConfig::default()).unwrap_err()
    );
    assert!(
        error.contains("prot") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn a_wrong_variable_is_reported_by_name() {
    let error = read(None, &[("LOCKGATE_PORT", "many")], &RawConfig::default()).unwrap_err();
    assert!(format!("{error:#}").contains("LOCKGATE_PORT"), "{error:#}");
}

#[test]
fn variables_of_an_orchestrator_are_no_settings() {
    let environment = [
        ("LOCKGATE_PORT", "tcp://10.0.0.1:8000"),
        ("LOCKGATE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("LOCKGATE_SERVICE_HOST", "10.0.0.1"),
    ];
    let layers = read(None, &environment, &RawConfig::default()).unwrap();
    assert_eq!(source(&layers, "port"), (8000.into(), "default"));
}

#[test]
fn a_list_of_repositories_is_written_like_a_search_path() {
    let layers = read(
        None,
        &[("LOCKGATE_REPOSITORY", "/a:/b c")],
        &RawConfig::default(),
    )
    .unwrap();
    let repositories = layers.merged().unwrap().repository.unwrap();
    assert_eq!(repositories, [PathBuf::from("/a"), PathBuf::from("/b c")]);
}

#[test]
fn a_list_of_origins_is_written_with_commas() {
    let variable = (
        "LOCKGATE_CORS_ORIGINS",
        "https://a.example,http://localhost:3000",
    );
    let layers = read(None, &[variable], &RawConfig::default()).unwrap();
    let origins = layers.merged().unwrap().cors_origins.unwrap();
    assert_eq!(origins, ["https://a.example", "http://localhost:3000"]);
}

#[test]
fn a_file_of_comments_sets_nothing() {
    assert!(read(Some("# nothing\n\n"), &[], &RawConfig::default()).is_ok());
}

#[test]
fn a_missing_file_is_reported_with_its_path() {
    let missing = Path::new("/nowhere/lockgate.yaml");
    let error = Layers::read(
        Some(missing),
        &Environment::default(),
        &RawConfig::default(),
    );
    assert!(format!("{:#}", error.unwrap_err()).contains("/nowhere/lockgate.yaml"));
}

#[test]
fn an_unknown_variable_is_reported() {
    let environment = [
        ("LOCKGATE_PROT", "1"),
        ("LOCKGATE_CONFIG", "my.yaml"),
        ("LOCKGATE_SERVICE_HOST", "10.0.0.1"),
        ("LOCKGATE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("OTHER_PROT", "1"),
    ];
    let layers = read(None, &environment, &RawConfig::default()).unwrap();
    assert_eq!(layers.unknown_variables(), ["LOCKGATE_PROT"]);
}
