// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat.hpp
/// Heartbeat: gives up a connection from which nothing is heard; the only way to notice a frozen
/// peer.
#pragma once

#include <utility>  // std::move, std::forward

#include <belay/core/order.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay::inline BELAY_ABI {

/// How a Heartbeat beats.
struct HeartbeatOptions {
    /// A ping goes out after this much silence, and again after as much more.
    Duration every = std::chrono::seconds{10};
    /// The connection is given up when nothing was heard for this long, counted from the last sign
    /// of life, so that a loss is noticed within `dead_after` and one wake of the driver.
    Duration dead_after = std::chrono::seconds{25};
};

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
class Heartbeat {
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
              options_{owner.options_} {}

        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            if (event.depth == 0) return event.kind != part::EventKind::note || judge(event, turn);
            if (event.kind == part::EventKind::opened) open_ = true;
            // Whatever came from the peer proves that it was alive; what we did proves nothing.
            if (event.kind == part::EventKind::opened || event.kind == part::EventKind::received ||
                event.kind == part::EventKind::pong) {
                heard_ = turn.now;
                ping_at_ = after(turn.now, options_.every);
            }
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept {
            if (!open_ || suspect_) return Base::deadline();
            return detail::smaller(detail::smaller(Base::deadline(), ping_at_),
                                   after(heard_, options_.dead_after));
        }
        void advance(Turn& turn) {
            Base::advance(turn);
            if (!open_ || suspect_) return;
            if (turn.now >= after(heard_, options_.dead_after)) {
                // Not closed yet: a sign of life may wait in the queue, and is seen before the
                // note.
                suspect_ = true;
                own_.note(0);
            } else if (turn.now >= ping_at_) {
                ping_at_ = after(turn.now, options_.every);
                this->inner_.ping();
            }
        }

    private:
        /// The note to itself has come up: everything that had arrived before it has been seen.
        bool judge(part::Event<message_type>& event, const Turn& turn) noexcept {
            suspect_ = false;
            if (turn.now < after(heard_, options_.dead_after)) return false;
            open_ = false;
            event.kind = part::EventKind::closed;
            event.failure = failure_of(LinkErrc::heartbeat_lost);
            return true;
        }

        Link<message_type> own_;
        HeartbeatOptions options_;
        Instant heard_ = always;
        Instant ping_at_ = never;
        bool open_ = false;
        bool suspect_ = false;
    };

    /// Pre: 0ns < every, 0ns < dead_after.
    Heartbeat(Transport transport, HeartbeatOptions options)
        : inner_{std::move(transport)}, options_{options} {
        BELAY_PRECONDITION(
            options.every > Duration::zero() && options.dead_after > Duration::zero(),
            "Heartbeat::Heartbeat: every and dead_after must be > 0ns");
    }

    template <class... A>
    [[nodiscard]] Connection open(const Link<message_type>& link, const A&... args) {
        return Connection{*this, link, args...};
    }
    [[nodiscard]] Transport& inner() noexcept { return inner_; }
    /// New credentials, on their way to a WithToken inside.
    template <class... A>
        requires requires(Transport& t, A&&... a) { t.credentials(std::forward<A>(a)...); }
    void credentials(A&&... values) {
        inner_.credentials(std::forward<A>(values)...);
    }

private:
    Transport inner_;
    HeartbeatOptions options_;
};

template <class Transport>
Heartbeat(Transport, HeartbeatOptions) -> Heartbeat<Transport>;

}  // namespace belay::inline BELAY_ABI
