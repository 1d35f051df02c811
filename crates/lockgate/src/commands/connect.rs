//! The client of the server that a sub-command talks to.

use anyhow::Result;
use client::Client;

use crate::command_line::ServerArguments;
use crate::config::Environment;

/// The variable with the address of the server.
const VARIABLE: &str = "LOCKGATE_URL";

/// The address of a server that was started without flags.
const DEFAULT: &str = "http://127.0.0.1:8000";

/// Creates the client of the server at `--url`, or else at `LOCKGATE_URL`.
///
/// # Errors
/// When the address is malformed.
pub(super) fn connect(server: &ServerArguments, environment: &Environment) -> Result<Client> {
    let flag = server.url.as_deref();
    let url = flag.or_else(|| environment.text(VARIABLE));
    let client = Client::new(url.unwrap_or(DEFAULT));
    client.map_err(|error| match flag {
        Some(_) => anyhow::anyhow!("`--url`: {error}"),
        None => anyhow::anyhow!("`{VARIABLE}`: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_takes_precedence_over_the_environment() {
        let server = |url: Option<&str>| ServerArguments {
            url: url.map(str::to_owned),
            json: false,
        };
        let environment = Environment::of(&[("LOCKGATE_URL", "ftp://there")]);
        assert!(connect(&server(Some("here:1")), &environment).is_ok());
        let error = connect(&server(None), &environment)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`LOCKGATE_URL`: expected"), "{error}");
        let empty = Environment::of(&[("LOCKGATE_URL", "")]);
        assert!(connect(&server(None), &empty).is_ok());
    }
}
