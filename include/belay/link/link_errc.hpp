// SPDX-License-Identifier: MIT
/// \file belay/link/link_errc.hpp
/// LinkErrc: the errors that the link layer itself finds.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Errors of the link layer; category "belay.link".
enum class LinkErrc {
    attempt_timed_out = 1,   ///< neither opened nor validated within the attempt's limit
    heartbeat_lost = 2,      ///< no sign of life from the peer for `dead_after`
    closed_by_peer = 3,      ///< the peer closed the connection in an orderly way
    no_token = 4,            ///< the source of credentials returned none
    not_validated = 5,       ///< the check of the connection rejected it
    open_threw = 6,          ///< the transport's open() threw
    reported_unhealthy = 7,  ///< the owner gave the connection up because of evidence from outside
    message_rejected = 8,    ///< the transport cannot carry a required message: it is too long
    too_many_pings = 9,      ///< the peer wants fewer pings
    not_drained = 10,        ///< sent messages have not left within the time given to drain()
    check_threw = 11,        ///< the check of the connection threw
    requests_full = 12,      ///< as many questions are open as RequestsOptions allow
    unanswered = 13,         ///< the peer did not answer a question in time
    unsent = 14,             ///< a question could not be sent in time; the peer never saw it
    framing_threw = 15,      ///< the framing threw while it wrote a message or a ping
    decorator_threw = 16,    ///< a decorator's sift() or advance() threw
    handler_threw = 17,      ///< a served connection's handler of messages threw
    injected = 18            ///< a fault of a chaos::Transport, on purpose
};

namespace detail {
inline constexpr ErrorText link_error_texts[] = {
    {"the attempt did not end in time", Cause::timed_out},
    {"the peer sent nothing in time", Cause::timed_out, FailureOrigin::silent},
    {"the peer closed the connection", Cause::lost},
    {"there are no credentials to connect with", Cause::refused, FailureOrigin::local},
    {"the connection was not validated", Cause::refused},
    {"the transport threw while opening", Cause::lost, FailureOrigin::local},
    {"the owner of the connection ended it", Cause::lost},
    {"a message is longer than the transport can carry", Cause::permanent, FailureOrigin::local},
    {"the peer refuses pings at this rate", Cause::overloaded, FailureOrigin::answered},
    {"sent messages did not leave in time", Cause::timed_out},
    {"the check of the connection threw", Cause::lost, FailureOrigin::local},
    {"too many questions are open", Cause::overloaded, FailureOrigin::local},
    {"the peer did not answer in time", Cause::timed_out, FailureOrigin::silent},
    {"the question was not sent in time", Cause::timed_out},
    {"the framing threw while it wrote a message", Cause::lost, FailureOrigin::local},
    {"a decorator of the transport threw", Cause::lost, FailureOrigin::local},
    {"the handler of a message threw", Cause::lost, FailureOrigin::local},
    {"a fault was injected on purpose", Cause::lost},
};

/// Returns the category of LinkErrc.
[[nodiscard]] inline const std::error_category& link_category() noexcept {
    static const TableCategory category{"belay.link", link_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code of a LinkErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(LinkErrc e) noexcept {
    return {static_cast<int>(e), detail::link_category()};
}

/// Returns the failure for an error of the link layer. If `cause` is given, it replaces the error's
/// own cause.
[[nodiscard]] inline Failure failure_of(LinkErrc e, Cause cause = Cause::none) noexcept {
    Failure f = Failure::from(make_error_code(e));
    if (cause != Cause::none) f.cause = cause;
    return f;
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::LinkErrc> : std::true_type {};
