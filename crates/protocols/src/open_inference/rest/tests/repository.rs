//! The repository: its index, and loading and unloading.

use super::*;

#[test]
fn the_index_has_a_row_for_every_version() {
    let asks = [
        post("/v2/repository/index", ""),
        post("/v2/repository/index", "{}"),
        post("/v2/repository/any/index", r#"{"ready":true}"#),
        post("/v2/repository/index", r#"{"ready":"yes"}"#),
        post("/v2/repository/index", "[]"),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn models_are_loaded_and_unloaded_by_name() {
    let asks = [
        post("/v2/repository/models/m/load", ""),
        post("/v2/repository/models/m/load", "{}"),
        post(
            "/v2/repository/models/m/unload",
            r#"{"parameters":{"unload_dependents":true}}"#,
        ),
        post("/v2/repository/models/unknown/load", ""),
        post("/v2/repository/models/unknown/unload", ""),
        post("/v2/repository/models/a%5Cb/load", ""),
        post("/v2/repository/any/models/m/load", ""),
        post("/v2/repository/any/models/m/unload", ""),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn content_of_the_repository_is_not_taken_from_a_request() {
    let load = |parameters: &str| {
        let body = format!(r#"{{"parameters":{parameters}}}"#);
        post("/v2/repository/models/m/load", body)
    };
    let asks = [
        load(r#"{"config":"{}"}"#),
        load(r#"{"file:1/../../x":"AAAA"}"#),
        load(r#"{"lockgate.version":"1"}"#),
        load(r#"{"unload_dependents":true}"#),
        load(r#"{"unknown":1}"#),
        load(r#"{"unknown":null}"#),
        post(
            "/v2/repository/models/m/unload",
            r#"{"parameters":{"unload_dependents":1}}"#,
        ),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn nothing_is_loaded_unless_the_server_lets_itself_be_controlled() {
    let mut ctx = context_of(EchoServer::new(models()));
    ctx.server.is_control_enabled = false;
    let router = served(ctx);
    let asks = [
        post("/v2/repository/models/m/load", ""),
        post("/v2/repository/models/unknown/unload", "no JSON"),
        post("/v2/repository/index", r#"{"ready":true}"#),
    ];
    insta::assert_snapshot!(exchanges(&router, asks));
}
