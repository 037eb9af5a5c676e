-- What is asked of a store in one step.
--
-- Nothing is decided here: what a check or a write means stands in Rust, once for all engines. Numbers of the store pass
-- through as bytes, because Lua's are doubles; only sizes, counts and milliseconds are reckoned with. Texts are never
-- compared with < or >, which would follow the locale of the server.
--
-- KEYS[1] is the key of the state. Every other key has its name, but for the last five letters.

local HEADER = 52 -- bytes of an entry before its encodings, as in entry.rs
local BATCH = 512

local function named(keys, name)
  return string.sub(keys[1], 1, -6) .. name
end

local function state(keys)
  return redis.call('GET', keys[1])
end

-- The records of the indexes of a namespace, each behind its number.
local function records_of(keys, namespace)
  local found, records = {}, named(keys, 'indexes')
  for id in string.gmatch(redis.call('HGET', named(keys, 'indexed'), namespace) or '', '%d+') do
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGET', records, id)
  end
  return found
end

local function floors(keys)
  return redis.call('HGETALL', named(keys, 'floors'))
end

-- namespaces: what each takes.
local function usage(keys, args)
  return { state(keys), #args > 0 and redis.call('HMGET', named(keys, 'usage'), unpack(args)) or {} }
end

-- from, to, whether backwards, limit, now, whether with entries, bytes at most: a page of the order.
local function scan(keys, args)
  local order, expiry, entries = named(keys, 'order'), named(keys, 'expiry'), named(keys, 'e:')
  local command = args[3] == '1' and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
  local from, limit, now, most = args[1], tonumber(args[4]), tonumber(args[5]), tonumber(args[7])
  local stale = redis.call('ZCOUNT', expiry, '-inf', args[5]) > 0
  local batch = math.min(limit + 1, BATCH)
  local items, found, bytes = {}, 0, 0
  while true do
    local members = redis.call(command, order, from, args[2], 'LIMIT', 0, batch)
    for _, member in ipairs(members) do
      local at = stale and redis.call('ZSCORE', expiry, member)
      if not at or tonumber(at) > now then
        if found == limit or bytes >= most then
          return { state(keys), 1, items }
        end
        found = found + 1
        items[#items + 1] = member
        if args[6] == '1' then
          local entry = redis.call('GET', entries .. member)
          bytes = bytes + (entry and #entry or 0)
          items[#items + 1] = entry
        end
      end
    end
    if #members < batch then
      return { state(keys), 0, items }
    end
    from = '(' .. members[#members]
  end
end

-- from, to, now: how many stand in the order, and how many have expired anywhere.
local function count(keys, args)
  local found = redis.call('ZLEXCOUNT', named(keys, 'order'), args[1], args[2])
  return { state(keys), found, redis.call('ZCOUNT', named(keys, 'expiry'), '-inf', args[3]) }
end

-- now, how many to pass over, how many at most: how many have expired; of these some, and the bytes of their entries without
-- those of keys.
local function stale(keys, args)
  local expiry, entries = named(keys, 'expiry'), named(keys, 'e:')
  local found, first, bytes = redis.call('ZCOUNT', expiry, '-inf', args[1]), tonumber(args[2]), 0
  local last = math.min(found, first + tonumber(args[3])) - 1
  local members = last >= first and redis.call('ZRANGE', expiry, first, last) or {}
  for _, member in ipairs(members) do
    local header = redis.call('GETRANGE', entries .. member, 0, HEADER - 1)
    if #header == HEADER then
      local high, low = string.byte(header, 43, 44)
      bytes = bytes + redis.call('STRLEN', entries .. member) - HEADER - high * 256 - low
    end
  end
  return { state(keys), found, string.format('%.0f', bytes), members }
end

-- earliest, latest, how many to pass over, limit: what expires between.
local function expiring(keys, args)
  local expiry = named(keys, 'expiry')
  return { state(keys), redis.call('ZRANGEBYSCORE', expiry, args[1], args[2], 'LIMIT', args[3], args[4]) }
end

-- a namespace, or nothing for all: the records of indexes, each behind its number.
local function indexes(keys, args)
  return { state(keys), args[1] and records_of(keys, args[1]) or redis.call('HGETALL', named(keys, 'indexes')) }
end

-- an index: its record, how many rows it has, and the numbers of the indexes of its namespace.
local function index(keys, args)
  local record = redis.call('HGET', named(keys, 'indexes'), args[1])
  local namespace = record and string.match(record, '^.([^%z]*)') or ''
  local beside = redis.call('HGET', named(keys, 'indexed'), namespace)
  return { state(keys), record, redis.call('ZCARD', named(keys, 'i:' .. args[1])), beside }
end

-- index, namespace and beginning of rows, thrice and so on: for each the keys in these rows and when they expire.
local function holders(keys, args)
  local expiry, answers = named(keys, 'expiry'), {}
  for at = 1, #args, 3 do
    local namespace, first, held = args[at + 1], args[at + 2], {}
    local last = string.sub(first, 1, -2) .. '\2'
    for _, row in ipairs(redis.call('ZRANGEBYLEX', named(keys, 'i:' .. args[at]), '[' .. first, '(' .. last)) do
      local key = string.sub(row, #first + 1)
      held[#held + 1] = key
      held[#held + 1] = redis.call('ZSCORE', expiry, namespace .. '\0' .. key)
    end
    answers[#answers + 1] = held
  end
  return { state(keys), answers }
end

-- An index that is ready: its namespace.
local function ready(keys, id)
  local record = redis.call('HGET', named(keys, 'indexes'), id)
  return record and string.match(record, '^r([^%z]*)')
end

-- index, the namespace it is thought to be of, now, limit, rows at most, bytes at most, whether falling, the first key and that
-- behind the last (or nothing), how many other indexes, each with the beginning of its rows, then parts: the beginning of the
-- rows of one term (or nothing), from, to.
--
-- A page of rows with their entries, and the last row that was looked at where there may be more behind it. The rows of one
-- term rise, whichever way the terms go.
local function walk(keys, args)
  local namespace = ready(keys, args[1])
  if not namespace then
    return { state(keys), false }
  elseif namespace ~= args[2] then
    return { state(keys), namespace }
  end
  local rows, expiry, entries = named(keys, 'i:' .. args[1]), named(keys, 'expiry'), named(keys, 'e:')
  local now, limit, rows_max, bytes_max = tonumber(args[3]), tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  local falling, from_key, to_key, at = args[7] == '1', args[8], args[9], 11
  local stale = redis.call('ZCOUNT', expiry, '-inf', args[3]) > 0
  local batch, others = math.min(limit + 1, BATCH), {}
  for _ = 1, tonumber(args[10]) do
    if ready(keys, args[at]) then
      others[#others + 1] = { named(keys, 'i:' .. args[at]), args[at + 1] }
    end
    at = at + 2
  end

  local items, found, bytes, looked, last = {}, 0, 0, 0, false
  local function is_full()
    return found == limit or bytes >= bytes_max or looked >= rows_max
  end
  local function visit(row)
    looked, last = looked + 1, row
    local _, edge = string.find(row, '\0\1', 1, true)
    local key = string.sub(row, edge + 1)
    for _, other in ipairs(others) do
      if not redis.call('ZSCORE', other[1], other[2] .. key) then
        return
      end
    end
    local address = namespace .. '\0' .. key
    local expires = stale and redis.call('ZSCORE', expiry, address)
    if expires and tonumber(expires) <= now then
      return
    end
    local entry = redis.call('GET', entries .. address)
    found, bytes = found + 1, bytes + (entry and #entry or 0)
    items[#items + 1] = row
    items[#items + 1] = entry
  end
  -- Rows as they stand; whether there was room for all of them.
  local function through(from, to)
    while true do
      local members = redis.call('ZRANGEBYLEX', rows, from, to, 'LIMIT', 0, batch)
      for _, row in ipairs(members) do
        if is_full() then
          return false
        end
        visit(row)
      end
      if #members < batch then
        return true
      end
      from = '(' .. members[#members]
    end
  end
  -- Term by term: of each no more is read than the keys that were asked for.
  local function by_terms(from, to)
    local command = falling and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
    while true do
      local row = redis.call(command, rows, falling and to or from, falling and from or to, 'LIMIT', 0, 1)[1]
      if not row then
        return true
      elseif is_full() then
        return false
      end
      local _, edge = string.find(row, '\0\1', 1, true)
      local first = string.sub(row, 1, edge)
      local behind = '(' .. string.sub(row, 1, edge - 1) .. '\2'
      local before = looked
      if not through('[' .. first .. from_key, to_key == '' and behind or '(' .. first .. to_key) then
        return false
      elseif looked == before then
        looked, last = looked + 1, row
      end
      if falling then
        to = '(' .. first
      else
        from = '[' .. string.sub(behind, 2)
      end
    end
  end
  local is_plain = not falling and from_key == '' and to_key == ''
  for part = at, #args, 3 do
    local walked = (is_plain or args[part] ~= '') and through or by_terms
    if not walked(args[part + 1], args[part + 2]) then
      return { state(keys), namespace, items, last }
    end
  end
  return { state(keys), namespace, items, false }
end

-- index, most, then from and to of spans: how many rows are in them, up to the most or somewhat more.
local function estimate(keys, args)
  local record, found = redis.call('HGET', named(keys, 'indexes'), args[1]), 0
  local kept = record and string.sub(record, 1, 1) ~= 'd'
  for at = 3, #args, 2 do
    if not kept or found >= tonumber(args[2]) then
      break
    end
    found = found + redis.call('ZLEXCOUNT', named(keys, 'i:' .. args[1]), args[at], args[at + 1])
  end
  return { state(keys), found }
end

-- from, to, whether backwards, limit: rows of the log, whole commits.
local function records(keys, args)
  local log, limit, rows = named(keys, 'log'), tonumber(args[4]), nil
  local function append(more)
    for _, row in ipairs(more) do
      rows[#rows + 1] = row
    end
  end
  if args[3] == '1' then
    rows = redis.call('ZREVRANGEBYLEX', log, args[1], args[2], 'LIMIT', 0, limit)
    if #rows > 0 and #rows == limit then
      local last = rows[#rows]
      append(redis.call('ZREVRANGEBYLEX', log, '(' .. last, '[' .. string.sub(last, 1, 8)))
    end
  else
    rows = redis.call('ZRANGEBYLEX', log, args[1], args[2], 'LIMIT', 0, limit)
    if #rows > 0 and #rows == limit then
      local last = rows[#rows]
      append(redis.call('ZRANGEBYLEX', log, '(' .. last, '[' .. string.sub(last, 1, 8) .. '\255'))
    end
  end
  return { state(keys), floors(keys), rows }
end

-- from, to, whether backwards, limit: rows of the log by key.
local function history(keys, args)
  local command = args[3] == '1' and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
  local rows = redis.call(command, named(keys, 'history'), args[1], args[2], 'LIMIT', 0, args[4])
  return { state(keys), floors(keys), rows }
end

-- from and to in the log, from and to in its rows by key: how many there are.
local function measure(keys, args)
  local log, history = named(keys, 'log'), named(keys, 'history')
  return {
    state(keys),
    redis.call('ZLEXCOUNT', log, args[1], args[2]),
    redis.call('ZLEXCOUNT', history, args[3], args[4]),
  }
end

-- bytes at most, then rows of the log: for each whether it is still there, what was before, what it became. Ends early
-- when that is too much.
local function sides(keys, args)
  local log, history = named(keys, 'log'), named(keys, 'history')
  local entries, befores = named(keys, 'e:'), named(keys, 'b:')
  local answers, bytes = {}, 0
  for index = 2, #args do
    if bytes >= tonumber(args[1]) then
      break
    end
    local row = args[index]
    local place, member, before, after = string.sub(row, 1, 10), string.sub(row, 29), false, false
    local there = redis.call('ZSCORE', log, row)
    if there and string.byte(row, 28) == 1 then
      before = redis.call('GET', befores .. place)
    end
    local kind = string.byte(row, 19)
    if there and (kind == 1 or kind == 2) then
      local own = member .. '\0'
      local next = redis.call('ZRANGEBYLEX', history, '(' .. own .. place, '[' .. own .. '\255', 'LIMIT', 0, 1)[1]
      if next then
        after = redis.call('GET', befores .. string.sub(next, -10))
      else
        after = redis.call('GET', entries .. member)
      end
    end
    bytes = bytes + (before and #before or 0) + (after and #after or 0)
    answers[#answers + 1] = there and 1 or 0
    answers[#answers + 1] = before
    answers[#answers + 1] = after
  end
  return { state(keys), floors(keys), answers }
end

-- bytes at most, then places: what was before them. Ends early when that is too much.
local function undone(keys, args)
  local befores, answers, bytes = named(keys, 'b:'), {}, 0
  for index = 2, #args do
    if bytes >= tonumber(args[1]) then
      break
    end
    local before = redis.call('GET', befores .. args[index])
    bytes = bytes + (before and #before or 0)
    answers[#answers + 1] = before
  end
  return { state(keys), floors(keys), answers }
end

-- places: their rows in the log.
local function rows(keys, args)
  local log, answers = named(keys, 'log'), {}
  for _, place in ipairs(args) do
    answers[#answers + 1] = redis.call('ZRANGEBYLEX', log, '[' .. place, '[' .. place .. '\255', 'LIMIT', 0, 1)[1] or false
  end
  return { state(keys), answers }
end

-- an id, limit: when the newest id was made, whether there are more, and groups of ids of which the first is before that id,
-- with about as many ids.
local function ids(keys, args)
  local groups = redis.call('ZRANGEBYLEX', named(keys, 'ids'), '-', '(' .. args[1], 'LIMIT', 0, 64)
  local old, found, more = {}, 0, #groups == 64 and 1 or 0
  for _, group in ipairs(groups) do
    if found >= tonumber(args[2]) then
      more = 1
      break
    end
    old[#old + 1] = group
    found = found + #group / 16
  end
  return { state(keys), redis.call('ZSCORE', named(keys, 'latest'), 'id') or '0', more, old }
end

local function reads(name, callback)
  redis.register_function({ function_name = LIBRARY .. '_' .. name, callback = callback, flags = { 'no-writes' } })
end

reads('usage', usage)
reads('scan', scan)
reads('count', count)
reads('stale', stale)
reads('expiring', expiring)
reads('records', records)
reads('history', history)
reads('measure', measure)
reads('sides', sides)
reads('undone', undone)
reads('indexes', indexes)
reads('index', index)
reads('holders', holders)
reads('walk', walk)
reads('estimate', estimate)
reads('rows', rows)
reads('ids', ids)
