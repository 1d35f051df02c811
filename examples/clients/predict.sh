#!/usr/bin/env bash
# One curl call of each kind against a running server: predict.sh [--url http://localhost:8000]
set -euo pipefail

url=http://localhost:8000
case "$#:${1-}" in
  0:) ;;
  2:--url) url=${2%/} ;;
  *) echo "usage: $0 [--url http://localhost:8000]" >&2; exit 2 ;;
esac
data=$(cd "$(dirname "${BASH_SOURCE[0]}")/../data" && pwd)

# Prints what is asked, then the reply on one line. A refusal prints its body and stops the script.
call() {
  echo "# $1"
  shift
  curl --silent --show-error --fail-with-body "$@"
  echo
}

call "server ready"         "$url/v2/health/ready"
call "server live"          "$url/v2/health/live"
call "one digit, default model version" \
  --json @"$data/digits-request.json" "$url/predict"
call "sixteen digits, version 2" \
  --json @"$data/digits-batch-request.json" "$url/predict"
call "three flowers"        --json @"$data/iris-request.json" "$url/predict"
call "a picture of a seven" --form file=@"$data/digits-png/7-005.png" "$url/predict/image?model=digits-image"
call "metadata of a model"  "$url/v2/models/digits"
call "Open Inference Protocol" \
  --json @"$data/digits-infer-request.json" "$url/v2/models/digits/infer"
call "the same, version 1" \
  --json @"$data/digits-infer-request.json" "$url/v2/models/digits/versions/1/infer"
