// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_delivery.hpp
/// RoomDelivery: sends updates, answers and awareness to clients, fast or slow.
#pragma once

#include <algorithm>     // std::equal, std::find, std::find_if, std::rotate, std::sort
#include <array>         // std::array
#include <chrono>        // std::chrono::seconds
#include <concepts>      // std::derived_from
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque
#include <map>           // std::map
#include <memory>        // std::make_unique
#include <optional>      // std::optional
#include <span>          // std::span
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/room/detail/account.hpp>
#include <belay/room/detail/client_table.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/yjs/detail/yjs_diff.hpp>
#include <belay/yjs/detail/yjs_split.hpp>
#include <belay/yjs/yjs_document.hpp>

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

/// Returns the state vector of a client that had `vector` and has received an update; none if that
/// is the same one. Only content that follows what the client had without a gap counts.
///
/// Pre: both were checked.   Complexity: O(n log m) for n structs and m clients.
[[nodiscard]] inline std::optional<Bytes> advanced_vector(BytesView vector, const Bytes& received) {
    const BytesView update{received};
    std::map<std::uint64_t, std::uint64_t> clocks;
    yjs::Lib0Reader in{vector};
    for (std::uint64_t left = in.varuint(); left != 0 && !in.failed(); --left) {
        const std::uint64_t client = in.varuint();
        clocks[client] = in.varuint();
    }
    yjs::detail::Sources sources{{&update, 1}};
    const auto error = yjs::detail::read_sources<false>(yjs::Limits::none(), sources);
    BELAY_INVARIANT(!in.failed() && !error, "advanced_vector: the bytes must have been checked");
    sources.sort_blocks();
    bool advances = false;
    for (yjs::detail::Block block : sources.blocks) {
        const auto found = clocks.find(block.client);
        std::uint64_t known = found == clocks.end() ? 0 : found->second;
        const std::uint64_t before = known;
        while (block.structs > 0) {
            const yjs::detail::Struct s = sources.take(block);
            if (s.kind() == yjs::detail::ref::skip || s.clock > known) break;
            if (s.clock_end() > known) known = s.clock_end();
        }
        if (known == before) continue;
        clocks[block.client] = known;
        advances = true;
    }
    if (!advances) return std::nullopt;
    Bytes out;
    yjs::append_varuint(out, clocks.size());
    for (const auto& [client, clock] : clocks) {
        yjs::append_varuint(out, client);
        yjs::append_varuint(out, clock);
    }
    return out;
}

/// Computes the difference between a document and a client, one part at a time. The client's state
/// vector is the only memory between two parts: the difference is computed again for the next one.
/// Clients of one room that lag from the same state share one computation: after a burst, those are
/// all of its readers.
///
/// Thread safety: the manager's home thread.
class LagDifference {
public:
    /// A part of a difference.
    struct Part {
        Bytes update;
        std::optional<Bytes> vector;  ///< the state vector after it; none: this is the last part
    };

