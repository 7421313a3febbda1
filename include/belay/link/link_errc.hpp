// SPDX-License-Identifier: MIT
/// \file belay/link/link_errc.hpp
/// LinkErrc: the errors that the link layer itself finds.
/// websocket_category, websocket_failure: the meaning of WebSocket close codes for a policy.
#pragma once

#include <system_error>  // std::error_code

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

namespace detail {

class WebSocketCategory final : public std::error_category {
public:
    constexpr WebSocketCategory() noexcept = default;
    const char* name() const noexcept override { return "websocket"; }
    std::string message(int code) const override { return "close code " + std::to_string(code); }
    std::error_condition default_error_condition(int code) const noexcept override {
        switch (code) {
            case 1001:
                return make_error_condition(Cause::planned);  // going away
            case 1002:                                        // protocol error
            case 1003:                                        // unsupported data
            case 1007:                                        // not valid text
            case 1010:
                return make_error_condition(Cause::protocol);
            case 1008:
                return make_error_condition(Cause::forbidden);  // policy violation
            case 1009:
                return make_error_condition(Cause::permanent);  // message too big
            case 1012:                                          // service restart
            case 1013:
                return make_error_condition(Cause::overloaded);  // try again later
            case 4001:
                return make_error_condition(Cause::unauthorized);
            case 4003:
                return make_error_condition(Cause::forbidden);
            default:
                return make_error_condition(Cause::lost);  // 1000 too: retried with backoff
        }
    }
};

}  // namespace detail

/// Returns the error category of WebSocket close codes (RFC 6455, section 7.4, and the usual
/// private ones).
[[nodiscard]] inline const std::error_category& websocket_category() noexcept {
    static const detail::WebSocketCategory category;
    return category;
}

/// Returns the failure that a WebSocket close code stands for, for Link::closed.
[[nodiscard]] inline Failure websocket_failure(int code, Duration retry_after = {}) noexcept {
    return Failure::from({code, websocket_category()}, retry_after);
}

namespace detail {

/// Returns the failure for an error of a socket. `instead` is the cause of an error that is
/// permanent or forbidden elsewhere.
///
/// For a socket of a network, the next attempt may succeed after such an error. The system reports
/// a firewall or a route that rejects packets by EACCES, EPERM or EINVAL, and a family of addresses
/// that it does not have at present by EAFNOSUPPORT.
[[nodiscard]] inline Failure socket_failure(const std::error_code& error, Cause instead) noexcept {
    Failure failure = Failure::from(error);
    const bool is_of_system =
        error.category() == std::generic_category() || error.category() == std::system_category();
    const bool ends_link = failure.cause == Cause::permanent || failure.cause == Cause::forbidden;
    if (is_of_system && ends_link) failure.cause = instead;
    return failure;
}

}  // namespace detail

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::LinkErrc> : std::true_type {};
