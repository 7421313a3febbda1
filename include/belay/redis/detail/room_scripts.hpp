// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_scripts.hpp
/// The scripts of redis::Rooms. Redis runs each as one step, without another command in between.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// KEYS[1] is the stream of a room. Its entries have the fields s and n, the server and the sequence
// of the part::ChangeId; u, the update. KEYS[2] is a hash with these fields:
// - epoch
// - log, which is different each time the history begins
// - began and covers, which are entries
// - trimmed, the entry up to which entries are removed. Those are the entries that the snapshot
//   before the last one covers, so that a server which is a little late need not load the room.
//   KEYS[3] is the snapshot. A history that is ended on purpose leaves keys for a while, with its
//   log and its epoch. They distinguish it from a history that Redis has lost. The epoch stays the
//   same when a lost history is restored under another log. So the key of the epoch also stops a
//   server that has not received the new log from restoring the room again.

/// Begins a history. ARGV: 'again', 'new', or 'reset'; epoch; log; channel; how long an end is
/// remembered; the log that the server had, or ''; the log that it tried to begin, or ''. Returns
/// {log, began, epoch}, of the existing history if there is one, except for a reset. Returns 'over'
/// if the history to begin again was ended on purpose: only a lost history may begin again. A reset
/// also ends a history that Redis has just lost.
inline constexpr std::string_view redis_room_begin = R"(
local over, how = KEYS[2] .. ':over:', ARGV[1]
if how == 'again' and redis.call('EXISTS', over .. ARGV[2], over .. ARGV[3],
    over .. ARGV[6]) ~= 0 then
  return 'over'
end
local old = redis.call('HMGET', KEYS[2], 'log', 'began', 'epoch')
if old[1] and how ~= 'reset' then return {old[1], old[2], old[3]} end
local id = redis.call('XADD', KEYS[1], '*', 'began', '')
if how == 'reset' then
  for _, was in ipairs({old[1] or '', old[3] or '', ARGV[6], ARGV[7]}) do
    if was ~= '' then redis.call('SET', over .. was, '1', 'EX', ARGV[5]) end
  end
end
redis.call('DEL', over .. ARGV[2])
redis.call('XTRIM', KEYS[1], 'MAXLEN', '0')
redis.call('PERSIST', KEYS[1])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'log', ARGV[3], 'began', id, 'covers', id,
  'trimmed', id)
redis.call('PUBLISH', ARGV[4], 'e')
return {ARGV[3], id, ARGV[2]}
)";

/// Erases a room. ARGV: channel, how long an end is remembered, and the two logs as above. The
/// stream stays for that time, so that the ids of its entries keep rising. Commands that need no
/// memory come first: Redis does not stop a script for lack of memory after its first write.
inline constexpr std::string_view redis_room_erase = R"(
local old = redis.call('HMGET', KEYS[2], 'log', 'epoch')
redis.call('XTRIM', KEYS[1], 'MAXLEN', '0')
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3])
for _, was in ipairs({old[1] or '', old[2] or '', ARGV[3], ARGV[4]}) do
  if was ~= '' then redis.call('SET', KEYS[2] .. ':over:' .. was, '1', 'EX', ARGV[2]) end
end
redis.call('PUBLISH', ARGV[1], 'e')
return 1
)";

#define BELAY_DETAIL_REDIS_LESS                                   \
    "local function less(a, b)\n"                                 \
    "  local am, as = string.match(a, '^(%d+)-(%d+)$')\n"         \
    "  local bm, bs = string.match(b, '^(%d+)-(%d+)$')\n"         \
    "  if am ~= bm then return tonumber(am) < tonumber(bm) end\n" \
    "  return tonumber(as) < tonumber(bs)\n"                      \
    "end\n"