    /// Returns the first part of what a client with the state vector `had` lacks. A part has at
    /// most `bytes_max` bytes, or one value that cannot be cut. Returns no part if no state vector
    /// could show how far the client is: only deletions are left, or content after a gap. A
    /// document that is not one of Yjs has no parts, only whole differences.
    ///
    /// Pre:    `bytes_max` is the same for all clients of a room.
    /// Errors: those of the document.
    template <class Document>
    [[nodiscard]] Result<std::optional<Part>> next(const void* room, Document& document,
                                                   BytesView had, std::size_t bytes_max) {
        if (room == room_ && std::equal(had.begin(), had.end(), from_.begin(), from_.end())) {
            work_ = kept_ ? kept_->update.size() / 8 : 0;
            return std::optional<Part>{kept_};
        }
        forget();
        work_ = document.bytes();
        auto diff = document.diff(had);
        if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
        Bytes missing = *std::move(diff);
        if (missing.size() <= bytes_max) {
            kept_ = Part{std::move(missing), std::nullopt};
        } else if constexpr (std::derived_from<Document, YjsDocument>) {
            auto first = yjs::detail::Splitter{missing, bytes_max}.next();
            auto vector = first ? advanced_vector(had, *first) : std::nullopt;
            if (vector) kept_ = Part{std::move(*first), std::move(vector)};
        }
        from_ = to_bytes(had);
        room_ = room;
        return std::optional<Part>{kept_};
    }
    /// Returns the bytes that the last call of `next` compared. For a part that was kept, an eighth
    /// of its bytes, which are copied only. It limits how many clients receive a part in one turn.
    [[nodiscard]] std::size_t work() const noexcept { return work_; }
    /// Drops the part that is kept for other clients.
    void forget() noexcept {
        room_ = nullptr;
        from_ = Bytes{};
        kept_.reset();
    }
    /// Drops it if it is of this room, because the document changes.
    void forget(const void* room) noexcept {
        if (room == room_) forget();
    }

private:
    const void* room_ = nullptr;
    Bytes from_{};                ///< the state vector that `kept_` follows
    std::optional<Part> kept_{};  ///< none: there is no part from there
    std::size_t work_ = 0;
};

/// The frames of one message: one for each protocol, written when its first client needs it.
///
/// Thread safety: the manager's home thread.
class MessageFrames {
public:
    [[nodiscard]] Ref<RoomFrame> of(RoomClient& client, const part::RoomMessage& message) {
        for (const Written& w : written_) {
            if (w.ops == client.connection->ops) return w.frame;
        }
        add(client, Ref<RoomFrame>::make(client.write(message)));
        return written_.back().frame;
    }
    /// Adds a frame for the clients of a protocol.
    void add(const RoomClient& client, Ref<RoomFrame> frame) {
        written_.push_back({client.connection->ops, std::move(frame)});
    }
    /// Begins to measure the time of the edit whose frames were written. It ends with the last
    /// reference to the last of them.
    void measure(TurnContext& context, Instant since) noexcept {
        if (since == never || written_.empty()) return;
        const Ref<RoomFrame>& first = written_.front().frame;
        first->time = {.counters = &context.counters, .now = &context.now, .since = since};
        for (std::size_t i = 1; i < written_.size(); ++i) written_[i].frame->first = first;
    }

private:
    struct Written {
        const ConnectionOps* ops;
        Ref<RoomFrame> frame;
    };
    std::vector<Written> written_;
};

/// Sends to clients; no client waits for another one. A slow client has a budget of updates, half
/// of it in its transport. Above it, the client lags: the room notes the client's state vector, and
/// sends the difference in parts, each one when the outbox is empty. Awareness never waits in an
/// outbox: the client receives the current states in pieces when its connection accepts them.
///
/// A connection that rejects a frame, or is too slow, has failed. Nothing more is sent on it, and
/// it is closed later in the turn (TurnContext::ended_clients).
///
/// Thread safety: the manager's home thread.
template <DocumentLike Document>
class RoomDelivery {
public:
    using Room = RoomState<Document>;
    using Kind = part::RoomMessage::Kind;

    RoomDelivery(TurnContext& context, const ClientTable& clients) noexcept
        : context_{context}, clients_{clients}, reply_budget_{clients, context} {}
    RoomDelivery(const RoomDelivery&) = delete;
    RoomDelivery& operator=(const RoomDelivery&) = delete;

    /// Returns what each new client refers to.
    [[nodiscard]] SharedLimits limits() noexcept {
        return {context_.options, reply_budget_.waiting};
    }

