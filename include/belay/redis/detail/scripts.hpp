// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/scripts.hpp
/// The scripts of redis::Stream. Redis runs each as one step, without another command in between.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// KEYS[1] is the stream; ARGV[1] the group, ARGV[2] this consumer, ARGV[3] the entry or the lease.
// An entry is {id, {field, value, ...}}. One that is pending and was deleted is false, or missing.

/// Leases the first entry in this order: one that this consumer already has; one that another
/// consumer has had for longer than the lease; one that no consumer has had. Returns {id, how often
/// it was leased, body}, without the body if the entry has none; nil if there is no entry.
inline constexpr std::string_view redis_lease = R"(
local key, group, me, lease = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local function lend(entry, times)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'body' then return {entry[1], times, entry[2][i + 1]} end
  end
  return {entry[1], times}
end
local function lent(id)
  return redis.call('XPENDING', key, group, id, id, 1)[1][4]
end
while true do
  local mine = redis.call('XPENDING', key, group, '-', '+', 1, me)[1]
  if not mine then break end
  local got = redis.call('XCLAIM', key, group, me, 0, mine[1])[1]
  if got and got[2] then return lend(got, mine[4] + 1) end
  redis.call('XACK', key, group, mine[1])
end
local from = '0-0'
repeat
  local answer = redis.call('XAUTOCLAIM', key, group, me, lease, from, 'COUNT', 1)
  from = answer[1]
  local got = answer[2][1]
  if got and got[2] then return lend(got, lent(got[1])) end
until from == '0-0'
local new = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', 1, 'STREAMS', key, '>')
if new then return lend(new[1][2][1], 1) end
return false
)";

/// Removes an entry, whichever consumer has it now. Returns 0 if it was not pending any more. It
/// deletes first: if the user may not delete, the script stops, because an entry that is
/// acknowledged but not deleted would never be delivered again.
inline constexpr std::string_view redis_remove = R"(
redis.call('XDEL', KEYS[1], ARGV[3])
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
)";

/// Sets how long this consumer has had an entry, to ARGV[4] milliseconds. It does so only if this
/// consumer still has the entry, and it was not leased again since. ARGV[5] is the number of its
/// leases at that time. Returns 0 if not.
inline constexpr std::string_view redis_age = R"(
local key, group, me, id = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local mine = redis.call('XPENDING', key, group, id, id, 1, me)[1]
if not mine or mine[4] ~= tonumber(ARGV[5]) then return 0 end
redis.call('XCLAIM', key, group, me, 0, id, 'IDLE', ARGV[4], 'JUSTID')
return 1
)";

}}}  // namespace belay::detail
