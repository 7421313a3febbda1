// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat.hpp
/// Heartbeat: pings a silent peer, and closes the connection if nothing comes back.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint32_t
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move

#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// Returns how often the endpoint of the last attempt has asked for fewer pings, in the Endpoints
/// inside a transport; null if there is none.
template <class T>
[[nodiscard]] std::uint8_t* ping_penalties_of(T& transport) noexcept {
    if constexpr (requires { transport.ping_penalties(); }) {
        return transport.ping_penalties();
    } else if constexpr (requires { ping_penalties_of(transport.inner()); }) {
        return ping_penalties_of(transport.inner());
    } else {
        return nullptr;
    }
}
}  // namespace detail

/// A transport that pings a silent peer, and closes the connection if nothing comes back.
///
/// The connection is closed with Cause::timed_out. This is the only way to notice a frozen peer.
/// The first ping follows the opening at once, so that a peer that is alive gives evidence of it
/// (see ResetWhenStable). After that, any sign of life counts, so a busy connection sends no pings.
/// A ping may wait behind output that a slow link carries. The peer then gets more time as long as
/// output leaves, up to 24 times `dead_after` after its last sign of life.
/// A late driver reads the sockets before the timers decide. After a suspend, a connection whose
/// peer has answered is therefore not given up.
///
/// Each answer to a ping is reported to the observer with the time it took (on_round_trip). That is
/// the time between the turns in which the ping was sent and the answer was received.
///
/// If a peer closes the connection with LinkErrc::too_many_pings, it gets half as many pings from
/// the next connection on. This lasts as long as this object lives. With an Endpoints inside, it
/// holds for the endpoint that asked for it, as long as that is in the list. The interval grows to
/// at most one hour. If the longer interval does not fit `dead_after`, `dead_after` grows. The
/// observer is then notified (on_policy_conflict) as soon as a connection with these times is open.
///
/// Models:        TransportLike; its connections add a deadline.
/// Thread safety: as the transport inside.
/// Source:        libwebsockets' "validity" (lws-retry.h): only received data proves that a peer is
///                alive.
template <class Transport>
class Heartbeat : public part::Around<Transport> {
    static_assert(explain::transport_like<Transport>());
    static_assert(!TransportLike<Transport> || detail::HasPing<part::ConnectionOf<Transport>>,
                  "Heartbeat: the connection needs 'void ping() noexcept', to which the peer "
                  "replies; a framing needs put_ping, as LengthPrefixed and Lines::WithPing have");

public:
    using message_type = typename Transport::message_type;

    /// Models: ConnectionLike.
    class Connection : public part::Wrapped<part::ConnectionOf<Transport>, message_type> {
        using Base = part::Wrapped<part::ConnectionOf<Transport>, message_type>;

    public:
        template <class... A>
        Connection(Heartbeat& owner, const Link<message_type>& own, const A&... args)
            : Base{[&] { return owner.inner_.open(own.child(), args...); }},
              owner_{owner},
              own_{own},
              pulse_{owner.next_pulse()} {}

        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            if (event.kind != part::EventKind::received) return sift_control(event, turn);
            pulse_.sign_of_life(turn.now);
            was_held_ = false;
            return true;
        }
        /// Requests a sign of life now. If none arrives within `within`, the peer is given up.
        void probe(Turn& turn, Duration within) noexcept {
            if (pulse_.probe(turn.now, within)) ask(turn.now);
            part::probe(this->inner_, turn, within);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            return suspect_ ? Base::deadline()
                            : detail::smaller(Base::deadline(), pulse_.deadline());
        }
        void advance(Turn& turn) {
            Base::advance(turn);
            if (suspect_) return;
            note_hold(turn.now);
            switch (pulse_.check(turn.now)) {
                case detail::Pulse::Due::nothing:
                    return;
                case detail::Pulse::Due::ping:
                    return ask(turn.now);
                case detail::Pulse::Due::lost:
                    // Not closed yet: a sign of life may wait in the queue, and is then handled
                    // before the note.
                    own_.note(silence);
                    suspect_ = true;
            }
        }

    private:
        // Notes to itself. The first ping follows what the owner sends when the connection opens.
        static constexpr std::uint32_t silence = 0, first_ping = 1;

