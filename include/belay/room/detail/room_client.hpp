// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_client.hpp
/// RoomClient and ClientConnection: a client of a room and its connection, for any transport.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque, std::erase_if
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/intrusive.hpp>
#include <belay/core/order.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/event.hpp>
#include <belay/room/access.hpp>
#include <belay/room/detail/client_core.hpp>
#include <belay/room/detail/client_outbox.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/detail/reply_chunker.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct RoomFrame;
struct ClientConnection;
struct RoomClient;

/// The options and the counter of unsent answer bytes that all clients of a manager share.
struct SharedLimits {
    const RoomOptions& options;
    std::size_t& answers;
};

/// The calls that depend on a client's transport and protocol.
struct RoomClientOps {
    /// Opens the transport, which answers the upgrade: also of a rejected client.
    void (*open)(RoomClient&);
    void (*close)(RoomClient&, const std::error_code& why) noexcept;
    void (*abort)(RoomClient&) noexcept;
    Bytes (*write)(const RoomClient&, const part::RoomMessage&);
    std::vector<Bytes> (*split)(const RoomClient&, BytesView update, std::size_t bytes_max);
    bool (*disjoint)(const RoomClient&, BytesView, BytesView);
    /// Destroys the client: at once, or when its turn is over.
    void (*end)(RoomClient&) noexcept;
};

/// A frame that several outboxes share.
struct RoomFrame : Counted {
    explicit RoomFrame(Bytes b) noexcept : bytes{std::move(b)} {}
    const Bytes bytes;
};

/// The part of RoomOptions::client_bytes_max that may wait in the transport.
[[nodiscard]] constexpr std::size_t connection_bytes_max(std::size_t client_bytes_max) noexcept {
    return client_bytes_max / 2;
}

/// The frames that wait to be sent on one connection.
class ConnectionOutbox {
public:
    /// `answers_of_all` is the sum over all clients.
    explicit ConnectionOutbox(std::size_t& answers_of_all) noexcept : all_{&answers_of_all} {}
    ConnectionOutbox(const ConnectionOutbox&) = delete;
    ConnectionOutbox& operator=(const ConnectionOutbox&) = delete;
    ~ConnectionOutbox() { clear(); }

    struct Waiting {
        Ref<RoomFrame> address;  ///< precedes the frame; null: none
        Ref<RoomFrame> frame;
        std::uint64_t client;  ///< the client of the frame; 0: the connection
        bool counts;           ///< an update of the room; else an answer

        [[nodiscard]] std::size_t size() const noexcept { return frame->bytes.size(); }
    };

    void push(Waiting frame) {
        (frame.counts ? counted_ : answers_) += frame.size();
        if (!frame.counts) *all_ += frame.size();
        own_ += frame.client == 0 ? 1 : 0;
        frames_.push_back(std::move(frame));
    }
    void pop() noexcept {
        forget(frames_.front());
        frames_.pop_front();
    }
    /// Removes the frames of one client.   Complexity: O(n).
    void drop(std::uint64_t client) noexcept {
        std::erase_if(frames_, [&](const Waiting& frame) {
            if (frame.client == client) forget(frame);
            return frame.client == client;
        });
    }
    void clear() noexcept {
        frames_.clear();
        *all_ -= answers_;
        counted_ = answers_ = own_ = 0;
    }
    [[nodiscard]] const Waiting& front() const noexcept { return frames_.front(); }
    [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
    [[nodiscard]] std::size_t counted() const noexcept { return counted_; }
    [[nodiscard]] std::size_t answers() const noexcept { return answers_; }
    /// Returns the number of frames that belong to no client.
    [[nodiscard]] std::size_t own() const noexcept { return own_; }

private:
    void forget(const Waiting& frame) noexcept {
        (frame.counts ? counted_ : answers_) -= frame.size();
        if (!frame.counts) *all_ -= frame.size();
        own_ -= frame.client == 0 ? 1 : 0;
    }

    std::size_t* all_;
    std::deque<Waiting> frames_;
    std::size_t counted_ = 0;
    std::size_t answers_ = 0;
    std::size_t own_ = 0;
};

/// Sends a frame on a connection, after its address if there is one.
using RoomSend = SendResult (*)(ClientConnection&, const RoomFrame* address, const Bytes&);

struct MultiplexedBase;

/// A connection and its outbox. It has one client, or several if it is multiplexed.
///
/// Thread safety: the manager's home thread.
struct ClientConnection {
    ClientConnection(RoomSend how, const HeartbeatOptions& beat, std::size_t& answers)
        : send{how}, output{answers}, pulse{beat}, keepalive{beat.every} {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    /// Something was sent: the next keepalive is a full interval away.
    void note_sent(Instant now) noexcept { keepalive_at = after(now, keepalive); }
    [[nodiscard]] Instant timers() const noexcept {
        return smaller(smaller(output_ends, keepalive_at), pulse.deadline());
    }
    /// Ends all timers, and drops the outbox.
    void stop_waiting() noexcept {
        output_ends = keepalive_at = never;
        pulse.rest();
        answer.reset();
        output.clear();
    }

    RoomSend send;
    ConnectionOutbox output;
    std::unique_ptr<ReplyChunker> answer{};  ///< the chunked answer to `answering`, one at a time
    RoomClient* answering = nullptr;
    Instant answers_from = never;  ///< since when an answer waits to be sent
    std::vector<RoomClient*> clients{};
    MultiplexedBase* multiplexed = nullptr;  ///< this connection, if it is multiplexed
    Waker* wake = nullptr;
    Pulse pulse;
    Duration keepalive;
    Instant output_ends = never;   ///< the output must be accepted by then
    Instant keepalive_at = never;  ///< the next keepalive
    Instant read_at = always;      ///< nothing is read before, because of its rate
    Instant looked_at = always;    ///< when arrivals were last checked
    Instant paid_until = always;   ///< the time that its frames cost, by its rate
};

/// The part of a MultiplexedConnection that depends on no transport and protocol.
struct MultiplexedBase {
    struct Ops {
        void (*open)(MultiplexedBase&);
        void (*close)(MultiplexedBase&, const std::error_code& why) noexcept;
        void (*end)(MultiplexedBase&) noexcept;
    };

