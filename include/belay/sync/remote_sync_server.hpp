// SPDX-License-Identifier: MIT
/// \file belay/sync/remote_sync_server.hpp
/// RemoteSyncServer: the server of a Replica, over a network.
#pragma once

#include <chrono>         // std::chrono::seconds
#include <concepts>       // std::same_as
#include <cstdint>        // std::uint32_t, std::uint64_t
#include <optional>       // std::optional
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::move
#include <vector>         // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/sync/detail/sync_message_codec.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Runs a loop until `done()`, for at most `limit`.
///
/// Returns: whether `done()` is true. It is false if the loop was stopped; then it is stopped again
///          for its next run, because the stop was not for this one.
template <class Loop, class Done>
[[nodiscard]] bool wait_in_loop(Loop& loop, Duration limit, Done done) {
    const Instant end = after(loop.now(), limit);
    if (loop.run_until(done, limit)) return true;
    if constexpr (requires { loop.stop(); }) {
        if (loop.now() < end) loop.stop();
    }
    return false;
}
/// Does so for a question, which has a deadline of its own, after `within`.
template <class Loop, class Done>
[[nodiscard]] bool wait_for_exchange(Loop& loop, Duration within, Done done) {
    // More than the deadline needs: a loop that does not run the question must not wait for ever.
    return wait_in_loop(
        loop, part::saturating_add(larger(within, Duration::zero()), std::chrono::seconds{5}),
        std::move(done));
}

template <class E>
concept ExchangesMessages = requires(E& exchange, Bytes question, Duration within) {
    { exchange(std::move(question), within) } -> std::same_as<Result<Bytes>>;
};

}  // namespace detail

namespace part {

/// The session and the limits of a RemoteSyncServer.
struct RemoteSyncServerOptions {
    /// The session that the replica edits.
    std::string session{};
    /// The maximum time for the answer to one question.
    Duration within = std::chrono::seconds{10};
    /// The maximum length of a question. A longer batch is sent in several questions. An operation
    /// that alone is longer fails with too_large, and is kept by the replica.
    std::size_t question_bytes = std::size_t{512} << 10U;
};

/// Sends the questions of a Replica to a ReplicaServer, and waits for each answer.
///
///     part::RemoteSyncServer server{part::LinkExchange{requests, loop}, NoteCodec{},
///                                   {.session = "notes"}};
///     auto report = replica.sync(server);
///
/// `exchange` is a LinkExchange, a HttpExchange, or a function of yours:
/// `Result<Bytes> exchange(Bytes question, Duration within)`. It waits for the answer. It may send
/// a question twice. An error means that the outcome is unknown. An answer has the id of its
/// question; with another one, such as that of an earlier question, it is not taken.
///
/// Models:        SyncServerLike. A result has no `duration`, `timestamp` and `retry_attempts`.
/// Thread safety: one thread at a time, that of the replica.   Blocks: for the exchange.
template <CodecLike Codec, class Exchange>
class RemoteSyncServer {
    static_assert(detail::ExchangesMessages<Exchange>,
                  "RemoteSyncServer: the exchange needs 'belay::Result<belay::Bytes> "
                  "operator()(belay::Bytes question, belay::Duration within)'; see "
                  "docs/how-to/replica-over-a-network.md");

public:
    using value_type = detail::DecodedBy<Codec>;
    using operation_type = Operation<value_type>;

    /// Pre: options.within and options.question_bytes are > 0, and options.session has a name.
    RemoteSyncServer(Exchange exchange, Codec codec, RemoteSyncServerOptions options)
        : exchange_{std::move(exchange)},
          messages_{std::move(codec)},
          options_{std::move(options)} {
        BELAY_OPTION(options_.within > Duration{} && options_.question_bytes > 0,
                     "RemoteSyncServer: within and question_bytes must be > 0");
        BELAY_OPTION(!options_.session.empty(), "RemoteSyncServer: session must not be empty");
    }