    /// Sends an update to all clients except one, before the document has it. A client that does
    /// not accept it lags, from the state of the document.
    void send_update(Room& room, BytesView update, const UpdateOrigin& origin) {
        MessageFrames frames;
        difference_.forget(&room);
        const part::RoomMessage message{Kind::update, update};
        const std::size_t most = waiting_max();
        if (update.size() > most) return send_long_update(room, update, origin, frames);
        std::optional<Bytes> before;
        Ref<RoomFrame> frame;
        const ConnectionOps* frame_of = nullptr;
        const std::span<RoomClient* const> clients = room.clients;
        for (std::size_t left = clients.size(); left-- != 0;) {
            RoomClient& client = *clients[left];
            if (!takes_updates(client, origin)) continue;
            if (std::exchange(frame_of, client.connection->ops) != client.connection->ops)
                frame = frames.of(client, message);
            if (try_send(client, frame->bytes)) continue;
            ConnectionOutbox& output = client.connection->output;
            if (output.counted() + frame->bytes.size() <= most) {
                output.push({client.address, frame, client.id, true});
                continue;
            }
            // The state vector costs as much as the document is large.
            if (!before) before = room.document.state_vector();
            client.backlog.lag_from = *before;
        }
        frames.measure(context_, origin.since);
    }
    /// Queues a room whose awareness may have changed. The room sends it at the end of the turn.
    void queue_awareness(RoomBase& room) {
        if (!room.evicted && room.awareness.queue()) aware_.push_back(&room);
    }
    [[nodiscard]] bool has_awareness() const noexcept { return !aware_.empty(); }
    /// Sends the changed awareness states of all queued rooms to their clients.
    void send_awareness() {
        for (RoomBase* const room : std::exchange(aware_, {})) {
            if (room->evicted) continue;
            // If a room throws, its clients miss that change: a state until its author repeats it,
            // a removal until they drop the state themselves.
            context_.errors.attempt([&] { send_awareness(static_cast<Room&>(*room)); });
        }
    }
    /// The document of a room is replaced, or the room is evicted.
    void forget(const RoomBase& room) { difference_.forget(&room); }
    /// All rooms that were evicted are destroyed now.   Complexity: O(queued rooms).
    void forget() {
        std::erase_if(aware_, [](const RoomBase* room) { return room->evicted; });
    }

    /// Sends a message to one client. With `counts`, it counts as an update of the room.
    void send_message(RoomClient& client, const part::RoomMessage& message, bool counts = false) {
        give(client, Ref<RoomFrame>::make(client.write(message)), counts);
    }
    /// Sends a frame that belongs to no document. A connection with too many of them is closed.
    void send_control(ClientConnection& connection, const Ref<RoomFrame>& address, Bytes frame) {
        if (connection.output.empty()) {
            const SendResult sent = send(connection, address.get(), frame);
            if (sent == SendResult::rejected) return fail(connection, RoomErrc::frame_too_large);
            if (sent != SendResult::busy) return connection.note_sent(frame.size(), context_.now);
            wait(connection);
        }
        if (connection.output.own() >= own_max) return fail(connection, RoomErrc::too_slow);
        connection.output.push({address, Ref<RoomFrame>::make(std::move(frame)), 0, false});
    }
    /// Acknowledges durable changes to their author, when its connection accepts the frames.
    void acknowledge(RoomClient& client, std::uint32_t changes) {
        client.backlog.statuses += changes;
        if (client.connection->output.empty()) send_statuses(client);
    }
    /// Acknowledges a durable change to its author.
    void acknowledge(const PendingUpdate& change) {
        RoomClient* const author =
            change.statuses != 0 ? clients_.find_client(change.author) : nullptr;
        if (author != nullptr && author->core.joined()) acknowledge(*author, change.statuses);
    }
    /// Sends a frame as it is to all clients of a room except one.
    void broadcast(const RoomBase& room, BytesView frame, std::uint64_t except) {
        const auto shared = Ref<RoomFrame>::make(to_bytes(frame));
        for (RoomClient* const client : room.clients) {
            if (client->core.joined() && !client->is(except)) send_raw(*client, shared);
        }
    }
    /// Sends a message to all clients of a room except one, if their frames have addresses.
    void broadcast(const RoomBase& room, const part::RoomMessage& message, std::uint64_t except) {
        MessageFrames frames;
        for (RoomClient* const client : room.clients) {
            if (!client->connection->has_addresses() || client->is(except)) continue;
            if (client->core.joined()) send_raw(*client, frames.of(*client, message));
        }
    }
    /// Sends all awareness states, when the connection accepts them.
    void send_all_awareness(RoomClient& client, bool also_empty) {
        client.backlog.awareness.from.emplace();
        if (client.connection->output.empty()) continue_awareness(client, also_empty);
    }

