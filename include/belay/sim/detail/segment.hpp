// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/segment.hpp
/// Segment, Pipe, End: what a simulated connection consists of.
#pragma once

#include <belay/core/bytes.hpp>
#include <belay/link/link.hpp>
#include <belay/sim/detail/station.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// What travels in a connection.
struct Segment {
    enum class Kind : std::uint8_t {
        syn,     ///< a connection is wanted
        ack,     ///< it is there
        data,    ///< a whole message
        ping,    ///< the process, not the kernel, answers with a pong
        pong,    ///< the answer
        window,  ///< there is room again
        fin,     ///< the orderly end
        reset    ///< the other end
    };
    Kind kind;
    Instant due;
    Bytes bytes;
    Instant sent = always;
};
using SegmentKind = Segment::Kind;

/// Of what is on the way when a connection breaks, the front arrives: half of the time all of it.
inline void keep_front(belay::detail::EventRing<Segment>& ring, Random& bits) {
    const std::size_t size = ring.size();
    if (size == 0 || (bits() & 1) != 0) return;
    const auto kept = static_cast<std::size_t>(uniform_upto(bits, size));
    for (std::size_t i = 0; i < size; ++i) {
        Segment s = ring.pop();
        if (i < kept) ring.push(std::move(s));
    }
}

/// What a process sends is written when its round is over, and only large messages at once: of the
/// small ones of the instant in which it lets go none has left.
inline constexpr std::size_t written_at_once = std::size_t{16} << 10;  // as by posix::Tcp
inline void drop_unwritten(belay::detail::EventRing<Segment>& ring, Instant now) {
    for (std::size_t i = ring.size(); i != 0; --i) {
        Segment s = ring.pop();
        const bool small = s.kind == SegmentKind::data && s.bytes.size() < written_at_once;
        if (!small || s.sent != now) ring.push(std::move(s));
    }
}

/// One direction of a connection: what one end has sent and the other has not yet got.
struct Pipe {
    Channel* channel = nullptr;
    int from = 0;
    belay::detail::EventRing<Segment> flying;
    Random bits;
    Instant held_until = always;   // what a partition has held comes no earlier
    std::size_t unread_bytes = 0;  // sent, and not yet read by the process at the other end
    std::size_t bytes_max = ~std::size_t{0};  // of those, beside what the window says
    bool scheduled = false;                   // the agenda knows of it
    bool blocked = false;                     // a partition holds it
    bool ping_unread = false;                 // one at a time
    bool window_unread = false;               // likewise
};

/// One end of a connection.
struct End {
    Station* station = nullptr;
    Link<Bytes> link;
    belay::detail::EventRing<Segment> inbox;  // in the kernel, not yet read by the process
    bool exists = false;                      // the kernel has a socket
    bool attached = false;    // a process holds it, and hears of it through the link
    bool up = false;          // connected, as far as this end knows
    bool closing = false;     // has said goodbye
    bool fin_seen = false;    // the process has heard the other's goodbye
    bool ended = false;       // reset, or the process has heard of the end: nothing can be sent
    bool full = false;        // the machine refused a message
    bool starved = false;     // the process was told busy
    bool owes_reset = false;  // was spoken to although it does not exist
    std::size_t message_bytes_max = ~std::size_t{0};  // what the process takes
};

}}}  // namespace belay::sim::detail
