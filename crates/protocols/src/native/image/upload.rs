//! The picture of a call: the field `file` of a form, or the whole body.

use std::convert::Infallible;

use bytes::Bytes;
use contract::{Code, Error, Result};
use futures_util::{FutureExt, stream};
use http::header;
use multer::Multipart;

use super::super::media::media_type;
use crate::rest::Call;

/// Returns the bytes of the picture.
pub(super) fn image(call: &Call) -> Result<Bytes> {
    let media_type = media_type(&call.headers);
    let image = match &*media_type {
        "multipart/form-data" => form_field(call)?,
        // The type that `curl --data-binary` sends, and that of callers without a type.
        "" | "application/octet-stream" | "application/x-www-form-urlencoded" => call.body.clone(),
        other if other.starts_with("image/") => call.body.clone(),
        other => {
            return Err(Error::new(
                Code::UnsupportedMediaType,
                format!(
                    "expected an image: the field `file` of a `multipart/form-data` body, or a \
                     body of type `image/*`; got `{other}`; send JSON to `/predict`"
                ),
            ));
        }
    };
    match image.is_empty() {
        true => Err(Error::invalid("the image is empty")),
        false => Ok(image),
    }
}

/// Returns the field with the picture. The whole body is there, so nothing is waited for.
fn form_field(call: &Call) -> Result<Bytes> {
    let content_type = call.headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|error| malformed(&error))?;
    let body = stream::iter([Ok::<_, Infallible>(call.body.clone())]);
    let found = find_field(Multipart::new(body, boundary)).now_or_never();
    found.ok_or_else(|| Error::internal("a form of a whole body is waited for"))?
}

async fn find_field(mut form: Multipart<'_>) -> Result<Bytes> {
    let mut others = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| malformed(&error))? {
        match field.name() {
            Some("file" | "image") => {
                return field.bytes().await.map_err(|error| malformed(&error));
            }
            other => others.push(format!("`{}`", other.unwrap_or_default().escape_debug())),
        }
    }
    let got = match others.is_empty() {
        true => "no field".to_owned(),
        false => others.join(", "),
    };
    Err(Error::invalid(format!(
        "the form has no field `file` with the image, got {got}"
    )))
}

fn malformed(error: &multer::Error) -> Error {
    Error::invalid(format!("malformed `multipart/form-data` body: {error}"))
}
