// SPDX-License-Identifier: MIT
/// \file belay/link/close_code.hpp
/// websocket_category, websocket_failure: the meaning of WebSocket close codes for a policy.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
