//! The OpenAPI document: all routes, and for each ready version its own schemas.
//!
//! Decision: documents of the product are described by the types of `api`. Operations and the
//! schemas that follow the signature of a model are assembled by builders, since a derive can
//! describe only what is known at compile time.

mod admin;
mod endpoint;
mod failure;
mod media;
mod model;
mod native;
mod open_inference;
mod purpose;
mod schema;
mod tensor;

use serde_json::Value;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::PathsBuilder;
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem,
};

use self::endpoint::Endpoint;
use self::model::Model;
use super::ReadyVersion;

const DESCRIPTION: &str = "\
A server for machine learning models. There are two ways to ask it: a simple JSON API that takes \
nested arrays, and the Open Inference Protocol v2. Every model that is served has operations of \
its own, with the schemas of its inputs and outputs and a body that can be sent as it is.";

/// Builds the document for these versions, which are in the order of models and versions.
pub(super) fn document(ready: &[ReadyVersion], server_version: &str) -> OpenApi {
    let models = Model::all(ready);
    let info = InfoBuilder::new()
        .title("Lockgate")
        .version(server_version)
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths(&models))
        .components(Some(components(&models)))
        .tags(Some(tags(&models)))
        .build()
}

fn paths(models: &[Model<'_>]) -> PathsBuilder {
    let mut endpoints: Vec<Endpoint> = native::endpoints(models);
    endpoints.extend(admin::endpoints());
    endpoints.extend(open_inference::endpoints(models));
    for model in models {
        endpoints.extend(native::model_endpoints(model));
        endpoints.extend(open_inference::model_endpoints(model));
    }
    let mut paths = PathsBuilder::new();
    for endpoint in endpoints {
        let (path, method) = (endpoint.path.clone(), endpoint.method.clone());
        let item = PathItem::new(method, endpoint.operation());
        paths = paths.path(path, item);
    }
    paths
}

fn components(models: &[Model<'_>]) -> Components {
    let mut components = endpoint::components(failure::components(ComponentsBuilder::new()))
        .schemas_from_iter(native::schemas())
        .schemas_from_iter(admin::schemas())
        .schemas_from_iter(open_inference::schemas());
    for model in models {
        components = components
            .schemas_from_iter(native::model_schemas(model))
            .schemas_from_iter(open_inference::model_schemas(model));
    }
    components.build()
}

/// Returns the groups in the order in which they are shown: the served models, each with its
/// description, then what any caller needs, then the calls of operators, which the page folds.
fn tags(models: &[Model<'_>]) -> Vec<Tag> {
    let tag = |name: &str, description: &str| {
        let description = (!description.is_empty()).then_some(description);
        TagBuilder::new().name(name).description(description)
    };
    let folded = |(name, description)| {
        let folded = ExtensionsBuilder::new().add("x-folded", Value::Bool(true));
        tag(name, description).extensions(Some(folded.build()))
    };
    let mut served: Vec<_> = models.iter().map(|model| model.info).collect();
    // The highest version describes its model.
    served.reverse();
    served.dedup_by(|lower, higher| lower.model == higher.model);
    let served = served.iter().rev();
    let served = served.map(|info| tag(&model::tag(info), &info.description));
    let groups = [
        (native::PREDICTION, "The simple JSON API"),
        (
            open_inference::INFERENCE,
            "Version 2, for clients of Triton and KServe",
        ),
        (native::MODELS, "Models and versions"),
        (native::HEALTH, "Health and metrics"),
    ];
    let operator_groups = [
        (admin::TRAFFIC, "Versions, labels, splits and their history"),
        (
            admin::ROLLOUTS,
            "Replacing the stable version step by step, decided by evidence",
        ),
        (
            open_inference::ADMINISTRATION,
            "Model repository and statistics",
        ),
    ];
    served
        .chain(groups.map(|(name, description)| tag(name, description)))
        .chain(operator_groups.map(folded))
        .map(TagBuilder::build)
        .collect()
}