    /// The clocks of a room have risen. Sends all states to the clients that have returned,
    /// and to the others what raises their own clocks.
    void send_lifts(Room& room) {
        std::vector<std::uint64_t> ids;
        for (const RoomClient* const client : room.clients) ids.push_back(client->id);
        const std::vector<Bytes> own = room.awareness.states_of(ids, no_limit, true);
        for (std::size_t i = 0; i < own.size(); ++i) {
            RoomClient& client = *room.clients[i];
            if (client.core.draining()) continue;
            if (std::exchange(client.backlog.awareness.returned, false))
                send_all_awareness(client, false);
            else if (!own[i].empty())
                give_awareness(client,
                               Ref<RoomFrame>::make(client.write({Kind::awareness, own[i]})), {});
        }
    }

    /// Answers a state vector, now or later: pieces, of which the last is a state.
    /// Errors: the document's.
    [[nodiscard]] std::error_code answer(RoomClient& client, BytesView theirs) {
        if (may_answer(client)) return begin_answer(client, theirs, true);
        Room& room = static_cast<Room&>(*client.room);
        if (is_merged(room.document)) note_divergence(client, room, theirs);
        if constexpr (cuts_answers) {
            // Only a vector that can be answered is held: it is bounded by the document.
            if (const auto error = room.document.check_state_vector(theirs)) return error;
        }
        client.hold_state_vector(to_bytes(theirs));
        return {};
    }

    /// Requests the state of a client, by the state vector of its room: now, or when the room is
    /// loaded and there is space.
    void request_state(RoomClient& client) {
        client.backlog.requests_state = true;
        continue_request(client);
    }
    /// Sends the outbox of a connection, and then what its clients have missed.
    void catch_up(ClientConnection& connection) {
        while (!connection.output.empty()) {
            const ConnectionOutbox::Waiting& next = connection.output.front();
            const SendResult sent = send(connection, next.address.get(), next.frame->bytes);
            if (sent == SendResult::busy) return wait(connection);
            const std::size_t size = next.size();
            connection.output.pop();
            if (sent == SendResult::rejected) return fail(connection, RoomErrc::frame_too_large);
            connection.note_sent(size, context_.now);
            // A peer may have nothing to send, and a query waits behind its output.
            connection.alive.pulse.output_left(context_.now);
            note_taken(connection);
        }
        connection.output.pace.accept();
        continue_answer(connection);
        for (std::size_t left = connection.clients.size(); left != 0 && connection.output.empty();
             --left) {
            // The first client of this time is the last one of the next time.
            std::rotate(connection.clients.begin(), connection.clients.begin() + 1,
                        connection.clients.end());
            settle(*connection.clients.back());
        }
        connection.output.pace.pause(context_.now);
    }

private:
    static constexpr bool cuts_answers = std::derived_from<Document, YjsDocument>;

