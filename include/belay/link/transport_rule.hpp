// SPDX-License-Identifier: MIT
/// \file belay/link/transport_rule.hpp
/// check::TransportRule: the rules that check::transport checks.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a transport that the compiler cannot check; see TransportLike and ConnectionLike.
enum class TransportRule : std::uint8_t {
    opens,
    opens_once,
    opened_comes_first,
    sends_nothing_before_it_is_open,
    carries_each_once_in_order,
    output_is_bounded,
    space_follows_busy,
    space_is_reported_once,
    space_is_usable,
    keeps_what_was_rejected,
    ping_is_answered,
    limit_holds,
    end_is_reported,
    end_is_final,
    sends_nothing_after_its_end,
    opens_again,
    close_ends,
    destructor_reports_nothing
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(TransportRule rule) noexcept {
    switch (rule) {
        case TransportRule::opens:
            return "the transport calls Link::opened when it has connected to the peer";
        case TransportRule::opens_once:
            return "the transport calls Link::opened once";
        case TransportRule::opened_comes_first:
            return "the transport reports no message, pong or writable before Link::opened";
        case TransportRule::sends_nothing_before_it_is_open:
            return "send() accepts no message before Link::opened";
        case TransportRule::carries_each_once_in_order:
            return "each message arrives whole, once, and in the order of sending";
        case TransportRule::output_is_bounded:
            return "send() returns busy if the peer does not keep up";
        case TransportRule::space_follows_busy:
            return "the transport calls Link::writable after busy, when it can accept a message";
        case TransportRule::space_is_reported_once:
            return "the transport calls Link::writable once for each busy, and not without one";
        case TransportRule::space_is_usable:
            return "send() accepts a message after Link::writable that it rejected as busy before";
        case TransportRule::keeps_what_was_rejected:
            return "the connection keeps a message if Link::received returns full, and delivers it "
                   "again after resume_reading()";
        case TransportRule::ping_is_answered:
            return "ping() leads to Link::pong while the peer lives";
        case TransportRule::limit_holds:
            return "a message longer than limit_messages() ends the connection, and is not "
                   "delivered";
        case TransportRule::end_is_reported:
            return "the transport calls Link::closed when the peer ends the connection";
        case TransportRule::end_is_final:
            return "the transport calls Link::closed once, and reports nothing after it";
        case TransportRule::sends_nothing_after_its_end:
            return "send() accepts no message after Link::closed";
        case TransportRule::opens_again:
            return "open() makes a new connection after the end of the old one";
        case TransportRule::close_ends:
            return "close() leads to Link::closed if the peer answers";
        case TransportRule::destructor_reports_nothing:
            return "the connection reports nothing during or after its destructor";
    }
    return "unknown";
}

}}}  // namespace belay::check
