// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_connection.hpp
/// ClientConnection: a connection of one client, or of several, for any transport and protocol.
/// ConnectionOutbox, OutputPace: what waits to be sent on it, and how fast it is accepted.
#pragma once

#include <chrono>        // std::chrono::milliseconds, std::chrono::seconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <list>          // std::erase_if, std::list
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <span>          // std::span
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/account.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_stats.hpp>
#include <belay/yjs/detail/yjs_split.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

class ChannelTable;
struct ClientConnection;
struct RoomChannel;
struct RoomClient;

/// How fast a connection accepts the output that waits for it.
///
/// Only the time counts in which something waits: without output, no connection is slow. It is too
/// slow if it accepts nothing for RoomOptions::heartbeat.dead_after. A window of the time in which
/// something waits ends after dead_after, too. The connection is too slow if it accepted less than
/// `bytes_per_second_min` in it. A window whose end is noticed a second late is not judged.
/// After a second without output a new window begins.
///
/// Usable in constant expressions.   Thread safety: a plain value.
class OutputPace {
public:
    /// A modem of 9,600 bit/s accepts twice as much. A client that accepts less holds its place
    /// rather than reads.
    static constexpr std::size_t bytes_per_second_min = 512;

    /// Something waits from now on, unless it does so already.
    constexpr void begin(Instant now, Duration window) noexcept {
        if (after(now, window) < stall_ends_) stall_ends_ = after(now, window);
        if (since_ != never) return;
        if (elapsed(idle_since_, now) >= std::chrono::seconds{1}) clear();
        since_ = now;
        ends_ = after(now, larger(Duration{}, window - waited_));
    }
    /// Output was sent, as far as the connection accepts it. Ends the wait if it accepted all.
    constexpr void pause(Instant now) noexcept {
        if (since_ == never || stall_ends_ != never) return;
        waited_ += elapsed(since_, now);
        since_ = never;
        // A window that ended before, as in a late turn, is still judged.
        if (ends_ > now) ends_ = never;
        idle_since_ = now;
    }
    /// The connection is writable again, or has accepted bytes.
    constexpr void accept(std::size_t bytes = 0) noexcept {
        stall_ends_ = never;
        if (since_ != never) accepted_ += bytes;
    }
    /// Whether the connection was too slow. If a window has ended, begins the next one, now or when
    /// something waits.
    [[nodiscard]] constexpr bool check_too_slow(Instant now, Duration window) noexcept {
        if (stall_ends_ <= now) return true;
        if (ends_ > now) return false;
        // After a pause of this server, what the connection could accept meanwhile is not known.
        const bool paused = elapsed(ends_, now) >= std::chrono::seconds{1};
        const bool slow = !paused && accepted_ < least(window);
        clear();
        const bool waits = since_ != never;
        if (waits) since_ = now;
        ends_ = waits ? after(now, window) : never;
        return slow;
    }
    /// Returns when check_too_slow() must be called.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        return stall_ends_ < ends_ ? stall_ends_ : ends_;
    }
    /// Ends the wait: the connection is closing.
    constexpr void stop() noexcept { since_ = ends_ = stall_ends_ = never; }

private:
    constexpr void clear() noexcept {
        waited_ = Duration{};
        accepted_ = 0;
    }
    [[nodiscard]] static constexpr std::uint64_t least(Duration window) noexcept {
        return static_cast<std::uint64_t>(window / std::chrono::milliseconds{1}) *
               bytes_per_second_min / 1000;
    }

    Instant since_ = never;        ///< since when something waits
    Instant ends_ = never;         ///< the end of the window
    Instant stall_ends_ = never;   ///< some output must be accepted by then
    Instant idle_since_ = always;  ///< since when nothing waits
    Duration waited_{};            ///< the time of this window before `since_`
    std::uint64_t accepted_ = 0;   ///< in this window
};

/// The time that an edit takes to its last client. It ends with the frame that has it: when no
/// outbox holds that frame any more.
struct DeliveryTime {
    void end() const noexcept {
        if (counters != nullptr) counters->delivered.add(elapsed(since, *now));
    }

    RoomCounters* counters = nullptr;  ///< of the manager; null: the frame is no edit
    const Instant* now = nullptr;      ///< the time of the manager's turn
    Instant since = always;            ///< the arrival of the edit
};

/// A frame that several outboxes share.
struct RoomFrame : Counted {
    explicit RoomFrame(Bytes b) noexcept : bytes{std::move(b)} {}
    ~RoomFrame() { time.end(); }
    RoomFrame(const RoomFrame&) = delete;
    RoomFrame& operator=(const RoomFrame&) = delete;

    const Bytes bytes;
    DeliveryTime time{};
    Ref<RoomFrame> first{};  ///< of the same edit, in another protocol: it has the time
};

/// The part of RoomOptions::client_bytes_max that may wait in the transport.
[[nodiscard]] constexpr std::size_t connection_bytes_max(std::size_t client_bytes_max) noexcept {
    return client_bytes_max / 2;
}

/// A Yjs update in parts. `next()` cuts one part, so that other clients do not wait for all of
/// them.
///
/// Pinned.   Thread safety: none.
class ReplyChunker {
public:
    /// The size of a part, and the work on answers in one turn.
    static constexpr std::size_t part_bytes = std::size_t{1} << 20;

    /// `update` was checked; `held` and the account of its client count its bytes for as long as
    /// this lives.
    ReplyChunker(Bytes update, std::size_t& held, const Ref<RoomAccount>& account)
        : update_{std::move(update)},
          held_{&held},
          share_{account, &Holdings::answer_bytes, update_.size()},
          splitter_{update_, part_bytes},
          ahead_{splitter_.next()} {
        *held_ += update_.size();
    }
    ReplyChunker(const ReplyChunker&) = delete;
    ReplyChunker& operator=(const ReplyChunker&) = delete;
    ~ReplyChunker() { *held_ -= update_.size(); }

