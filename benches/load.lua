-- wrk's side: what it asks, and what it says at the end. Arguments after "--": what, seed, key.
local random, format = math.random, string.format
local asks = {}

-- As the seed's simulator posts: a new customer each time, no Content-Type.
function asks.webhook()
  return wrk.format("POST", "/salesforce/webhook", {}, format(
    '{"AccountManager":"Ada Byron","Id":"%s","Name":"acme.example","SalesEngineerId":"%s",' ..
    '"SignedTos":true,"SKU1":true,"SKU2":false,"SKU3":false}', uuid(), uuid()))
end

-- By turns a customer and a user of one, among the 1,000 that check.py loads; ten users of each.
local number = 0
function asks.check()
  number = number + 1
  local customer = (number * 7) % 1000
  local who = number % 2 == 0 and format("customer=c%d", customer)
    or format("user=u%d%%40c%d.example", math.floor(number / 1000) % 10, customer)
  return wrk.format("GET", "/v1/check?" .. who .. "&feature=inbound-email-security", headers)
end

-- A user of whom nobody asked before, each time.
function asks.strangers()
  number = number + 1
  return wrk.format("GET", format("/v1/check?user=u%d-%d%%40c%d.example&feature=inbound-email-security",
    seed, number, number % 1000), headers)
end

-- The same customers, asked of OpenFGA; here "key" is key, path and model, spaces between.
function asks.openfga()
  number = number + 1
  return wrk.format("POST", path, headers, format('{"tuple_key":{"user":"customer:c%d","relation":"allowed",' ..
    '"object":"feature:inbound-email-security"},"authorization_model_id":"%s"}', (number * 7) % 1000, model))
end

function uuid()
  return format("%04x%04x-%04x-4%03x-8%03x-%04x%04x%04x", random(0, 65535), random(0, 65535), random(0, 65535),
    random(0, 4095), random(0, 4095), random(0, 65535), random(0, 65535), random(0, 65535))
end

function init(args)
  request = asks[args[1]]
  seed = tonumber(args[2])
  math.randomseed(seed)
  key, path, model = (args[3] or ""):match("(%S*) ?(%S*) ?(%S*)")
  headers = { Authorization = "Bearer " .. key }
end

function done(summary, latency)
  local e = summary.errors
  io.write(format("\nresult %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
