// SPDX-License-Identifier: MIT
/// \file belay/redis/stream.hpp
/// redis::Stream: a queue for many machines in a Redis stream; needs hiredis.
/// Link belay::redis or -lhiredis.
#pragma once

#include <charconv>     // std::to_chars
#include <cstdint>      // std::uint64_t
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/assert.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/redis/detail/connection.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// The scripts of a Stream. Redis runs each as one step, without another command in between.
//
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

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// A queue in a Redis stream, for any number of threads, processes and machines.
///
/// Any number of objects push, and any number take. An operation is an entry with one field,
/// `body`. It is deleted when it is acknowledged. Consumers form one consumer group. Until its
/// lease is over, no other consumer gets a leased operation.
///
/// - At least once: this queue loses nothing that was pushed. Another consumer gets an operation
///   without acknowledgement after the lease. The next consumer that is opened with the same name
///   gets it at once. The queue cannot protect against losses of Redis itself: see its
///   `appendfsync`.
/// - A single consumer gets everything in the order in which it was pushed, also after `nack`, and
///   after it is opened again. Several consumers take in that order, too, but may finish in
///   another.
/// - After a call failed, the next call connects again. No call waits longer than the options
///   allow, and none is repeated automatically. The loss of a server's machine is detected within a
///   minute (keepalive).
/// - If other consumers hold all operations that are left, a drain ends with queue_empty.
/// - `XGROUP DESTROY` removes the group. Redis has no checksums over its log.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe; each has a connection of its own. One object is for one
///                thread, `size` included. After fork, the child must not use or destroy it.
/// Blocks:        every call except `explain` and `capacity`, on the network.
/// Source:        Redis, "Streams" and "XAUTOCLAIM" in its documentation.
class Stream {
public:
    using value_type = Bytes;
    /// The unit of its leases and waits, because Redis counts in it.
    using Milliseconds = std::chrono::milliseconds;

