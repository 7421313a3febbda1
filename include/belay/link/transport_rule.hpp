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
    room_follows_busy,
    room_is_told_once,
    room_is_no_lie,
    keeps_what_was_refused,
    ping_is_answered,
    limit_holds,
    end_is_told,
    end_is_final,
    sends_nothing_after_its_end,
    opens_again,
    close_ends,
    destructor_calls_nobody
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(TransportRule rule) noexcept {
    switch (rule) {
        case TransportRule::opens:
            return "Link::opened comes when the peer is there";
        case TransportRule::opens_once:
            return "Link::opened comes once";
        case TransportRule::opened_comes_first:
            return "no message, pong or room is told before Link::opened";
        case TransportRule::sends_nothing_before_it_is_open:
            return "send() takes nothing before Link::opened";
        case TransportRule::carries_each_once_in_order:
            return "each message arrives whole, once, in the order of sending";
        case TransportRule::output_is_bounded:
            return "send() answers busy when the peer does not keep up";
        case TransportRule::room_follows_busy:
            return "after busy Link::writable comes when there is room";
        case TransportRule::room_is_told_once:
            return "Link::writable comes once for a busy, and not without one";
        case TransportRule::room_is_no_lie:
            return "after Link::writable send() takes what it answered busy to";
        case TransportRule::keeps_what_was_refused:
            return "a message that Link::received answers full to is kept, and offered again after "
                   "resume_reading()";
        case TransportRule::ping_is_answered:
            return "ping() is followed by Link::pong while the peer lives";
        case TransportRule::limit_holds:
            return "a message beyond limit_messages() ends the connection, and is not delivered";
        case TransportRule::end_is_told:
            return "Link::closed comes when the peer ends the connection";
        case TransportRule::end_is_final:
            return "Link::closed comes once, and nothing after it";
        case TransportRule::sends_nothing_after_its_end:
            return "send() takes nothing after Link::closed";
        case TransportRule::opens_again:
            return "open() after the end of a connection makes a new one";
        case TransportRule::close_ends:
            return "close() is followed by Link::closed, where the peer answers";
        case TransportRule::destructor_calls_nobody:
            return "the connection's destructor reports nothing, nor its end later";
    }
    return "unknown";
}

}}}  // namespace belay::check
