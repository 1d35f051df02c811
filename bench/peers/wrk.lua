-- One POST with a fixed body for wrk, and its figures as one line of JSON at the end.
-- Arguments after `--`: the file of the body, then headers as pairs of a name and a value.
-- There is no `request` function, so wrk builds the request once and runs no Lua while it measures.

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  for i = 2, #arguments, 2 do
    wrk.headers[arguments[i]] = arguments[i + 1]
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"n_requests":%d,"seconds":%.6f,"n_errors":%d,"p50_us":%.0f,"p99_us":%.0f}\n',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
