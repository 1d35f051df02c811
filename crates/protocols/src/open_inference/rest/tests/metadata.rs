//! Health, metadata, configuration, statistics, settings and what is not offered.

use std::time::{Duration, UNIX_EPOCH};

use contract::{
    BatchStatistics, BoxFuture, Catalog, Code, CountAndTime, InferRequest, InferResponse,
    ModelStatus, Readiness, Route, Routing, Target, Version, VersionState, VersionStatistics,
    VersionStatus,
};

use super::*;

#[test]
fn long_replies_about_models_are_not_compressed() {
    let names = (0..2000).map(|number| format!("model-{number}"));
    let models = names.map(|name| model_of(&name, "1", 8, Vec::new(), Vec::new()));
    let server = served(context_of(EchoServer::new(models)));
    let list = get("/v2/models").with("Accept-Encoding", "gzip, deflate");
    let answer = list.answer(&server);
    assert!(answer.body.len() > 20_000, "{}", answer.body.len());
    assert_eq!(answer.headers.get("content-encoding"), None);
}

#[test]
fn a_ready_server_describes_itself_and_its_models() {
    let paths = [
        "/v2",
        "/v2/",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/m",
        "/v2/models/m/versions/1",
        "/v2/models/m/versions/latest",
        "/v2/models/m/ready",
        "/v2/models/m/versions/1/ready",
        "/v2/models/types",
    ];
    insta::assert_snapshot!(exchanges(&echo(), paths.map(get)));
}

#[test]
fn configurations_have_every_key_that_clients_of_triton_read() {
    let mut models = models();
    models[2].max_batch_delay = Duration::from_micros(500);
    models[2].default_timeout = Some(Duration::from_secs(2));
    models[2].output.softmax = true;
    let cuda = ("provider".to_owned(), "cuda".to_owned());
    models[2].metadata.extend([cuda]);
    let router = served(context_of(EchoServer::new(models)));
    let paths = [
        "/v2/models/m/config",
        "/v2/models/m/versions/1/config",
        "/v2/models/scores/config",
        "/v2/models/types/config",
    ];
    insta::assert_snapshot!(exchanges(&router, paths.map(get)));
}

#[test]
fn statistics_cover_all_models_one_model_or_one_version() {
    let paths = [
        "/v2/models/stats",
        "/v2/models/m/stats",
        "/v2/models/m/versions/1/stats",
        "/v2/models/m/versions/2/stats",
        "/v2/models/unknown/stats",
    ];
    insta::assert_snapshot!(exchanges(&echo(), paths.map(get)));
}

#[test]
fn counters_keep_their_meaning_on_the_wire() {
    let counted = |count, nanos| CountAndTime {
        count,
        total: Duration::from_nanos(nanos),
    };
    let info = &models()[1];
    let statistics = VersionStatistics {
        last_inference: Some(UNIX_EPOCH + Duration::from_millis(1_767_225_600_000)),
        n_rows: 24,
        n_executions: 5,
        success: counted(10, 9000),
        fail: counted(2, 7),
        queue: counted(10, 100),
        compute_input: counted(10, 50),
        compute: counted(10, 700),
        compute_output: counted(10, u64::MAX),
        batches: vec![BatchStatistics {
            batch_rows: 8,
            compute_input: counted(3, 15),
            compute: counted(3, 210),
            compute_output: counted(3, 16),
        }],
        ..VersionStatistics::new(info.model.clone(), info.version.clone())
    };
    insta::assert_snapshot!(super::super::counters::statistics_json(&[statistics]));
}

