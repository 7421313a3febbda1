// SPDX-License-Identifier: MIT
/// \file belay/adapter/redis_stream.hpp
/// redis::Stream: a queue for many machines, in a Redis stream. Needs hiredis.
#pragma once

#include <charconv>  // std::to_chars
#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/adapter/detail/redis_connection.hpp>
#include <belay/adapter/detail/redis_scripts.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Operations in a Redis stream: entries with one field, `body`, that are deleted when they are
/// acknowledged, and a consumer group. Any number of objects, threads, processes and machines push,
/// and any number take; what one has borrowed no other gets, until the lease is over.
///
/// - At least once: nothing that was pushed is lost by this queue, and what a consumer did not
///   acknowledge comes to another one after the lease, or at once to the next that is opened with
///   its name. What Redis loses is lost: see its `appendfsync`.
/// - One consumer gets everything in the order in which it was pushed, also after `nack` and when
///   it is opened again. Several take in that order too, but end when they end.
/// - A call that fails connects again the next time. None waits longer than the options say, and
///   none is repeated by itself.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe; each has a connection of its own. One object is for one
///                thread, `size` included. After fork, the child must not use or destroy it.
/// Blocks:        every call but `explain` and `capacity`, on the network.
/// Source:        Redis, "Streams" and "XAUTOCLAIM" in its documentation.
class Stream {
public:
    using value_type = Bytes;
    using Milliseconds = std::chrono::milliseconds;

    /// Connects, and makes the stream and its group where they are missing.
    ///
    /// Errors:     what, where, and what to do, see Error. A key that is no stream, and a
    ///             stream that another group reads, are refused, and stay what they are. That two
    ///             make groups of different names at the same moment is found by the next opening.
    /// Throws:     std::bad_alloc.   Complexity: O(groups of the stream).
    [[nodiscard]] static Result<Stream, Error> open(const Options& options) {
        if (const char* const wrong = detail::what_is_wrong(options); wrong != nullptr) {
            return Error{make_error_code(QueueErrc::bad_options), "a queue in Redis", wrong};
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
    /// Errors: too_large; those of Redis and the system. Nothing was taken then, unless Errc
    ///         says that this is unknown: pushed again, it may be there twice.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        Reply reply;
        const std::error_code error =
            connection_.call({"XADD", stream_, "*", "body", as_text(body)}, reply);
        if (!error && reply->type != REDIS_REPLY_STRING) return bad_reply();
        return error;
    }

    /// Takes the oldest operation; nothing if there is none, or if it could not be had or removed:
    /// then `front` says why, or it is lent still. One of which is unknown whether it was removed
    /// is taken: `front` or `try_pop` removes it before the next, and if neither is called any more
    /// it may come again.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (!front()) return std::nullopt;
        if (ack()) {
            if (!maybe_removed_) return std::nullopt;
            // If it was not handed out, it could be lost.
            is_taken_ = true;
        }
        return std::move(front_);
    }