    /// Connects, and creates the stream and its group if they are missing.
    ///
    /// Errors:     what, where, and what to do, see Error. A key that is not a stream, and a stream
    ///             that another group reads, are rejected, and stay unchanged. If two consumers
    ///             create groups of different names at the same moment, the next opening reports
    ///             that.
    /// Throws:     std::bad_alloc.   Complexity: O(groups of the stream).
    [[nodiscard]] static Result<Stream, Error> open(const Options& options) {
        if (const std::string_view wrong = options.check(); !wrong.empty()) {
            return Error{make_error_code(QueueErrc::bad_options), "a queue in Redis",
                         std::string{wrong}};
        }
        Stream queue;
        if (Error error = queue.start(options)) return error;
        return queue;
    }

    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&&) noexcept = default;
    ~Stream() = default;

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; those of Redis and the system. The operation was not accepted then,
    ///         unless Errc states that this is unknown. If you push it again after such an error,
    ///         it may be there twice.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        Reply reply;
        const std::error_code error =
            connection_.call({"XADD", stream_, "*", "body", as_text(body)}, reply);
        if (!error && reply->type != REDIS_REPLY_STRING) return bad_reply();
        return error;
    }

    /// Takes the oldest operation; nothing if there is none, or if the call failed.
    ///
    /// If it could not be read or removed, `front` reports the reason, or it is still leased. An
    /// operation counts as taken if it is unknown whether it was removed. Then `front` or `try_pop`
    /// removes it before the next one. If neither is called again, it may come again.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (!front()) return std::nullopt;
        if (ack()) {
            if (!maybe_removed_) return std::nullopt;
            // If it was not returned, it could be lost.
            is_taken_ = true;
        }
        return std::move(front_);
    }

    /// Leases the oldest operation that no consumer has, until `ack`, `nack`, or the end of the
    /// lease.
    ///
    /// While something is leased, it returns the same operation again.
    ///
    /// Errors: queue_empty; bad_encoding for an entry without a body, which is leased and can be
    ///         acknowledged; those of Redis and the system.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (is_taken_) {
            if (const std::error_code error = remove()) return error;
        }
        if (is_leased()) return leased();
        Reply reply;
        const std::error_code error = connection_.call(
            {"EVAL", detail::redis_lease, "1", stream_, group_, consumer_, Number{lease_}}, reply);
        if (error) return error;
        if (reply->type == REDIS_REPLY_NIL) return make_error_code(QueueErrc::queue_empty);
        const redisReply* const times = detail::reply_at(reply.get(), 1);
        if (times == nullptr || times->type != REDIS_REPLY_INTEGER) return bad_reply();
        return take_lease(detail::reply_at(reply.get(), 0), times->integer,
                          detail::reply_at(reply.get(), 2));
    }
    /// Leases like `front`, but waits for a push, at most for `timeout` or a day. With a timeout of
    /// 0ms or less, the rest of a deadline that has passed, it does not wait.
    ///
    /// An operation that another consumer gives back, or leaves when it dies, does not end the
    /// wait. The next call finds it.
    ///
    /// Errors: those of `front`; queue_empty after the timeout.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front_wait(Milliseconds timeout) {
        Result<BytesView> first = front();
        if (first || first.error() != QueueErrc::queue_empty) return first;
        if (timeout.count() <= 0) return first;
        if (timeout > Options::longest) timeout = Options::longest;
        Reply reply;
        const std::error_code error =
            connection_.call({"XREADGROUP", "GROUP", group_, consumer_, "COUNT", "1", "BLOCK",
                              Number{timeout}, "STREAMS", stream_, ">"},
                             reply, timeout);
        if (error) return error;
        if (reply->type == REDIS_REPLY_NIL) return first;
        // One stream with one entry: {id, {field, value, ...}}.
        const redisReply* const entry =
            detail::reply_at(detail::reply_at(detail::reply_at(reply.get(), 0), 1), 0);
        const redisReply* const fields = detail::reply_at(entry, 1);
        const redisReply* body = nullptr;
        for (std::size_t i = 0; body == nullptr && detail::reply_at(fields, i + 1) != nullptr;
             i += 2) {
            if (detail::reply_text(detail::reply_at(fields, i)) == "body")
                body = detail::reply_at(fields, i + 1);
        }
        return take_lease(detail::reply_at(entry, 0), 1, body);
    }

    /// Acknowledges and removes the leased operation, also after the end of the lease.
    ///
    /// Pre:    something is leased.
    /// Errors: lease_ended: it is gone, because another consumer had it, too, and was faster; the
    ///         lease has ended. After those of Redis and the system, it is still leased: call
    ///         again.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(is_leased(), "redis::Stream::ack: an operation must be leased");
        return remove();
    }
    /// Gives the leased operation back, in front of all others.   Pre: it is leased.
    ///
    /// Errors: those of Redis and the system. The lease of this consumer has ended nevertheless.
    ///         Other consumers get the operation after the time of the lease.
    [[nodiscard]] std::error_code nack() noexcept {
        BELAY_PRECONDITION(is_leased(), "redis::Stream::nack: an operation must be leased");
        // Older than any lease, also that of other consumers.
        const std::error_code error = set_age(Options::longest);
        end_lease();
        return error == QueueErrc::lease_ended ? std::error_code{} : error;
    }
    /// Begins the lease anew, for work that takes longer.   Pre: something is leased.
    ///
    /// Errors: lease_ended: another consumer has it, or had it; those of Redis and the system.
    [[nodiscard]] std::error_code renew() noexcept {
        BELAY_PRECONDITION(is_leased(), "redis::Stream::renew: an operation must be leased");
        return set_age(Milliseconds{0});
    }
    /// Returns how often the leased operation was leased, this time included.   Pre: it is leased.
    ///
    /// The result is 1 unless a consumer gave it back, died with it, or was too slow.
    [[nodiscard]] std::uint64_t deliveries() const noexcept {
        BELAY_PRECONDITION(is_leased(), "redis::Stream::deliveries: an operation must be leased");
        return deliveries_;
    }

    /// Returns the number of operations that are not acknowledged, leased or not.
    ///
    /// The number comes from Redis and includes the operations of all producers. If Redis does not
    /// answer, the result is its last answer, but at least 1, because the queue may not be empty.
    /// In that case `front` reports the error.
    [[nodiscard]] std::size_t size() const noexcept {
        Reply reply;
        if (!connection_.call({"XLEN", stream_}, reply) && reply->type == REDIS_REPLY_INTEGER) {
            return size_ = static_cast<std::size_t>(reply->integer);
        }
        return size_ > 0 ? size_ : 1;
    }
    /// Returns no limit; the memory of the server is the limit.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

    /// Returns an error of the last call, with the words of Redis, and advice.
    ///
    /// Throws: std::bad_alloc.
    [[nodiscard]] Error explain(const std::error_code& code) const {
        const bool is_ours = code.category() == detail::queue_category();
        return {code, connection_.peer() + ", stream " + stream_,
                is_ours ? "" : connection_.last_words()};
    }

