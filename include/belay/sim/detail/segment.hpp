// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/segment.hpp
/// Segment, Pipe, End: the parts of a simulated connection.
#pragma once

#include <algorithm>     // std::max, std::min
#include <chrono>        // std::chrono::seconds
#include <memory>        // std::destroy_at
#include <new>           // placement new
#include <system_error>  // std::errc

#include <belay/core/bytes.hpp>
#include <belay/link/link.hpp>
#include <belay/sim/detail/station.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A unit that travels in a connection.
struct Segment {
    enum class Kind : std::uint8_t {
        syn,     ///< a request for a connection
        ack,     ///< the connection is accepted
        data,    ///< a whole message
        ping,    ///< the process, not the kernel, answers with a pong
        pong,    ///< the answer
        window,  ///< the window has space again
        fin,     ///< the orderly end
        reset,   ///< the other end
        taken    ///< the other process has read a part of what waits behind the window
    };
    Kind kind;
    Instant due;
    Bytes bytes;
    Instant sent = always;
};
using SegmentKind = Segment::Kind;

/// The request for a connection.
struct Request {
    Instant sent;
    std::uint64_t number;  // of the requests of its host, from 1
    std::uint16_t port;
};

/// Keeps a part of the segments under way when a connection breaks: half of the time all of them,
/// otherwise a random number from the front.
inline void keep_front(belay::detail::EventRing<Segment>& ring, Random& bits) {
    const std::size_t size = ring.size();
    if (size == 0 || (bits() & 1) != 0) return;
    const auto kept = static_cast<std::size_t>(uniform_upto(bits, size));
    for (std::size_t i = 0; i < size; ++i) {
        Segment s = ring.pop();
        if (i < kept) ring.push(std::move(s));
    }
}

/// The size from which a message is written at once. Smaller messages are written when the round is
/// over, so those of the instant in which the process closes the connection are lost.
inline constexpr std::size_t written_at_once = std::size_t{16} << 10;  // as by posix::Tcp
inline void drop_unwritten(belay::detail::EventRing<Segment>& ring, Instant now) {
    for (std::size_t i = ring.size(); i != 0; --i) {
        Segment s = ring.pop();
        const bool is_small = s.kind == SegmentKind::data && s.bytes.size() < written_at_once;
        if (!is_small || s.sent != now) ring.push(std::move(s));
    }
}

/// A socket of a process that carries a stream of bytes instead of whole messages.
class ByteSocket {
public:
    /// Called after something has arrived, or the connection has ended. It must not run the code
    /// of a process, which may be frozen.
    virtual void changed() = 0;
    /// Sets that the end of the socket resets the connection and loses data that was not sent, as
    /// with SO_LINGER and a time of 0.
    void reset_at_end(bool on) noexcept { resets_at_end_ = on; }
    [[nodiscard]] bool resets_at_end() const noexcept { return resets_at_end_; }

protected:
    ~ByteSocket() = default;

private:
    bool resets_at_end_ = false;
};

// The cost of a message in the window in addition to its bytes, so that empty ones are bounded too.
inline constexpr std::size_t overhead_bytes = 16;
inline constexpr std::size_t header_bytes = 40;  // of IPv4 and TCP
// A segment that a slow link carries is looked at that often, since the limit may end.
inline constexpr Duration look_again = std::chrono::milliseconds{100};
// Source: Linux, net.ipv4.ip_local_port_range.
inline constexpr std::uint64_t ephemeral_first = 32768;
inline constexpr std::uint64_t ephemeral_count = 28232;

