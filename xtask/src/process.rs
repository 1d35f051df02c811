//! Runs commands to their end.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a command and passes its output through.
///
/// # Errors
/// When it cannot be started, or ends with a failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_quoted() {
        run(&mut Command::new("true")).unwrap();
        let error = run(Command::new("false").arg("-x")).unwrap_err();
        assert!(error.to_string().contains("\"-x\""), "{error}");
        assert!(run(&mut Command::new("/nowhere/python")).is_err());
    }
}