    /// Borrows the oldest operation that nobody has, until `ack`, `nack`, or the end of the lease;
    /// the same one again as long as it is lent.
    ///
    /// Errors: queue_empty; bad_encoding for an entry without body, which is lent and can be
    ///         acknowledged; those of Redis and the system.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (is_taken_) {
            if (const std::error_code error = remove()) return error;
        }
        if (is_lent()) return lent();
        Reply reply;
        const std::error_code error = connection_.call(
            {"EVAL", detail::redis_lend, "1", stream_, group_, consumer_, Number{lease_}}, reply);
        if (error) return error;
        if (reply->type == REDIS_REPLY_NIL) return make_error_code(QueueErrc::queue_empty);
        const redisReply* const times = detail::reply_at(reply.get(), 1);
        if (times == nullptr || times->type != REDIS_REPLY_INTEGER) return bad_reply();
        return borrow(detail::reply_at(reply.get(), 0), times->integer,
                      detail::reply_at(reply.get(), 2));
    }
    /// As `front`, but waits until somebody pushes, at most for `timeout`, or a day. What others
    /// give back, or leave when they die, ends no wait: it is seen by the next call.
    ///
    /// Pre:    timeout > 0ms.
    /// Errors: those of `front`; queue_empty after the timeout.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front_wait(Milliseconds timeout) {
        BELAY_PRECONDITION(timeout.count() > 0, "redis::Stream::front_wait: timeout must be > 0ms");
        Result<BytesView> first = front();
        if (first || first.error() != QueueErrc::queue_empty) return first;
        if (timeout > detail::redis_longest) timeout = detail::redis_longest;
        Reply reply;
        const std::error_code error =
            connection_.call({"XREADGROUP", "GROUP", group_, consumer_, "COUNT", "1", "BLOCK",
                              Number{timeout}, "STREAMS", stream_, ">"},
                             reply, timeout);
        if (error) return error;
        if (reply->type == REDIS_REPLY_NIL) return first;
        // One stream, of which there is one entry: {id, {field, value, ...}}.
        const redisReply* const entry =
            detail::reply_at(detail::reply_at(detail::reply_at(reply.get(), 0), 1), 0);
        const redisReply* const fields = detail::reply_at(entry, 1);
        const redisReply* body = nullptr;
        for (std::size_t i = 0; body == nullptr && detail::reply_at(fields, i + 1) != nullptr;
             i += 2) {
            if (detail::reply_text(detail::reply_at(fields, i)) == "body")
                body = detail::reply_at(fields, i + 1);
        }
        return borrow(detail::reply_at(entry, 0), 1, body);
    }

    /// Removes what is lent: it took effect. Also after the end of the lease.   Pre: it is lent.
    ///
    /// Errors: lease_ended: it is gone already, another consumer had it too and was faster; the
    ///         loan has ended. Those of Redis and the system: it is lent still, call again.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(is_lent(), "redis::Stream::ack: something must be lent");
        return remove();
    }
    /// Gives what is lent back, as the first, to whoever asks next.   Pre: it is lent.
    ///
    /// Errors: those of Redis and the system. The loan has ended nevertheless; for others it ends
    ///         with the lease then.
    [[nodiscard]] std::error_code nack() noexcept {
        BELAY_PRECONDITION(is_lent(), "redis::Stream::nack: something must be lent");
        // Older than any lease, whatever that of others is.
        const std::error_code error = set_age(detail::redis_longest);
        end_loan();
        return error == QueueErrc::lease_ended ? std::error_code{} : error;
    }
    /// Begins the lease anew, for work that takes longer.   Pre: something is lent.
    ///
    /// Errors: lease_ended: another consumer has it, or had it; those of Redis and the system.
    [[nodiscard]] std::error_code renew() noexcept {
        BELAY_PRECONDITION(is_lent(), "redis::Stream::renew: something must be lent");
        return set_age(Milliseconds{0});
    }
    /// How often what is lent was lent, this time included: 1 unless somebody gave it back, or died
    /// or was too slow with it.   Pre: it is lent.
    [[nodiscard]] std::uint64_t deliveries() const noexcept {
        BELAY_PRECONDITION(is_lent(), "redis::Stream::deliveries: something must be lent");
        return deliveries_;
    }

    /// All that was pushed by whomever and is not acknowledged, lent or not. Asks Redis; if it does
    /// not answer, what it said the last time, but at least 1: then nobody knows that there is
    /// nothing, and `front` says what is wrong.
    [[nodiscard]] std::size_t size() const noexcept {
        Reply reply;
        if (!connection_.call({"XLEN", stream_}, reply) && reply->type == REDIS_REPLY_INTEGER) {
            return size_ = static_cast<std::size_t>(reply->integer);
        }
        return size_ > 0 ? size_ : 1;
    }
    /// The memory of the server is the limit.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

    /// An error of the last call, with Redis's own words, and advice.   Throws: std::bad_alloc.
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
        // A server without memory makes none, but lets take. From 0: also what was pushed before
        // there was a group.
        if (!has_group) {
            error = connection_.call({"XGROUP", "CREATE", stream_, group_, "0", "MKSTREAM"}, reply);
            if (error && !detail::reply_text(reply.get()).starts_with("BUSYGROUP "))
                return explain(error);
        }
        // Whether this may and can be used is better known now than with the first value lent.
        error = connection_.call(
            {"XAUTOCLAIM", stream_, group_, consumer_, never, "0-0", "COUNT", "1", "JUSTID"},
            reply);
        if (!error) error = call_remove("0-0", reply);
        return error ? explain(error) : Error{};
    }

    [[nodiscard]] static std::error_code bad_reply() noexcept {
        return make_error_code(Errc::bad_reply);
    }

    [[nodiscard]] bool is_lent() const noexcept { return id_[0] != '\0' && !is_taken_; }
    [[nodiscard]] std::string_view id() const noexcept { return id_; }
    [[nodiscard]] Result<BytesView> lent() const noexcept {
        if (!has_body_) return make_error_code(QueueErrc::bad_encoding);
        return BytesView{front_};
    }
    [[nodiscard]] Result<BytesView> borrow(const redisReply* id, long long times,
                                           const redisReply* body) {
        const std::string_view text = detail::reply_text(id);
        if (text.empty() || text.size() >= sizeof id_) return bad_reply();
        const BytesView bytes = as_bytes(detail::reply_text(body));
        front_.assign(bytes.begin(), bytes.end());
        has_body_ = body != nullptr;
        deliveries_ = static_cast<std::uint64_t>(times);
        // Last: what threw above is lent to this consumer, and found when asked again.
        id_[text.copy(id_, sizeof id_ - 1)] = '\0';
        return lent();
    }
    void end_loan() noexcept {
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
                             error == Errc::no_answer || error == Errc::bad_reply;
            return error;
        }
        const bool removed = reply->integer != 0 || maybe_removed_;
        end_loan();
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

    /// More milliseconds than anything is lent for.
    static constexpr std::string_view never = "9000000000000";

    // What size() asks changes nothing of the queue.
    mutable detail::RedisConnection connection_;
    mutable std::size_t size_ = 0;
    std::string stream_;
    std::string group_;
    std::string consumer_;
    Milliseconds lease_{};
    std::size_t record_bytes_max_ = 0;
    Bytes front_;
    std::uint64_t deliveries_ = 0;
    // Two numbers of 20 digits and a dash at most; empty: nothing is lent.
    char id_[48] = "";
    bool has_body_ = false;
    bool maybe_removed_ = false;
    // By try_pop, and perhaps not removed yet.
    bool is_taken_ = false;
};

}}}  // namespace belay::redis