    MultiplexedBase(const Ops& o, RoomSend how, std::uint64_t number, RoomRequest r,
                    const SharedLimits& shared)
        : io{how, shared.options.heartbeat, shared.answers},
          ops{&o},
          id{number},
          request{std::move(r)},
          core{shared.options} {
        io.multiplexed = this;
        io.wake = &waker;
    }

    ClientConnection io;  ///< its clients, its outbox, its rate and its heartbeat
    const Ops* ops;
    const std::uint64_t id;
    RoomRequest request;  ///< the request of the upgrade; its user has all clients
    Waker waker{};
    ConnectionCore core;
    std::optional<std::error_code> close_reason{};  ///< sent when the transport is open
    Instant try_at = always;                        ///< the next try to send, while nothing is read
    Instant look_at = always;    ///< the next check for its end, while nothing is read
    std::size_t checking = 0;    ///< the number of clients that wait for a check or a load
    std::size_t held_bytes = 0;  ///< the bytes of held frames and held state vectors
    bool empty = false;          ///< counted as an empty connection by RoomAdmission
    bool waits = false;          ///< counted as waiting by RoomAdmission
    bool pings = false;          ///< the client answers pings
    bool peer_ended = false;     ///< the end arrived, after frames that are not read yet
    bool reaped = false;
};

struct RoomBase;

/// The queue in which a client waits for its share of the reply budget.
enum class ReplyQueue : std::uint8_t {
    none,
    whole,   ///< answers that are sent at once
    chunked  ///< answers that are cut as they are sent (ReplyChunker)
};

/// One client: one attachment of one user to one room.
///
/// Thread safety: the manager's home thread.
struct RoomClient {
    RoomClient(const RoomClientOps& o, ClientConnection& c, std::uint64_t number, RoomRequest r,
               ClientCore life)
        : ops{&o}, connection{&c}, id{number}, request{std::move(r)}, core{life} {}
    RoomClient(const RoomClient&) = delete;
    RoomClient& operator=(const RoomClient&) = delete;

    [[nodiscard]] bool may_edit() const noexcept { return grant.access == Access::edit; }
    /// Returns the id that `accept` returned: its own, or that of its connection.
    [[nodiscard]] std::uint64_t accepted_id() const noexcept {
        return connection->multiplexed != nullptr ? connection->multiplexed->id : id;
    }
    [[nodiscard]] bool is(std::uint64_t other) const noexcept {
        return other == id || other == accepted_id();
    }
    [[nodiscard]] Instant timers() const noexcept {
        return smaller(core.deadline(), outbox.retry_at);
    }
    /// Ends the timers of its output, and drops it.
    void stop_waiting() noexcept {
        outbox.retry_at = never;
        if (connection->multiplexed == nullptr) connection->stop_waiting();
        drop_output();
    }
    /// Drops everything that waits to be sent to it.
    void drop_output() noexcept {
        if (connection->answering == this) connection->answer.reset();
        connection->output.drop(id);
        outbox.lag_from.reset();
        outbox.awareness_from.reset();
        static_cast<void>(take_question());
        outbox.statuses = 0;
    }

    /// Keeps a state vector, to be answered later. Its bytes count as held if the connection is
    /// multiplexed.
    void hold_question(BytesView theirs) {
        static_cast<void>(take_question());
        outbox.question.emplace(theirs.begin(), theirs.end());
        hold(outbox.question->size());
    }
    /// Returns the held state vector, if there is one.
    [[nodiscard]] std::optional<Bytes> take_question() noexcept {
        if (outbox.question) hold(0 - outbox.question->size());
        return std::exchange(outbox.question, std::nullopt);
    }

    /// Updates the number of clients of its connection that wait for a check or a load.
    void update_checking() noexcept {
        MultiplexedBase* const shared = connection->multiplexed;
        if (shared == nullptr) return;
        const bool counts = core.takes_check();
        if (std::exchange(checking, counts) == counts) return;
        shared->checking = counts ? shared->checking + 1 : shared->checking - 1;
        shared->waker.touch();
    }

    const RoomClientOps* ops;
    ClientConnection* connection;
    const std::uint64_t id;
    RoomRequest request;
    Ref<RoomFrame> address{};  ///< precedes its frames; null: none; empty: nothing is sent
    Grant grant{};
    driver::Question<Grant> check;
    Waker waker{};
    RoomBase* room = nullptr;
    ClientCore core;
    ReplyQueue queue = ReplyQueue::none;
    bool reaped = false;
    bool checking = false;                          ///< counted in `checking` of its connection
    std::optional<std::error_code> close_reason{};  ///< sent when the transport is open
    ClientOutbox outbox{};

private:
    void hold(std::size_t bytes) noexcept {
        if (connection->multiplexed == nullptr) return;
        connection->multiplexed->held_bytes += bytes;
        connection->multiplexed->waker.touch();
    }
};

}}}  // namespace belay::detail
