// SPDX-License-Identifier: MIT
/// \file belay/link/close_code.hpp
/// What WebSocket close codes and HTTP statuses mean to a policy.
#pragma once

#include <belay/core/failure.hpp>

namespace belay::inline BELAY_ABI {

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

class HttpCategory final : public std::error_category {
public:
    constexpr HttpCategory() noexcept = default;
    const char* name() const noexcept override { return "http"; }
    std::string message(int status) const override { return "status " + std::to_string(status); }
    std::error_condition default_error_condition(int status) const noexcept override {
        switch (status) {
            case 401:
                return make_error_condition(Cause::unauthorized);
            // Gateways answer 403 to upgrades in rolling updates: refused, until it is seen again
            // with fresh credentials, which whoever gets those must count.
            case 403:
                return make_error_condition(Cause::refused);
            case 408:
            case 504:
                return make_error_condition(Cause::timed_out);
            case 429:
            case 503:
                return make_error_condition(Cause::overloaded);
            default:
                return make_error_condition(status >= 400 && status < 500 ? Cause::permanent
                                                                          : Cause::lost);
        }
    }
};

}  // namespace detail

/// The category of WebSocket close codes (RFC 6455, section 7.4, and the usual private ones).
[[nodiscard]] inline const std::error_category& websocket_category() noexcept {
    static const detail::WebSocketCategory category;
    return category;
}
/// The category of HTTP status codes (RFC 9110, section 15).
[[nodiscard]] inline const std::error_category& http_category() noexcept {
    static const detail::HttpCategory category;
    return category;
}

/// The failure that a WebSocket close code stands for, for Link::closed.
[[nodiscard]] inline Failure websocket_failure(int code, Duration retry_after = {}) noexcept {
    return Failure::from({code, websocket_category()}, retry_after);
}
/// The failure that an HTTP status stands for.   Pre: status >= 400.
[[nodiscard]] inline Failure http_failure(int status, Duration retry_after = {}) noexcept {
    return Failure::from({status, http_category()}, retry_after);
}

}  // namespace belay::inline BELAY_ABI
