// SPDX-License-Identifier: MIT
/// \file belay/link/link_errc.hpp
/// LinkErrc: what the link layer itself can find wrong with a connection.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Errors of the link layer; category "belay.link".
enum class LinkErrc {
    attempt_timed_out = 1,   ///< neither opened nor validated within the attempt's limit
    heartbeat_lost = 2,      ///< nothing was heard from the peer for `dead_after`
    closed_by_peer = 3,      ///< the peer closed the connection in an orderly way
    token_refused = 4,       ///< the source of credentials had none to give
    not_validated = 5,       ///< the validation of the connection refused it
    open_threw = 6,          ///< the transport threw out of open()
    reported_unhealthy = 7,  ///< the owner gave the connection up on outside evidence
    message_refused = 8,     ///< the transport cannot carry a message that must go: it is too long
    too_many_pings = 9,      ///< the peer wants to be asked for signs of life less often
    not_drained = 10         ///< what was sent has not left within the time that drain() was given
};

namespace detail {
inline constexpr ErrorText link_error_texts[] = {
    {"the attempt did not end in time", Cause::timed_out},
    {"nothing was heard from the peer in time", Cause::timed_out},
    {"the peer closed the connection", Cause::lost},
    {"no credentials to connect with", Cause::refused},
    {"the connection was not validated", Cause::refused},
    {"the transport threw while opening", Cause::lost},
    {"the connection was given up by its owner", Cause::lost},
    {"a message is longer than the transport carries", Cause::permanent},
    {"the peer was pinged too often for its taste", Cause::overloaded},
    {"not everything that was sent has left in time", Cause::timed_out},
};

/// The category of LinkErrc.
[[nodiscard]] inline const std::error_category& link_category() noexcept {
    static const TableCategory category{"belay.link", link_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code of it, which the conversion asks for.
[[nodiscard]] inline std::error_code make_error_code(LinkErrc e) noexcept {
    return {static_cast<int>(e), detail::link_category()};
}

/// The failure that an error of the link layer is, with another cause than its own if one is given.
[[nodiscard]] inline Failure failure_of(LinkErrc e, Cause cause = Cause::none) noexcept {
    Failure f = Failure::from(make_error_code(e));
    if (cause != Cause::none) f.cause = cause;
    return f;
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::LinkErrc> : std::true_type {};