private:
    using Reply = detail::RedisReply;

    /// A number as a word of a command.
    class Number {
    public:
        explicit Number(Milliseconds value) noexcept
            : Number{static_cast<std::uint64_t>(value.count())} {}
        explicit Number(std::uint64_t value) noexcept
            : size_{static_cast<std::size_t>(
                  std::to_chars(digits_, digits_ + sizeof digits_, value).ptr - digits_)} {}
        operator std::string_view() const noexcept { return {digits_, size_}; }

    private:
        char digits_[20];
        std::size_t size_;
    };

    Stream() noexcept = default;

    [[nodiscard]] Error start(const Options& options) {
        connection_.use(options);
        stream_ = options.stream;
        group_ = options.group;
        consumer_ = options.consumer;
        lease_ = options.lease;
        record_bytes_max_ = options.record_bytes_max;
        Reply reply;
        std::error_code error = connection_.call({"XINFO", "GROUPS", stream_}, reply);
        const bool is_new = error && detail::reply_text(reply.get()) == "ERR no such key";
        if (error && !is_new) return explain(error);
        bool has_group = false;
        for (std::size_t i = 0; detail::reply_at(reply.get(), i) != nullptr; ++i) {
            const std::string_view name =
                detail::reply_text(detail::reply_at(detail::reply_at(reply.get(), i), 1));
            has_group = has_group || name == group_;
            if (name == group_) continue;
            Error other = explain(make_error_code(Errc::other_group));
            other.what = "the group ";
            other.what += name;
            return other;
        }
        // A server without memory creates no group, but serves an existing one. From 0: includes
        // entries that were pushed before there was a group.
        if (!has_group) {
            error = connection_.call({"XGROUP", "CREATE", stream_, group_, "0", "MKSTREAM"}, reply);
            if (error && !detail::reply_text(reply.get()).starts_with("BUSYGROUP "))
                return explain(error);
        }
        // It is better to find out now than with the first lease whether these commands are allowed
        // and exist.
        error = connection_.call(
            {"XAUTOCLAIM", stream_, group_, consumer_, never, "0-0", "COUNT", "1", "JUSTID"},
            reply);
        if (!error) error = call_remove("0-0", reply);
        return error ? explain(error) : Error{};
    }

    [[nodiscard]] static std::error_code bad_reply() noexcept {
        return make_error_code(Errc::bad_reply);
    }

    [[nodiscard]] bool is_leased() const noexcept { return id_[0] != '\0' && !is_taken_; }
    [[nodiscard]] std::string_view id() const noexcept { return id_; }
    [[nodiscard]] Result<BytesView> leased() const noexcept {
        if (!has_body_) return make_error_code(QueueErrc::bad_encoding);
        return BytesView{front_};
    }
    [[nodiscard]] Result<BytesView> take_lease(const redisReply* id, long long times,
                                               const redisReply* body) {
        const std::string_view text = detail::reply_text(id);
        if (text.empty() || text.size() >= sizeof id_) return bad_reply();
        const BytesView bytes = as_bytes(detail::reply_text(body));
        front_.assign(bytes.begin(), bytes.end());
        has_body_ = body != nullptr;
        deliveries_ = static_cast<std::uint64_t>(times);
        // Last: if something above threw, the entry is leased to this consumer, and found by the
        // next call.
        id_[text.copy(id_, sizeof id_ - 1)] = '\0';
        return leased();
    }
    void end_lease() noexcept {
        id_[0] = '\0';
        maybe_removed_ = false;
        is_taken_ = false;
    }
    [[nodiscard]] std::error_code call_remove(std::string_view id, Reply& reply) noexcept {
        const std::error_code error = connection_.call(
            {"EVAL", detail::redis_remove, "1", stream_, group_, consumer_, id}, reply);
        return !error && reply->type != REDIS_REPLY_INTEGER ? bad_reply() : error;
    }
    [[nodiscard]] std::error_code remove() noexcept {
        Reply reply;
        if (const std::error_code error = call_remove(id(), reply)) {
            maybe_removed_ = maybe_removed_ || error == Errc::connection_lost ||
                             error == Errc::no_answer || error == Errc::bad_reply ||
                             error == Errc::reply_too_long;
            return error;
        }
        const bool removed = reply->integer != 0 || maybe_removed_;
        end_lease();
        return removed ? std::error_code{} : make_error_code(QueueErrc::lease_ended);
    }
    [[nodiscard]] std::error_code set_age(Milliseconds age) noexcept {
        Reply reply;
        const std::error_code error =
            connection_.call({"EVAL", detail::redis_age, "1", stream_, group_, consumer_, id(),
                              Number{age}, Number{deliveries_}},
                             reply);
        if (error) return error;
        if (reply->type != REDIS_REPLY_INTEGER) return bad_reply();
        return reply->integer != 0 ? std::error_code{} : make_error_code(QueueErrc::lease_ended);
    }

    /// More milliseconds than any lease.
    static constexpr std::string_view never = "9000000000000";

    // Mutable, because the command of size() does not change the queue.
    mutable detail::RedisConnection connection_;
    mutable std::size_t size_ = 0;
    std::string stream_;
    std::string group_;
    std::string consumer_;
    Milliseconds lease_{};
    std::size_t record_bytes_max_ = 0;
    Bytes front_;
    std::uint64_t deliveries_ = 0;
    // At most two numbers of 20 digits and a dash; empty: nothing is leased.
    char id_[48] = "";
    bool has_body_ = false;
    bool maybe_removed_ = false;
    // Taken by try_pop, and perhaps not removed yet.
    bool is_taken_ = false;
};

}}}  // namespace belay::redis