#[test]
fn settings_are_shown_and_change_only_where_they_stay_the_same() {
    let asks = [
        get("/v2/trace/setting"),
        get("/v2/models/m/trace/setting"),
        get("/v2/models/unknown/trace/setting"),
        get("/v2/logging"),
        post(
            "/v2/trace/setting",
            r#"{"trace_level":["OFF"],"trace_rate":null,"x":1}"#,
        ),
        post("/v2/trace/setting", r#"{"trace_level":["TIMESTAMPS"]}"#),
        post("/v2/models/m/trace/setting", r#"{"trace_rate":1000}"#),
        post("/v2/models/unknown/trace/setting", "{}"),
        post("/v2/trace/setting", r#"{"trace_file":"/tmp/x"}"#),
        post("/v2/trace/setting", r#"{"trace_level":{}}"#),
        post("/v2/logging", ""),
        post("/v2/logging", r#"{"log_info":true,"log_verbose_level":0}"#),
        post("/v2/logging", r#"{"log_verbose_level":1}"#),
        post("/v2/logging", "[]"),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn what_is_not_offered_is_named() {
    let asks = [
        post("/v2/models/m/generate", "{}"),
        post("/v2/models/m/versions/1/generate_stream", "{}"),
        get("/v2/systemsharedmemory/status"),
        get("/v2/cudasharedmemory/region/r/status"),
        post("/v2/systemsharedmemory/region/r/register", "{}"),
        post("/v2/cudasharedmemory/unregister", ""),
    ];
    insta::assert_snapshot!(exchanges(&echo(), asks));
}

#[test]
fn health_answers_to_head() {
    let ask = TestRequest {
        method: Method::HEAD,
        ..get("/v2/health/live")
    };
    let answer = ask.answer(&echo());
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn what_is_not_ready_says_why() {
    let router = served(Context {
        infer: Arc::new(UnreadyServer),
        catalog: Arc::new(UnreadyServer),
        ..context_of(EchoServer::default())
    });
    let asks = [
        get("/v2/health/live"),
        get("/v2/health/ready"),
        get("/v2/models/stuck/ready"),
        get("/v2/models/stuck/versions/1/ready"),
        get("/v2/models/stuck/versions/2/ready"),
        get("/v2/models/stuck/versions/label/ready"),
        get("/v2/models/unknown/ready"),
        get("/v2/models/stuck"),
        get("/v2/models/stuck/config"),
        post("/v2/models/stuck/infer", "{}"),
        post("/v2/repository/index", ""),
        post("/v2/repository/index", r#"{"ready":true}"#),
    ];
    insta::assert_snapshot!(exchanges(&router, asks));
}

/// A server in trouble: a model that loads and has failed before, and one without versions.
#[derive(Debug)]
struct UnreadyServer;

impl UnreadyServer {
    fn error(code: Code, message: &'static str) -> Error {
        Error::new(code, message)
    }
}

impl Infer for UnreadyServer {
    fn route(&self, target: &Target) -> Result<Route> {
        let loading = "version 2 of `stuck` is not at ready state: it is loading";
        match &target.version {
            VersionSelector::Latest => Err(Self::error(Code::ModelNotReady, loading)),
            VersionSelector::Named(_) => {
                let unknown = "Request for unknown model: this version is not found";
                Err(Self::error(Code::VersionNotFound, unknown))
            }
        }
    }

    fn infer(&self, _: Route, _: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        unreachable!("no version can be routed to")
    }
}

impl Catalog for UnreadyServer {
    fn models(&self) -> Vec<ModelStatus> {
        let version = |version, state, reason: &str| VersionStatus {
            version: Version::new(version).unwrap(),
            state,
            reason: reason.to_owned(),
            info: None,
            n_in_flight: 0,
            scheduling: None,
        };
        let model = |name, reason: &str, versions| ModelStatus {
            warnings: Vec::new(),
            name: ModelName::new(name).unwrap(),
            reason: reason.to_owned(),
            versions,
            routing: Routing::default(),
        };
        let failed = version("1", VersionState::Unavailable, "the file is no ONNX model");
        let loading = version("2", VersionState::Loading, "");
        vec![
            model("empty", "`model.yaml` is no YAML", vec![]),
            model("stuck", "", vec![failed, loading]),
        ]
    }

    fn model(&self, name: &ModelName) -> Result<ModelStatus> {
        let found = self.models().into_iter().find(|model| model.name == *name);
        let unknown = "Request for unknown model: this name is not found";
        found.ok_or_else(|| Self::error(Code::ModelNotFound, unknown))
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            is_ready: false,
            reason: "model `stuck` has no ready version".to_owned(),
            warnings: Vec::new(),
        }
    }

    fn statistics(&self, _: Option<&ModelName>) -> Result<Vec<VersionStatistics>> {
        Ok(Vec::new())
    }
}
