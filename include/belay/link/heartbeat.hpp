// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat.hpp
/// Heartbeat: gives up a connection from which nothing is heard; the only way to notice a frozen
/// peer.
#pragma once

#include <utility>  // std::move, std::forward

#include <belay/core/order.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay::inline BELAY_ABI {

/// A transport whose connections are pinged, and closed with Cause::timed_out when nothing comes
/// back.
///
/// Any sign of life counts, so a busy connection sends no pings. A late driver reads what waits in
/// the sockets before it lets timers judge; after a suspend, nothing is given up that has answered.
///
/// Models:        TransportLike; its connections add a deadline.
/// Thread safety: as the transport inside.
/// Source:        libwebsockets' "validity" (lws-retry.h): only what was received proves anything.
template <class Transport>
class Heartbeat : public part::Around<Transport> {
    static_assert(explain::transport_like<Transport>());
    static_assert(!TransportLike<Transport> || detail::HasPing<part::ConnectionOf<Transport>>,
                  "Heartbeat: the connection needs 'void ping() noexcept' whose answer is "
                  "Link::pong");

public:
    using message_type = typename Transport::message_type;

    class Connection : public part::Wrapped<part::ConnectionOf<Transport>, message_type> {
        using Base = part::Wrapped<part::ConnectionOf<Transport>, message_type>;

    public:
        template <class... A>
        Connection(Heartbeat& owner, const Link<message_type>& own, const A&... args)
            : Base{[&] { return owner.inner_.open(own.child(), args...); }},
              own_{own},
              pulse_{owner.pulse_} {}

        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            if (event.depth == 0) return event.kind != part::EventKind::note || judge(event, turn);
            // Whatever came from the peer proves that it was alive; what we did proves nothing.
            if (event.kind == part::EventKind::opened || event.kind == part::EventKind::received ||
                event.kind == part::EventKind::pong) {
                pulse_.heard(turn.now);
            }
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept {
            return suspect_ ? Base::deadline()
                            : detail::smaller(Base::deadline(), pulse_.deadline());
        }
        void advance(Turn& turn) {
            Base::advance(turn);
            if (suspect_) return;
            switch (pulse_.judge(turn.now)) {
                case detail::Pulse::Due::nothing:
                    return;
                case detail::Pulse::Due::ping:
                    return this->inner_.ping();
                case detail::Pulse::Due::lost:
                    // Not closed yet: a sign of life may wait in the queue, and is seen before the
                    // note.
                    suspect_ = true;
                    own_.note(0);
            }
        }

    private:
        /// The note to itself has come up: everything that had arrived before it has been seen.
        bool judge(part::Event<message_type>& event, const Turn& turn) noexcept {
            suspect_ = false;
            if (!pulse_.lost(turn.now)) return false;
            pulse_.rest();
            event.kind = part::EventKind::closed;
            event.failure = failure_of(LinkErrc::heartbeat_lost);
            return true;
        }

        Link<message_type> own_;
        detail::Pulse pulse_;
        bool suspect_ = false;
    };

    /// Pre: 0ns < every, 0ns < dead_after.
    Heartbeat(Transport transport, HeartbeatOptions options)
        : part::Around<Transport>{std::move(transport)}, pulse_{options} {}

    template <class... A>
    [[nodiscard]] Connection open(const Link<message_type>& link, const A&... args) {
        return Connection{*this, link, args...};
    }

private:
    detail::Pulse pulse_;  // of a connection that is not open yet
};

template <class Transport>
Heartbeat(Transport, HeartbeatOptions) -> Heartbeat<Transport>;

}  // namespace belay::inline BELAY_ABI
