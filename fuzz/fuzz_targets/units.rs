//! Units in headers, cookies, queries and JSON: a unit always gets the same arm.
//!
//! The first line is the header, the second the cookie, the third the query, the rest the body.
#![no_main]

use harness::{call, split_line};
use http::{Method, StatusCode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (header, rest) = split_line(data);
    let (cookie, rest) = split_line(rest);
    let (query, body) = split_line(rest);
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (Some(header), Some(cookie), Some(query)) = (text(header), text(cookie), text(query))
    else {
        return;
    };
    let headers = [("x-user", header), ("cookie", cookie)];
    for model in ["by-header", "by-cookie", "by-json"] {
        for path in ["/models/MODEL/predict", "/v2/models/MODEL/infer"] {
            let path = format!("{}?{query}", path.replace("MODEL", model));
            let ask = || call(Method::POST, &path, &headers, &[body]);
            let (Some(first), Some(second)) = (ask(), ask()) else {
                return;
            };
            let arm = |reply: &harness::Reply| reply.headers.get("x-lockgate-arm").cloned();
            let has_unit = model == "by-header" && !header.trim().is_empty();
            if first.status == StatusCode::OK && has_unit {
                assert_eq!(arm(&first), arm(&second), "{header}");
            }
        }
    }
});