    /// Counts a client whose history is apart from that of its room.
    void note_divergence(RoomClient& client, Room& room, BytesView theirs) {
        if (!client.rights.may_edit() ||
            !client.connection->ops->disjoint(*client.connection, room.document.state_vector(),
                                              theirs))
            return;
        ++context_.counters.divergences;
        if (std::exchange(client.backlog.diverges, true)) return;
        context_.pending_events.push_back(RoomDivergence{room.id, client.rights.grant.user});
    }
    /// Whether the answer to a client's state vector may begin now. If not, it is tried again at
    /// `retry_at`.
    [[nodiscard]] bool may_answer(RoomClient& client) {
        const ClientConnection& connection = *client.connection;
        const std::size_t size = static_cast<Room&>(*client.room).document.bytes();
        const ReplyQueue queue = cuts_answers && size > ReplyChunker::part_bytes
                                     ? ReplyQueue::chunked
                                     : ReplyQueue::whole;
        if (const Instant ready = client.rights.account->user.rate.read_at; ready > context_.now) {
            // In the queue, it would delay other users.
            client.backlog.queue = ReplyQueue::none;
            retry_at(client, ready);
            return false;
        }
        const bool busy = connection.output.answer.chunks || connection.output.answers() != 0;
        const bool works = may_work();
        if (!busy && works && reply_budget_.try_begin(client, size, queue)) return true;
        const bool soon = !busy && !works && !reply_budget_.has_others_before(client);
        retry_at(client, after(context_.now, std::chrono::milliseconds{soon ? 1 : 50}));
        return false;
    }
    /// A state vector that has waited, and is not new, may have been compared already.
    [[nodiscard]] std::error_code begin_answer(RoomClient& client, BytesView theirs, bool is_new) {
        Room& room = static_cast<Room&>(*client.room);
        ClientConnection& connection = *client.connection;
        connection.output.answer.since = context_.now;
        // A merge costs time; of a merged document, the user pays for what is sent.
        const std::size_t merge = request_cost(room.document);
        if (is_new || !client.backlog.diverges) note_divergence(client, room, theirs);
        // The comparison costs time, even if little is sent.
        done_ += room.document.bytes();
        auto diff = room.document.diff(theirs);
        Bytes missing;
        if (diff.has_value()) missing = *std::move(diff);
        charge_user(client, cuts_answers ? larger(merge, pieces_cost(missing.size()))
                                         : answer_cost(room.document));
        if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
        if constexpr (cuts_answers) {
            if (missing.size() > ReplyChunker::part_bytes) {
                connection.output.answer.chunks = std::make_unique<ReplyChunker>(
                    std::move(missing), reply_budget_.uncut, client.rights.account);
                connection.output.answer.client = &client;
                continue_answer(connection);
                return {};
            }
        }
        send_pieces(client, missing, Kind::state, false);
        if (connection.has_addresses()) request_state(client);
        note_taken(connection);
        return {};
    }
    void charge_user(const RoomClient& client, std::size_t bytes) {
        client.rights.account->user.charge(bytes, context_.now, context_.options);
    }
    /// Sends the state vector of a room, if it is requested. One that is longer than a piece counts
    /// like an answer. It is charged, but never waits for the rate of the user: the client hands
    /// its offline edits over only after it.
    void continue_request(RoomClient& client) {
        if (!client.backlog.requests_state || !client.core.joined() || !client.room->core.live())
            return;
        Room& room = static_cast<Room&>(*client.room);
        if constexpr (cuts_answers) {
            constexpr std::size_t entry = 16;  // two numbers of 8 bytes
            const std::size_t most = entry * room.document.status().clients;
            if (most > piece_bytes(context_.options) && !reply_budget_.has_space(most))
                return retry_at(client, after(context_.now, std::chrono::milliseconds{50}));
        }
        client.backlog.requests_state = false;
        charge_user(client, request_cost(room.document));
        send_message(client, {Kind::state_vector, room.document.state_vector()});
    }
    [[nodiscard]] static bool takes_updates(const RoomClient& client, const UpdateOrigin& origin) {
        return !(client.is(origin.author) || client.core.draining() || client.backlog.lag_from);
    }
    /// The pieces of an update for the clients of one protocol.
    struct PiecesOf {
        const ConnectionOps* ops;
        std::vector<Ref<RoomFrame>> pieces;
    };
    /// Sends an update that is longer than what may wait. A client for which nothing waits receives
    /// it in pieces, which all clients of its protocol share until their connections accept them.
    /// Others lag.
    void send_long_update(Room& room, BytesView update, const UpdateOrigin& origin,
                          MessageFrames& frames) {
        std::optional<Bytes> before;
        std::vector<PiecesOf> written;
        for (std::size_t left = room.clients.size(); left-- != 0;) {
            RoomClient& client = *room.clients[left];
            if (!takes_updates(client, origin)) continue;
            if (client.connection->output.counted() != 0) {
                if (!before) before = room.document.state_vector();
                client.backlog.lag_from = *before;
                continue;
            }
            auto own = std::find_if(written.begin(), written.end(), [&](const PiecesOf& one) {
                return one.ops == client.connection->ops;
            });
            if (own == written.end())
                own = written.insert(
                    own, {client.connection->ops, write_pieces(client, update, frames)});
            for (const Ref<RoomFrame>& piece : own->pieces) give(client, piece, true);
        }
        frames.measure(context_, origin.since);
    }
    [[nodiscard]] std::vector<Bytes> pieces_of(const RoomClient& client, BytesView update) const {
        return client.connection->ops->split(*client.connection, update,
                                             piece_bytes(context_.options));
    }
    [[nodiscard]] std::vector<Ref<RoomFrame>> write_pieces(RoomClient& client, BytesView update,
                                                           MessageFrames& of_message) {
        std::vector<Ref<RoomFrame>> pieces;
        for (const Bytes& piece : pieces_of(client, update))
            pieces.push_back(Ref<RoomFrame>::make(client.write({Kind::update, piece})));
        // The last piece ends the time of the edit.
        if (!pieces.empty()) of_message.add(client, pieces.back());
        return pieces;
    }
    /// Sends a frame as it is. A client whose budget it exceeds is closed. A frame that is longer
    /// than the budget is accepted if the outbox is empty.
    void send_raw(RoomClient& client, const Ref<RoomFrame>& frame) {
        const ConnectionOutbox& output = client.connection->output;
        if (!output.empty() && output.counted() + frame->bytes.size() > waiting_max())
            return fail(client, RoomErrc::too_slow, "client_bytes_max");
        give(client, frame, true);
    }
    /// Sends the changed awareness states of a room to all its clients.
    void send_awareness(Room& room) {
        for (;;) {
            const AwarenessCursor before = room.awareness.sent();
            behind_.clear();
            const Bytes piece = room.awareness.take_changes(piece_bytes(context_.options), behind_);
            if (piece.empty()) break;
            const part::RoomMessage message{Kind::awareness, piece};
            MessageFrames frames;
            for (std::size_t left = room.clients.size(); left-- != 0;) {
                RoomClient& client = *room.clients[left];
                if (client.core.draining()) continue;
                if (std::find(behind_.begin(), behind_.end(), client.id) == behind_.end())
                    give_awareness(client, frames.of(client, message), before);
                else
                    continue_awareness_from(client, before);
            }
        }
    }
    /// The bytes of updates that may wait in the outbox; the transport has the rest of the budget.
    [[nodiscard]] std::size_t waiting_max() const noexcept {
        const std::size_t all = context_.options.client_bytes_max;
        return all - connection_bytes_max(all);
    }
    /// Whether this turn may do more work on answers.
    [[nodiscard]] bool may_work() noexcept {
        if (std::exchange(turn_, context_.now) != context_.now) done_ = 0;
        return done_ < ReplyChunker::part_bytes;
    }
    /// Cuts and sends the next parts, while the connection accepts them and the turn has budget.
    void continue_answer(ClientConnection& connection) {
        while (connection.output.answer.chunks && connection.output.empty()) {
            RoomClient& client = *connection.output.answer.client;
            if (!may_work()) return retry_soon(client);
            const Bytes part = connection.output.answer.chunks->next();
            done_ += part.size();
            const bool ends = !connection.output.answer.chunks->has_more();
            if (ends) connection.output.answer.chunks.reset();
            send_pieces(client, part, ends ? Kind::state : Kind::update, false);
            if (ends && connection.has_addresses()) request_state(client);
        }
        note_taken(connection);
    }
    static void note_taken(ClientConnection& connection) noexcept {
        if (!connection.output.answer.chunks && connection.output.answers() == 0)
            connection.output.answer.since = never;
    }
    void send_pieces(RoomClient& client, BytesView update, Kind last, bool counts) {
        const std::vector<Bytes> pieces = pieces_of(client, update);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const bool ends = i + 1 == pieces.size();
            send_message(client, {ends ? last : Kind::update, pieces[i]}, counts);
        }
        if (pieces.empty() && last == Kind::state) send_message(client, {last, {}}, counts);
    }
    /// Passes a frame to the connection.   Returns: whether it need not wait: the connection
    /// accepted it, or the client failed.
    [[nodiscard]] bool pass(RoomClient& client, const Bytes& frame) {
        const SendResult sent = send(client, frame);
        if (sent == SendResult::busy) {
            wait(*client.connection);
            return false;
        }
        if (sent == SendResult::rejected) {
            fail(client, RoomErrc::frame_too_large);
        } else {
            client.connection->note_sent(frame.size(), context_.now);
        }
        return true;
    }
    /// Does so if the outbox is empty; otherwise the frame waits.
    [[nodiscard]] bool try_send(RoomClient& client, const Bytes& frame) {
        return client.connection->output.empty() && pass(client, frame);
    }
    void give_awareness(RoomClient& client, const Ref<RoomFrame>& frame,
                        const AwarenessCursor& before) {
        if (!client.backlog.awareness.from && try_send(client, frame->bytes)) return;
        if (!client.backlog.awareness.from) client.backlog.awareness.from = before;
        ++context_.counters.awareness_dropped;
    }
    /// Sends a client the awareness after `before` in a message of its own.
    void continue_awareness_from(RoomClient& client, const AwarenessCursor& before) {
        if (!client.backlog.awareness.from) client.backlog.awareness.from = before;
        if (client.connection->output.empty()) continue_awareness(client, false);
    }
    /// Sends awareness in pieces, none of which waits in the outbox. The rest is sent later, with
    /// the states of that time.
    void continue_awareness(RoomClient& client, bool also_empty) {
        while (client.backlog.awareness.from) {
            AwarenessCursor walk = *client.backlog.awareness.from;
            Bytes piece =
                client.room->awareness.piece(walk, piece_bytes(context_.options), client.id);
            const bool ends = piece.empty();
            if (ends && also_empty) piece.push_back(std::byte{0});
            also_empty = false;
            if (!piece.empty()) {
                if (!pass(client, client.write({Kind::awareness, piece}))) return;
                if (client.connection->end.failed) return;
            }
            client.backlog.awareness.from = walk;
            if (ends) client.backlog.awareness.from.reset();
        }
    }
    [[nodiscard]] static SendResult send(ClientConnection& connection, const RoomFrame* address,
                                         const Bytes& frame) {
        if (connection.end.failed) return SendResult::down;
        return connection.ops->send(connection, address, frame);
    }
    [[nodiscard]] static SendResult send(RoomClient& client, const Bytes& frame) {
        return send(*client.connection, client.address.get(), frame);
    }
    void fail(const RoomClient& client, const std::error_code& why, std::string_view limit = {}) {
        context_.fail_output(*client.connection, {client.id, why, limit});
    }
    void fail(ClientConnection& connection, const std::error_code& why) {
        context_.fail_output(connection, {connection.id, why});
    }
    void give(RoomClient& client, const Ref<RoomFrame>& frame, bool counts) {
        if (try_send(client, frame->bytes)) return;
        client.connection->output.push({client.address, frame, client.id, counts});
    }
    void wait(ClientConnection& connection) noexcept {
        connection.output.pace.begin(context_.now, context_.options.heartbeat.dead_after);
        connection.waker.touch();
    }
    /// Sends what a client has missed, after its outbox is empty.
    void settle(RoomClient& client) {
        if (!client.core.joined()) return;
        send_statuses(client);
        if (client.backlog.lag_from && client.room->core.live()) resync(client);
        // A client with output comes back here later; nothing else continues an empty outbox.
        if (!client.connection->output.empty()) return;
        if (client.backlog.awareness.from)
            continue_awareness(client, client.backlog.awareness.from->until == 0);
        if (client.backlog.state_vector && client.room->core.live()) retry_answer(client);
        continue_request(client);
    }
    void send_statuses(RoomClient& client) {
        if (client.backlog.statuses == 0) return;
        const Bytes frame = client.write({Kind::stored, {}});
        for (; client.backlog.statuses != 0; --client.backlog.statuses) {
            if (!pass(client, frame) || client.connection->end.failed) return;
        }
    }
    /// Sends a client that lags the difference, in parts that fit into its budget, while its
    /// connection accepts them.
    void resync(RoomClient& client) {
        Room& room = static_cast<Room&>(*client.room);
        while (client.backlog.lag_from && client.connection->output.empty()) {
            if (!may_work()) return retry_soon(client);
            Bytes had = *std::exchange(client.backlog.lag_from, std::nullopt);
            // An answer that waits has all that it lacks.
            if (!client.backlog.state_vector) {
                if (const std::error_code e = send_difference(client, room, std::move(had)))
                    return fail(client, e);
            }
            if (client.connection->end.failed) return;
            if (!client.backlog.lag_from) ++context_.counters.resyncs;
        }
    }
    /// Sends one part of a difference. A difference that cannot be continued by a state vector
    /// becomes an answer, within the budget of all answers.
    [[nodiscard]] std::error_code send_difference(RoomClient& client, Room& room, Bytes had) {
        constexpr std::size_t least = 1024;
        const std::size_t cut = larger(smaller(waiting_max(), ReplyChunker::part_bytes), least);
        // A whole difference has no other limit than what may wait.
        const std::size_t most = cuts_answers ? cut : waiting_max();
        auto part = difference_.next(&room, room.document, had, most);
        done_ += difference_.work();
        if (!part.has_value()) return part.error();
        if (*part) {
            client.backlog.lag_from = std::move((*part)->vector);
            send_pieces(client, (*part)->update, Kind::update, true);
            return {};
        }
        client.hold_state_vector(std::move(had));
        return {};
    }
    void retry_soon(RoomClient& client) {
        retry_at(client, after(context_.now, std::chrono::milliseconds{1}));
    }
    static void retry_at(RoomClient& client, Instant time) noexcept {
        client.backlog.retry_at = smaller(client.backlog.retry_at, time);
        // This may be the turn of its connection, not its own.
        client.waker.touch();
    }
    void retry_answer(RoomClient& client) {
        if (!may_answer(client)) return;
        const Bytes theirs = *client.take_state_vector();
        if (const std::error_code e = begin_answer(client, theirs, false)) fail(client, e);
    }

    /// The most frames of a connection that may wait; more are an abuse.
    static constexpr std::size_t own_max = 256;

    TurnContext& context_;
    const ClientTable& clients_;
    ReplyBudget reply_budget_;
    LagDifference difference_{};
    Instant turn_ = always;
    std::size_t done_ = 0;               ///< bytes that were compared and cut in this turn
    std::vector<std::uint64_t> behind_;  ///< of one piece of awareness
    std::vector<RoomBase*> aware_{};     ///< the rooms whose awareness has changed
};

}}}  // namespace belay::detail