/// The delays of a kernel that repeats a segment without an answer: a request for a connection, and
/// data.   Source: Linux, TCP_TIMEOUT_INIT, TCP_RTO_MIN and TCP_RTO_MAX.
inline constexpr Duration first_syn_retry = std::chrono::seconds{1};
inline constexpr Duration first_data_retry = std::chrono::milliseconds{200};
inline constexpr Duration retry_max = std::chrono::seconds{120};
/// How long a kernel repeats the end of a connection that its process has closed, and how long it
/// then waits for the other end.   Source: Linux, tcp_orphan_retries: 8 with pauses from
/// TCP_RTO_MIN, and tcp_fin_timeout.
inline constexpr Duration orphan_limit = std::chrono::milliseconds{102'200};
inline constexpr Duration fin_limit = std::chrono::seconds{60};
/// How long a kernel keeps the port of a connection that it has closed first.   Source: Linux,
/// TCP_TIMEWAIT_LEN.
inline constexpr Duration time_wait = std::chrono::seconds{60};

/// Returns the first pause of a kernel that repeats a segment.
[[nodiscard]] constexpr Duration first_retry(SegmentKind kind) noexcept {
    const bool connects = kind == SegmentKind::syn || kind == SegmentKind::ack;
    return connects ? first_syn_retry : first_data_retry;
}

/// Returns when a segment that was first sent at `sent` is sent again, at `now` or later.
[[nodiscard]] inline Instant next_retry(Instant sent, Duration first, Instant now) noexcept {
    Instant at = sent;
    for (Duration wait = first; at < now; wait = std::min(2 * wait, retry_max)) {
        at = after(at, wait);
    }
    return at;
}

/// One direction of a connection: what one end has sent and the other has not received yet.
struct Pipe {
    Channel* channel = nullptr;
    const Latency* latency = nullptr;  // of the fabric
    int from = 0;
    belay::detail::EventRing<Segment> flying;
    Random bits;
    Instant held_until = always;           // segments that a partition held arrive no earlier
    std::size_t unread_bytes = 0;          // sent, and not yet read by the process at the other end
    std::size_t unacknowledged_bytes = 0;  // of them, read while the way back was blocked
    std::size_t bytes_max = ~std::size_t{0};  // limit of unread_bytes in addition to the window
    Instant unanswered_since = never;         // a stream's data arrived, its acknowledgement not
    Instant carried_at = never;               // the front passes a place until then
    std::uint32_t carried_epoch = 0;          // of that place, when the front has reached it
    bool has_crossed = false;                 // the front has passed the link
    bool scheduled = false;                   // an event for it is in the event queue
    bool blocked = false;                     // a partition holds it
    bool ping_unread = false;                 // at most one is under way
    bool window_unread = false;               // likewise
    bool taken_unread = false;                // likewise
    std::size_t part_read = 0;                // of the front message, which passes a place

    /// Returns since when a kernel repeats something under way; never if it repeats nothing.
    [[nodiscard]] Instant repeated_since() noexcept {
        for (std::size_t i = 0; i < flying.size(); ++i) {
            const SegmentKind kind = flying[i].kind;
            const bool repeats =
                kind == SegmentKind::syn || kind == SegmentKind::data || kind == SegmentKind::fin;
            if (repeats) return flying[i].sent;
        }
        return never;
    }
    /// Returns whether the front segment has passed a place, or that has no limit (any more).
    [[nodiscard]] bool passed(Bottleneck& place, std::size_t bytes, Instant now) noexcept {
        if (place.rate() == 0) return true;
        if (std::exchange(carried_epoch, place.epoch) != place.epoch) carried_at = never;
        if (carried_at == never) {
            if (place.full(bytes, now)) {
                // It is lost, and the kernel repeats it.
                held_until = after(now, first_retry(flying[0].kind));
                return false;
            }
            carried_at = place.carry(bytes, now);
        }
        return carried_at <= now;
    }
    /// Returns whether the front segment has passed the link, and then the process that reads it.
    [[nodiscard]] bool carried(Bottleneck& link, Bottleneck& reader, Instant now) noexcept {
        const Segment& s = flying[0];
        if (!has_crossed) {
            if (!passed(link, s.bytes.size() + header_bytes, now)) return false;
            has_crossed = true;
            carried_at = never;
        }
        const bool is_read = s.kind == SegmentKind::data || s.kind == SegmentKind::ping ||
                             s.kind == SegmentKind::pong;
        return !is_read || passed(reader, s.bytes.size(), now);
    }
    /// Notes what the other process has read of the front message, which passes a place.
    /// Returns: how many more bytes than at the last call.   Pre: carried() has returned false.
    std::size_t read_part(const Bottleneck& link, const Bottleneck& reader, Instant now) noexcept {
        const bool is_read = has_crossed || reader.rate() == 0;
        if (flying[0].kind != SegmentKind::data || carried_at == never || !is_read) return 0;
        const std::size_t size = flying[0].bytes.size();
        const std::uint64_t left = (has_crossed ? reader : link).bytes_in(elapsed(now, carried_at));
        const std::size_t done = left < size ? size - static_cast<std::size_t>(left) : 0;
        const std::size_t before = part_read;
        part_read = std::max(part_read, done);
        return part_read - before;
    }
    /// Forgets what was sent, for another connection in the place of this one.
    void renew() noexcept {
        unread_bytes = unacknowledged_bytes = 0;
        bytes_max = ~std::size_t{0};
        unanswered_since = never;
        ping_unread = window_unread = taken_unread = false;
    }
    /// Returns the limit of unread_bytes.   `host_window` is that of every connection.
    [[nodiscard]] std::size_t window(std::size_t host_window) const noexcept {
        return std::min(host_window, bytes_max);
    }
    /// Returns how many bytes of a stream the window has space for.
    [[nodiscard]] std::size_t space(std::size_t host_window) const noexcept {
        const std::size_t used = unread_bytes + overhead_bytes;
        const std::size_t free = window(host_window) > used ? window(host_window) - used : 0;
        return unread_bytes == 0 ? std::max<std::size_t>(free, 1) : free;
    }
};

/// One end of a connection.
struct End {
    Station* station = nullptr;
    Link<Bytes> link;
    belay::detail::EventRing<Segment> inbox;  // in the kernel, not yet read by the process
    bool exists = false;                      // the kernel has a socket
    bool is_held = false;                     // a process has accepted it, and not closed it
    bool attached = false;                    // a process receives its events through the link
    bool up = false;                          // connected, as far as this end knows
    bool closing = false;                     // has sent its fin
    bool fin_seen = false;                    // the process has received the other end's fin
    bool ended = false;       // reset, or the process has received the end: nothing can be sent
    bool full = false;        // the machine refused a message
    bool starved = false;     // send() returned busy to the process
    bool owes_reset = false;  // received a segment although it does not exist
    // A stream of bytes: nothing is passed to the process, which reads from the inbox.
    bool is_stream = false;
    bool lingers = false;         // the process has closed it; the kernel sends the rest
    bool refuses_data = false;    // of a stream: its process has ended both directions
    bool chose_port = false;      // its process, before it dialled
    bool closed_first = false;    // with a port that is not free at once: before the peer's fin
    bool reuses_address = false;  // SO_REUSEADDR, of an accepted stream as of its listener
    Instant closed_at = always;   // since when it lingers
    Instant fin_delivered_at = never;  // when the other kernel has received this end's fin
    std::uint16_t port = 0;
    std::size_t front_read = 0;    // of a stream: bytes of the inbox's first segment that were read
    ByteSocket* socket = nullptr;  // of a stream
    std::errc error{};             // of a stream: why it has ended
    // The longest message that the process accepts.
    std::size_t message_bytes_max = ~std::size_t{0};

    /// Returns whether neither the kernel nor the process has anything left to do here.
    [[nodiscard]] bool is_over() const noexcept { return !exists && inbox.empty(); }
    [[nodiscard]] bool can_read() const noexcept { return attached && !full && !station->frozen; }
    [[nodiscard]] Failure reset_failure() const noexcept {
        return Failure::from(
            std::make_error_code(up ? std::errc::connection_reset : std::errc::connection_refused));
    }
    /// Returns whether the process has closed this end, and the kernel has forgotten it. The other
    /// kernel has not answered since `silent_since`; never if it has answered.
    [[nodiscard]] bool given_up(Instant silent_since, Instant now) const noexcept {
        if (!lingers) return false;
        if (silent_since == never) {
            return fin_delivered_at != never && elapsed(fin_delivered_at, now) >= fin_limit;
        }
        // It notices when it would repeat something.
        const Instant limit = std::max(after(silent_since, orphan_limit), closed_at);
        return next_retry(silent_since, first_data_retry, limit) <= now;
    }
    /// Returns how many bytes the process can read.
    [[nodiscard]] std::size_t readable() noexcept {
        std::size_t size = 0;
        for (std::size_t i = 0; i < inbox.size(); ++i) size += inbox[i].bytes.size();
        return size - front_read;
    }
    /// Forgets a socket that no process has, and that both ends have ended.
    void forget_if_over(Instant now) {
        if (!lingers || !fin_seen || fin_delivered_at == never) return;
        exists = false;
        if (closed_first) station->time_waits[{port, reuses_address}] = after(now, time_wait);
    }
    /// Ends a stream, and notifies its socket.
    void end_stream(std::errc why) {
        ended = true;
        error = why;
        if (socket != nullptr) socket->changed();
    }
    /// Makes it the end of another connection.
    void renew() noexcept {
        Station* const host = station;
        const std::uint16_t number = port;
        std::destroy_at(this);
        End* const other = ::new (this) End{};
        other->station = host;
        other->port = number;
    }
};

}}}  // namespace belay::sim::detail