/// Whether an entry is lost. An entry that the snapshot covers is not, even if another server has
/// trimmed the stream. An entry of `server`, if it is given, is lost if its id is that of an entry
/// of another server: after a failover, an id can be used again.
#define BELAY_DETAIL_REDIS_LOST                                          \
    BELAY_DETAIL_REDIS_LESS                                              \
    "local function lost(id, trimmed, covers, server)\n"                 \
    "  if not less(trimmed, id) or id == covers then return false end\n" \
    "  local found = redis.call('XRANGE', KEYS[1], id, id)[1]\n"         \
    "  if not found then return true end\n"                              \
    "  return server and found[2][1] == 's' and found[2][2] ~= server\n" \
    "end\n"

/// Returns the entries after `from`, at most so many, and whether there may be more. It ends before
/// the entry that would exceed the bytes, except for the first. It reads few at a time, because
/// each may be long.
#define BELAY_DETAIL_REDIS_ENTRIES                                                      \
    "local function entries(from, most, bytes_max)\n"                                   \
    "  local some, bytes = {}, 0\n"                                                     \
    "  while #some < most do\n"                                                         \
    "    local count = math.min(8, most - #some)\n"                                     \
    "    local got = redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', count)\n" \
    "    for _, entry in ipairs(got) do\n"                                              \
    "      for _, text in ipairs(entry[2]) do bytes = bytes + #text end\n"              \
    "      if #some > 0 and bytes > bytes_max then return some, 1 end\n"                \
    "      some[#some + 1], from = entry, entry[1]\n"                                   \
    "    end\n"                                                                         \
    "    if #got < count then return some, 0 end\n"                                     \
    "  end\n"                                                                           \
    "  return some, 1\n"                                                                \
    "end\n"

/// Appends updates. ARGV: log or '', channel, server, updates, the last own entry that Redis has
/// acknowledged, and the server in that entry; epoch or ''; the first sequence number. Each update
/// follows its length and its number. Returns {log, the last entry, epoch}; nil if there is no such
/// history, or if that entry is lost, because the next one would hide the loss. Returns 'over' if
/// the history was ended on purpose.
///
/// The id of an entry is the time and the sequence number, or the one after the last entry. The
/// number is random: after a failover to a Redis whose clock is late, the time of a lost entry
/// comes again, and its id must not.
inline constexpr std::string_view redis_room_append = BELAY_DETAIL_REDIS_LOST R"(
local room = redis.call('HMGET', KEYS[2], 'log', 'trimmed', 'covers', 'epoch')
local log = room[1]
if not log or (ARGV[1] ~= '' and ARGV[1] ~= log) or (ARGV[7] ~= '' and ARGV[7] ~= room[4]) then
  return redis.call('EXISTS', KEYS[2] .. ':over:' .. ARGV[1], KEYS[2] .. ':over:' .. ARGV[7]) > 0
    and 'over'
end
if lost(ARGV[5], room[2], room[3], ARGV[6]) then return false end
local time, sequence = redis.call('TIME'), tonumber(ARGV[8])
local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local last, at, all = '', 1, ARGV[4]
while at <= #all do
  local size = struct.unpack('<I4', all, at)
  local entry = {'s', ARGV[3], 'n', string.sub(all, at + 4, at + 11), 'u',
    string.sub(all, at + 12, at + 11 + size)}
  last = redis.pcall('XADD', KEYS[1], ms .. '-' .. sequence, unpack(entry))
  if last.err then last = redis.call('XADD', KEYS[1], '*', unpack(entry)) end
  at, sequence = at + 12 + size, sequence + 1
end
redis.call('PUBLISH', ARGV[2], 'e')
return {log, last, room[4]}
)";

/// KEYS[1] is the mark of the whole store. ARGV[1] becomes the mark if there is none. Returns the
/// mark. If it differs from the one before, the store was emptied, and Redis does not report that
/// otherwise.
inline constexpr std::string_view redis_room_mark = R"(
if not redis.call('GET', KEYS[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return redis.call('GET', KEYS[1])
)";

/// Returns {epoch, log, covers, snapshot, entries, 1 if there may be more}; nil if there is no
/// room. Returns 'missing' if Redis has lost the snapshot, whose content is in no entry. ARGV: '1'
/// if the server has the room, and will add what it has to what is left; the most entries; the most
/// bytes.
inline constexpr std::string_view redis_room_load = BELAY_DETAIL_REDIS_ENTRIES R"(
local room = redis.call('HMGET', KEYS[2], 'epoch', 'log', 'covers', 'began')
if not room[2] then return false end
local snapshot = redis.call('GET', KEYS[3])
if not snapshot and room[3] ~= room[4] and ARGV[1] ~= '1' then return 'missing' end
local some, more = entries(room[3], tonumber(ARGV[2]), tonumber(ARGV[3]))
return {room[1], room[2], room[3], snapshot or '', some, more}
)";

