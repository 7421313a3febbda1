// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_connection.hpp
/// ClientConnection: a connection of one client, or of several, for any transport.
#pragma once

#include <chrono>    // std::chrono::seconds
#include <cstddef>   // std::size_t
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <utility>   // std::exchange
#include <vector>    // std::vector

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/room/detail/connection_outbox.hpp>
#include <belay/room/detail/output_pace.hpp>
#include <belay/room/detail/reply_chunker.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct ClientConnection;
struct MultiplexedBase;
struct RoomClient;

/// Sends a frame on a connection, after its address if there is one.
using RoomSend = SendResult (*)(ClientConnection&, const RoomFrame* address, const Bytes&);

/// The answer to a state vector that a connection receives, one at a time.
struct ConnectionAnswer {
    std::unique_ptr<ReplyChunker> chunks{};  ///< null: none is cut as it is sent
    RoomClient* client = nullptr;            ///< of `chunks`
    Instant since = never;                   ///< since when an answer waits to be sent
};

/// The cost of messages, in the bytes that could be read in the time that the server needs for
/// them. Constants and not measured times, because a simulated run must be the same everywhere.
struct ReadCost {
    static constexpr std::size_t message = 256;
    static constexpr std::size_t token = std::size_t{64} << 10;
    /// The cost of an awareness state, or of a client to which a message is forwarded.
    static constexpr std::size_t recipient = 16;
    /// The cost of a piece of an answer: it is compared, cut, framed and sent.
    static constexpr std::size_t piece = 4096;
};

/// How fast a connection is read: a bucket of RoomOptions::read_bytes_burst, which fills at
/// read_rate_max.
///
/// Source: a token bucket, as the virtual scheduling form of GCRA (ITU-T I.371, annex A).
struct ReadRate {
    /// Charges bytes. A connection without credit is read later.
    /// Returns: whether that begins now, after a second or more with credit.
    [[nodiscard]] bool charge(std::size_t bytes, Instant now, const RoomOptions& options) noexcept {
        return charge(bytes, now, options, options.read_rate_max);
    }
    /// Likewise, at another rate.
    [[nodiscard]] bool charge(std::size_t bytes, Instant now, const RoomOptions& options,
                              std::size_t rate) noexcept {
        if (bytes == 0) return false;
        const auto time_of = [&](std::size_t cost) {
            const Duration second{std::chrono::seconds{1}};
            const std::size_t whole = cost / rate;
            const std::size_t rest = cost % rate;
            return part::saturating_add(
                part::saturating_multiply(second, whole),
                Duration{static_cast<Duration::rep>(static_cast<double>(second.count()) *
                                                    static_cast<double>(rest) /
                                                    static_cast<double>(rate))});
        };
        const Duration burst = time_of(options.read_bytes_burst);
        paid_until = after(larger(paid_until, now), time_of(bytes));
        // It must be read again before it counts as silent.
        const Duration most = part::saturating_add(burst, options.heartbeat.every / 2);
        paid_until = smaller(paid_until, after(now, most));
        const Instant credit_at = before(paid_until, burst);
        if (credit_at <= now) return false;
        read_at = larger(read_at, credit_at);
        return elapsed(std::exchange(throttled_until, credit_at), now) >= std::chrono::seconds{1};
    }

    Instant read_at = always;     ///< nothing is read before
    Instant looked_at = always;   ///< when arrivals were last checked
    Instant paid_until = always;  ///< the time that its messages cost
    Instant throttled_until = always;
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

/// A connection and its outbox. It has one client, or several if it is multiplexed.
///
/// Thread safety: the manager's home thread.
struct ClientConnection {
    ClientConnection(RoomSend how, const HeartbeatOptions& beat, std::size_t& answers)
        : send{how}, output{answers}, alive{beat} {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    [[nodiscard]] Instant timers() const noexcept {
        return smaller(pace.deadline(), alive.deadline());
    }
    /// The connection has accepted a frame.
    void note_sent(std::size_t bytes, Instant now) noexcept {
        pace.accept(bytes);
        alive.note_sent(now);
    }
    /// Ends all timers, and drops the outbox.
    void stop_waiting() noexcept {
        pace.stop();
        alive.rest();
        answer.chunks.reset();
        output.clear();
    }

    // ---- of one of its clients ------------------------------------------------------------------

    /// Drops everything that waits to be sent to a client.
    void drop_output(RoomClient& client) noexcept;
    /// Keeps a client's state vector, to be answered later.
    void hold_state_vector(RoomClient& client, Bytes theirs);
    /// Returns the held state vector, if there is one.
    [[nodiscard]] std::optional<Bytes> take_state_vector(RoomClient& client) noexcept;

    RoomSend send;
    ConnectionOutbox output;
    ConnectionAnswer answer{};
    std::vector<RoomClient*> clients{};
    MultiplexedBase* multiplexed = nullptr;  ///< this connection, if it is multiplexed
    Waker* wake = nullptr;
    ConnectionHeartbeat alive;
    ReadRate rate{};
    OutputPace pace{};

private:
    void count_held(std::size_t bytes) noexcept;
};

}}}  // namespace belay::detail
