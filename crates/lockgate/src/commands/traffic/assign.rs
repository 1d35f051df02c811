//! `lockgate traffic assign`: computes the arms of units without a server, by the same code.

use anyhow::Result;
use contract::{Arm, AssignmentHash, Fallback, Split, Unit, UnitSource};
use serde_json::{Value, json};
use stats::assignment::Assigner;

use crate::command_line::{ArmArgument, RuleArguments};
use crate::commands::table::table;
use crate::output;

/// Prints a line for each unit.
///
/// # Errors
/// When the split is invalid.
pub(super) fn run(
    arms: &[ArmArgument],
    rule: &RuleArguments,
    units: &[String],
    is_json: bool,
) -> Result<()> {
    let split = split(arms, rule)?;
    let assigner = Assigner::new(&split, "")?;
    let assigned = units.iter().map(|unit| {
        let arm = assigner
            .arm_of(unit)
            .and_then(|index| split.arms.get(index));
        (
            unit,
            assigner.bucket_of(unit),
            arm.map(|arm| arm.name.as_str()),
        )
    });
    if is_json {
        let lines: Vec<Value> = assigned
            .map(|(unit, bucket, arm)| json!({"unit": unit, "bucket": bucket, "arm": arm}))
            .collect();
        output::line(format_args!("{:#}", Value::from(lines)))?;
        return Ok(());
    }
    let mut rows = table(&["unit", "bucket", "arm"]);
    for (unit, bucket, arm) in assigned {
        rows.add_row([
            unit,
            &bucket.to_string(),
            arm.unwrap_or("none: outside of all ranges"),
        ]);
    }
    output::line(rows)?;
    Ok(())
}

fn split(arms: &[ArmArgument], rule: &RuleArguments) -> Result<Split> {
    let arms = arms.iter().map(|arm| Arm {
        name: arm.name.clone(),
        version: arm.version.clone(),
        weight: arm.weight,
    });
    Ok(Split {
        arms: arms.collect(),
        unit: Unit {
            source: UnitSource::Field("unit".to_owned()),
            fallback: Fallback::Random,
        },
        hash: AssignmentHash::parse(&rule.hash).map_err(|error| error.in_context("`--hash`"))?,
        salt: rule.salt.clone(),
        coverage: rule.coverage.unwrap_or(1.0),
        layer: None,
        override_header: None,
        bandit: None,
    })
}