/// Continues a load. ARGV: log, the last entry that was loaded, the most entries, the most bytes.
/// Returns {entries, 1 if there may be more}. Returns 'anew' if the load must begin anew, because
/// the room has another history, or entries after that one are trimmed, or that one is lost.
inline constexpr std::string_view redis_room_load_more =
    BELAY_DETAIL_REDIS_LOST BELAY_DETAIL_REDIS_ENTRIES R"(
local room = redis.call('HMGET', KEYS[2], 'log', 'trimmed', 'covers')
if room[1] ~= ARGV[1] or less(ARGV[2], room[2]) or lost(ARGV[2], room[2], room[3]) then
  return 'anew'
end
return {entries(ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))}
)";

/// Returns new entries as {state, epoch, log, entries}. ARGV:
/// - log or '', and the last entry that was read
/// - the last own entry that Redis has acknowledged
/// - the most entries, and the most bytes
/// - the server in that own entry, and epoch or ''
inline constexpr std::string_view redis_room_batch =
    BELAY_DETAIL_REDIS_LOST BELAY_DETAIL_REDIS_ENTRIES R"(
local room = redis.call('HMGET', KEYS[2], 'epoch', 'log', 'trimmed', 'began', 'covers')
local log, trimmed, from = room[2], room[3], ARGV[2]
if (ARGV[1] ~= '' and ARGV[1] ~= log) or (ARGV[7] ~= '' and ARGV[7] ~= room[1]) then
  local over = KEYS[2] .. ':over:'
  return {redis.call('EXISTS', over .. ARGV[1], over .. ARGV[7]) > 0 and 'over' or 'gap'}
end
if not log then return {'none'} end
if from == '0-0' then from = room[4] end
if less(from, trimmed) or lost(from, trimmed, room[5]) or
    lost(ARGV[3], trimmed, room[5], ARGV[6]) then
  return {'gap'}
end
return {'on', room[1], log, (entries(from, tonumber(ARGV[4]), tonumber(ARGV[5])))}
)";

/// Stores a snapshot. ARGV: log or '', the entry that it covers, the snapshot, the last own entry
/// that Redis has acknowledged, and the server in that entry. Returns 'saved'. Stores nothing if
/// - entries after the covered one are trimmed,
/// - the covered entry is gone, because this copy of the room may have other entries before it, and
///   they would be covered, or
/// - that own entry is lost, because servers that have read further would not receive its change.
inline constexpr std::string_view redis_room_save = BELAY_DETAIL_REDIS_LOST R"(
local room = redis.call('HMGET', KEYS[2], 'log', 'covers', 'trimmed')
if not room[1] then return 'none' end
if ARGV[1] ~= '' and ARGV[1] ~= room[1] then return 'stale' end
local to = ARGV[2]
if less(to, room[2]) or lost(ARGV[4], room[3], room[2], ARGV[5]) then return 'stale' end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' and less(info[i + 1], to) then return 'beyond' end
end
if less(room[2], to) and #redis.call('XRANGE', KEYS[1], to, to) == 0 then return 'stale' end
redis.call('SET', KEYS[3], ARGV[3])
redis.call('HSET', KEYS[2], 'covers', to)
if less(room[2], to) then
  redis.call('HSET', KEYS[2], 'trimmed', room[2])
  local ms, seq = string.match(room[2], '^(%d+)-(%d+)$')
  redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
end
return 'saved'
)";
#undef BELAY_DETAIL_REDIS_ENTRIES
#undef BELAY_DETAIL_REDIS_LOST
#undef BELAY_DETAIL_REDIS_LESS

}}}  // namespace belay::detail