    [[nodiscard]] bool has_more() const noexcept { return ahead_.has_value(); }
    /// Pre: has_more().
    [[nodiscard]] Bytes next() {
        Bytes part = std::move(*ahead_);
        ahead_ = splitter_.next();
        return part;
    }

private:
    const Bytes update_;
    std::size_t* held_;
    Holding share_;
    yjs::detail::Splitter splitter_;
    std::optional<Bytes> ahead_;
};

/// The answer to a state vector that a connection receives, one at a time.
struct ConnectionAnswer {
    std::unique_ptr<ReplyChunker> chunks{};  ///< null: none is cut as it is sent
    RoomClient* client = nullptr;            ///< of `chunks`
    Instant since = never;                   ///< since when an answer waits to be sent
};

/// The frames that wait to be sent on one connection, the answer that is cut as it is sent, and how
/// fast the connection accepts them.
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
        frames_.push_back(std::move(frame));
        const Waiting& last = frames_.back();
        (last.counts ? counted_ : answers_) += last.size();
        if (!last.counts) *all_ += last.size();
        own_ += last.client == 0 ? 1 : 0;
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
    /// Drops all of it. Nothing waits any more.
    void clear() noexcept {
        pace.stop();
        answer.chunks.reset();
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

    ConnectionAnswer answer{};
    OutputPace pace{};

private:
    void forget(const Waiting& frame) noexcept {
        (frame.counts ? counted_ : answers_) -= frame.size();
        if (!frame.counts) *all_ -= frame.size();
        own_ -= frame.client == 0 ? 1 : 0;
    }

    std::size_t* all_;
    std::list<Waiting> frames_;  // without memory while it is empty, which a std::deque has
    std::size_t counted_ = 0;
    std::size_t answers_ = 0;
    std::size_t own_ = 0;
};

/// The options and the counter of unsent answer bytes that all clients of a manager share.
struct SharedLimits {
    const RoomOptions& options;
    std::size_t& answers;
};

/// The calls that depend on the transport and the protocol of a connection. All connections with
/// the same types have the same table.
struct ConnectionOps {
    /// Opens the transport, which answers the upgrade: also of a rejected client.
    void (*open)(ClientConnection&);
    void (*close)(ClientConnection&, const std::error_code& why) noexcept;
    void (*abort)(ClientConnection&) noexcept;
    /// Sends a frame, after its address if there is one.
    SendResult (*send)(ClientConnection&, const RoomFrame* address, const Bytes& frame);
    Bytes (*write)(const ClientConnection&, const part::RoomMessage&);
    std::vector<Bytes> (*split)(const ClientConnection&, BytesView update, std::size_t bytes_max);
    bool (*disjoint)(const ClientConnection&, BytesView, BytesView);
    /// Runs the turn of one of its channels.
    void (*serve)(RoomChannel&);
    /// Destroys the connection: at once, or when its turn is over.
    void (*end)(ClientConnection&) noexcept;
};

/// When a connection without traffic is kept alive, and when a silent peer is lost.
struct ConnectionHeartbeat {
    explicit ConnectionHeartbeat(const HeartbeatOptions& options) : pulse{options} {}

    /// Something was sent: the next keepalive is a full interval away.
    void note_sent(Instant now) noexcept { keepalive_at = after(now, pulse.options().every); }
    void rest() noexcept {
        keepalive_at = never;
        pulse.rest();
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return smaller(keepalive_at, pulse.deadline());
    }

    Pulse pulse;
    Instant keepalive_at = never;  ///< the next keepalive
};

/// How a connection ends.
struct ConnectionEnd {
    std::error_code why{};          ///< the reason of the close code
    std::uint64_t close_order = 0;  ///< its place among those that the manager has closed; 0: none
    bool arrived = false;           ///< it arrived, after frames that are not read yet
    bool failed = false;            ///< nothing more is sent on it; it is closed in this turn
    bool reaped = false;            ///< the connection is destroyed at the end of the turn
};

/// A connection, the output that waits for it, and its clients. If the frames of its protocol have
/// addresses, each of its documents is a client (RoomChannel). Otherwise it has one client for as
/// long as it lives, and the upgrade is answered when that client is admitted.
///
/// Thread safety: the manager's home thread.
struct ClientConnection {
    ClientConnection(const ConnectionOps& o, std::uint64_t number, RoomRequest r,
                     const SharedLimits& shared)
        : ops{&o},
          id{number},
          request{std::move(r)},
          core{shared.options},
          output{shared.answers},
          alive{shared.options.heartbeat} {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    [[nodiscard]] bool has_addresses() const noexcept { return channels != nullptr; }
    /// The connection has accepted a frame.
    void note_sent(std::size_t bytes, Instant now) noexcept {
        output.pace.accept(bytes);
        alive.note_sent(now);
    }
    /// Drops everything that waits to be sent to a client.
    void drop_output(RoomClient& client) noexcept;

    const ConnectionOps* ops;
    const std::uint64_t id;  ///< what `accept` returned
    RoomRequest request;     ///< the request of the upgrade; its user has all clients
    Waker waker{};
    ConnectionCore core;
    ConnectionEnd end{};
    std::span<RoomClient*> clients{};  ///< in the RoomConnection
    ChannelTable* channels = nullptr;  ///< null: the frames have no addresses
    ConnectionOutbox output;
    ConnectionHeartbeat alive;
    ReadRate rate{};
};

}}}  // namespace belay::detail