    /// Applies operations on the server.
    ///
    /// If a later question of the batch gets no answer, its operations are in failed_operations, as
    /// retryable.
    /// Errors: those of the exchange and of the server; store_disagrees: the answer is not one of a
    ///         ReplicaServer with this codec.
    [[nodiscard]] Result<SyncResult<operation_type>> send(std::span<const operation_type> batch) {
        SyncResult<operation_type> made;
        Waiting waiting;
        for (std::size_t next = 0; next < batch.size();) {
            std::vector<std::size_t> sent;
            std::vector<std::size_t> unsent;  // the last failures of `made`
            Bytes question = ask(batch, next, sent, unsent, waiting, made);
            if (sent.empty()) continue;
            auto outcomes = exchange(std::move(question), sent.size());
            if (!outcomes) {
                if (made.synced_count + made.conflicts.size() + made.failed_operations.size() == 0)
                    return outcomes.error();
                for (const std::size_t i : sent) fail(made, batch[i], outcomes.error(), true);
                for (; next < batch.size(); ++next) {
                    fail(made, batch[next], outcomes.error(), true);
                }
                break;
            }
            if (outcomes->decided < sent.size()) next = sent[outcomes->decided];
            // The next question is about them, too.
            for (; !unsent.empty() && unsent.back() >= next; unsent.pop_back()) {
                made.failed_operations.pop_back();
            }
            note(std::move(*outcomes), batch, sent, waiting, made);
        }
        made.conflict_count = made.conflicts.size();
        made.failed_count = made.failed_operations.size();
        made.success = made.failed_count == 0;
        return made;
    }
    /// Returns the next changes.   Errors: as send.
    [[nodiscard]] Result<ChangesPage<value_type>> changes(const StoreCursor& since) {
        const auto answer = answer_to(Messages::ask_changes(options_.session, since));
        if (!answer) return answer.error();
        std::error_code error;
        auto page = messages_.read_page(*answer, error);
        if (!page) return SyncErrc::store_disagrees;
        if (error) return error;
        return std::move(*page);
    }

private:
    using Messages = detail::SyncMessageCodec<Codec>;
    using Outcomes = typename Messages::Outcomes;
    using Made = SyncResult<operation_type>;
    using Waiting = std::unordered_set<std::string_view>;  // elements, whose later edits must wait

    static void fail(Made& made, const operation_type& op, const std::error_code& why,
                     bool retryable) {
        made.failed_operations.push_back({op, why, retryable});
    }

    /// Makes the next question, of operations from `next` on. Those that are in none have failed.
    [[nodiscard]] Bytes ask(std::span<const operation_type> batch, std::size_t& next,
                            std::vector<std::size_t>& sent, std::vector<std::size_t>& unsent,
                            const Waiting& waiting, Made& made) {
        Bytes question = Messages::begin_batch(options_.session);
        for (; next < batch.size(); ++next) {
            const operation_type& op = batch[next];
            const bool waits =
                op.kind() != OperationKind::interaction && waiting.count(op.element()) != 0;
            const std::error_code error =
                waits ? make_error_code(SyncErrc::held_back)
                      : messages_.add(question, op, options_.question_bytes);
            if (!error) {
                sent.push_back(next);
            } else if (error == QueueErrc::too_large && !sent.empty()) {
                break;
            } else {
                fail(made, op, error, waits);
                unsent.push_back(next);
            }
        }
        return question;
    }
    /// An exchange may return a late answer to an earlier question. The id of a question
    /// is made of its contents, so an answer with this id is one to the same question.
    [[nodiscard]] Result<Bytes> answer_to(Bytes question) {
        const std::uint64_t id = detail::hash_bytes(question, 0);
        SyncMessages::put_id(question, id);
        Result<Bytes> answer = exchange_(std::move(question), options_.within);
        if (!answer) return answer;
        const bool same = detail::SyncHeader::kind_of(*answer).has_value() &&
                          detail::SyncHeader::id_of(*answer) == id;
        if (!same) return make_error_code(SyncErrc::store_disagrees);
        return answer;
    }
    [[nodiscard]] Result<Outcomes> exchange(Bytes question, std::size_t count) {
        const auto answer = answer_to(std::move(question));
        if (!answer) return answer.error();
        std::error_code error;
        auto outcomes = messages_.read_outcomes(*answer, count, error);
        if (!outcomes) return make_error_code(SyncErrc::store_disagrees);
        if (error) return error;
        return std::move(*outcomes);
    }
    static void note(Outcomes&& all, std::span<const operation_type> batch,
                     std::span<const std::size_t> sent, Waiting& waiting, Made& made) {
        const auto add = [&](auto& indexed, auto& list) {
            for (auto& [index, one] : indexed) {
                one.operation = batch[sent[index]];
                list.push_back(std::move(one));
            }
        };
        for (const auto& [index, one] : all.failed) {
            const operation_type& op = batch[sent[index]];
            if (one.retryable && op.kind() != OperationKind::interaction) {
                waiting.insert(op.element());
            }
        }
        add(all.failed, made.failed_operations);
        add(all.conflicts, made.conflicts);
        add(all.overwrote, made.overwrote);
        // A wrong answer has more failures than operations; the sum must not wrap.
        const std::size_t lost = all.failed.size() + all.conflicts.size();
        if (lost <= all.decided) made.synced_count += all.decided - lost;
    }

    Exchange exchange_;
    Messages messages_;
    RemoteSyncServerOptions options_;
};

}  // namespace part

}}  // namespace belay