        /// Anything that came from the peer proves that it was alive; our own actions prove
        /// nothing.
        [[nodiscard]] bool sift_control(part::Event<message_type>& event, const Turn& turn) {
            if (event.depth == 0 && event.kind == part::EventKind::note)
                return take_note(event, turn);
            if (event.depth == 0) return true;
            switch (event.kind) {
                case part::EventKind::opened:
                    pulse_.sign_of_life(turn.now);
                    own_.note(first_ping);
                    owner_.report_conflict(own_, pulse_.options().dead_after);
                    break;
                case part::EventKind::pong:
                    if (event.code == 0) answered(turn.now);
                    pulse_.sign_of_life(turn.now);
                    break;
                case part::EventKind::written:
                    pulse_.output_left(turn.now);
                    break;
                case part::EventKind::closed:
                    if (event.failure.error() == LinkErrc::too_many_pings) owner_.penalize();
                    break;
                default:
                    break;
            }
            return true;
        }
        [[nodiscard]] bool take_note(part::Event<message_type>& event, const Turn& turn) noexcept {
            if (event.code == silence) return check_silence(event, turn);
            ask(turn.now);
            return false;
        }
        /// Sends a ping. The first of several answers belongs to the first of several pings.
        void ask(Instant now) noexcept {
            if (asked_at_ == never) asked_at_ = now;
            this->inner_.ping();
        }
        void answered(Instant now) {
            if (asked_at_ == never) return;
            own_.report(part::Report::round_trip, elapsed(asked_at_, now));
            asked_at_ = never;
        }
        /// Handles the note to itself: every event that arrived before the note has been handled.
        bool check_silence(part::Event<message_type>& event, const Turn& turn) noexcept {
            suspect_ = false;
            note_hold(turn.now);
            if (!pulse_.lost(turn.now)) return false;
            pulse_.rest();
            event.kind = part::EventKind::closed;
            event.failure = failure_of(LinkErrc::heartbeat_lost);
            return true;
        }

        /// A lane that is not read shows no sign of life. It is read again after the turn in which
        /// the hold ends, so the silence counts from the next check on.
        void note_hold(Instant now) noexcept {
            const bool is_held = own_.is_held();
            if (std::exchange(was_held_, is_held) || is_held) pulse_.sign_of_life(now);
        }

        Heartbeat& owner_;
        Link<message_type> own_;
        detail::Pulse pulse_;
        Instant asked_at_ = never;  // when the oldest ping without an answer was sent
        bool suspect_ = false;
        bool was_held_ = false;  // at the last check, and nothing was received since then
    };

    /// Pre: options.check() is empty; use make() for options that may be wrong.
    Heartbeat(Transport transport, HeartbeatOptions options)
        : part::Around<Transport>{std::move(transport)}, pulse_{options} {}

    /// Makes a Heartbeat from options that may be wrong, for example those of a configuration file.
    ///
    /// Errors: the sentence of HeartbeatOptions::check().
    [[nodiscard]] static Result<Heartbeat, std::string_view> make(Transport transport,
                                                                  HeartbeatOptions options) {
        if (const std::string_view wrong = options.check(); !wrong.empty()) return wrong;
        return Heartbeat{std::move(transport), options};
    }

    template <class... A>
    [[nodiscard]] Connection open(const Link<message_type>& link, const A&... args) {
        return Connection{*this, link, args...};
    }

private:
    [[nodiscard]] std::uint8_t& penalties() noexcept {
        std::uint8_t* const of_endpoint = detail::ping_penalties_of(this->inner_);
        return of_endpoint != nullptr ? *of_endpoint : penalties_;
    }
    [[nodiscard]] detail::Pulse next_pulse() noexcept {
        detail::Pulse pulse = pulse_;
        for (unsigned left = penalties(); left != 0; --left) static_cast<void>(pulse.penalize());
        return pulse;
    }
    void penalize() noexcept {
        conflict_ = next_pulse().penalize() || conflict_;
        if (penalties() < penalties_max) ++penalties();
    }
    void report_conflict(const Link<message_type>& link, Duration dead_after) {
        if (!conflict_ || dead_after == pulse_.options().dead_after) return;
        conflict_ = false;
        link.report(part::Report::policy_conflict, dead_after);
    }

    // With so many, the interval of 1ns has grown to an hour.
    static constexpr std::uint8_t penalties_max = 42;

    detail::Pulse pulse_;         // of a connection to a peer that has asked for nothing
    std::uint8_t penalties_ = 0;  // if there is no Endpoints inside
    bool conflict_ = false;       // a conflict that the observer must be notified of
};

}}  // namespace belay
