// SPDX-License-Identifier: MIT
/// \file belay/room/detail/reply_budget.hpp
/// ReplyBudget: limits the memory for answers to state vectors, and queues clients for it.
#pragma once

#include <algorithm>     // std::sort
#include <array>         // std::array
#include <chrono>        // std::chrono::seconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque
#include <system_error>  // std::error_code
#include <utility>       // std::exchange
#include <vector>        // std::vector

#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Shares `answers_bytes_max` among all clients. A client whose answer exceeds the remaining budget
/// is queued. An answer keeps its share while no other client needs it. For the first client of the
/// queue, clients whose answers take longer than `heartbeat.dead_after` are closed: they dial
/// again, and continue from what they have.
///
/// Answers that are sent in pieces have a queue and a budget of their own. So a client that joins a
/// small document does not wait for them.
///
/// Thread safety: the manager's home thread.
class ReplyBudget {
public:
    ReplyBudget(const ClientTable& clients, TurnContext& context) noexcept
        : clients_{clients}, context_{context} {}
    ReplyBudget(const ReplyBudget&) = delete;
    ReplyBudget& operator=(const ReplyBudget&) = delete;

    /// Begins an answer of so many bytes, or queues its client. It may close clients whose answers
    /// are overdue.   Returns: whether the answer begins now.
    ///
    /// Pre: its client has no answer under way.   Complexity: O(1); above the budget
    /// O(clients), once a second and for each client that is closed.
    [[nodiscard]] bool try_begin(RoomClient& client, std::size_t bytes, ReplyQueue which) {
        // The user's own answers must end first. In the queue, this client would delay other users.
        if (which == ReplyQueue::chunked && !fits_user(client, bytes)) {
            client.backlog.queue = ReplyQueue::none;
            return false;
        }
        std::deque<std::uint64_t>& queue = queues_[index(which)];
        while (!queue.empty() && !waits(queue.front(), client, which)) leave(queue, which);
        const bool first = queue.empty() || queue.front() == client.id;
        if (first && !fits(bytes, which)) free_space(bytes, which);
        if (first && fits(bytes, which)) {
            if (!queue.empty()) leave(queue, which);
            return true;
        }
        if (std::exchange(client.backlog.queue, which) != which) queue.push_back(client.id);
        return false;
    }

    /// Whether so many bytes may wait to be sent as an answer.
    [[nodiscard]] bool has_space(std::size_t bytes) const noexcept {
        return fits(bytes, ReplyQueue::whole);
    }
    /// Whether other clients precede it in its queue.
    [[nodiscard]] bool has_others_before(const RoomClient& client) const noexcept {
        if (client.backlog.queue == ReplyQueue::none) return false;
        const std::deque<std::uint64_t>& queue = queues_[index(client.backlog.queue)];
        return !queue.empty() && queue.front() != client.id;
    }

    std::size_t waiting = 0;  ///< bytes of answers that wait to be sent
    std::size_t uncut = 0;    ///< whole bytes of answers that are cut as they are sent

private:
    [[nodiscard]] static constexpr std::size_t index(ReplyQueue which) noexcept {
        return which == ReplyQueue::chunked ? 1 : 0;
    }
    [[nodiscard]] bool fits(std::size_t bytes, ReplyQueue which) const noexcept {
        const std::size_t held = which == ReplyQueue::chunked ? uncut : waiting;
        const std::size_t most = context_.options.answers_bytes_max;
        return held == 0 || (held <= most && bytes <= most - held);
    }
    [[nodiscard]] bool fits_user(const RoomClient& client, std::size_t bytes) const {
        const std::size_t own = client.rights.account->user.held.answer_bytes;
        return own == 0 || may_take({context_.options.answers_bytes_max, uncut}, own, bytes);
    }
    /// Whether that client could receive its answer now. A client that must first accept other
    /// output loses its place, because all others would wait for it.
    [[nodiscard]] bool waits(std::uint64_t id, const RoomClient& next, ReplyQueue which) const {
        const RoomClient* const client = clients_.find_client(id);
        if (client == nullptr || client->backlog.queue != which) return false;
        if (client == &next) return true;
        return client->core.joined() && client->backlog.state_vector &&
               client->backlog.retry_at != never && client->connection->output.empty() &&
               !client->connection->output.answer.chunks && client->room->core.live();
    }
    void leave(std::deque<std::uint64_t>& queue, ReplyQueue which) {
        RoomClient* const client = clients_.find_client(queue.front());
        if (client != nullptr && client->backlog.queue == which)
            client->backlog.queue = ReplyQueue::none;
        queue.pop_front();
    }
    /// Closes clients whose answers are overdue, the oldest first, and no more than necessary.
    void free_space(std::size_t bytes, ReplyQueue which) {
        Instant& look_at = look_at_[index(which)];
        if (look_at > context_.now) return;
        const auto due = [&](const RoomClient* client) {
            const ClientConnection& connection = *client->connection;
            const bool holds = which == ReplyQueue::chunked
                                   ? static_cast<bool>(connection.output.answer.chunks)
                                   : connection.output.answers() != 0;
            return holds ? after(connection.output.answer.since,
                                 context_.options.heartbeat.dead_after)
                         : never;
        };
        std::vector<const RoomClient*> clients;
        clients_.each_client([&](const RoomClient& client) {
            if (due(&client) <= context_.now) clients.push_back(&client);
        });
        std::sort(clients.begin(), clients.end(), [](const RoomClient* a, const RoomClient* b) {
            return a->connection->output.answer.since < b->connection->output.answer.since;
        });
        for (const RoomClient* const client : clients) {
            if (fits(bytes, which)) return;
            ClientConnection& connection = *client->connection;
            context_.fail_output(connection, {connection.id, make_error_code(RoomErrc::too_slow),
                                              "answers_bytes_max"});
        }
        // The search costs time.
        if (!fits(bytes, which)) look_at = after(context_.now, std::chrono::seconds{1});
    }

    const ClientTable& clients_;
    TurnContext& context_;
    std::array<std::deque<std::uint64_t>, 2> queues_{};
    std::array<Instant, 2> look_at_{always, always};
};

}}}  // namespace belay::detail
