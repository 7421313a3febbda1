// SPDX-License-Identifier: MIT
/// \file belay/core/http_failure.hpp
/// http_failure: what an HTTP status means to a policy.
#pragma once

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

class HttpCategory final : public std::error_category {
public:
    constexpr HttpCategory() noexcept = default;
    const char* name() const noexcept override { return "http"; }
    std::string message(int status) const override { return "status " + std::to_string(status); }
    std::error_condition default_error_condition(int status) const noexcept override {
        switch (status) {
            case 401:
                return make_error_condition(Cause::unauthorized);
            // Gateways answer 403 to upgrades during rolling updates. So 403 means refused, until
            // it occurs again with fresh credentials. The code that obtains the credentials must
            // count this.
            case 403:
                return make_error_condition(Cause::refused);
            case 408:
            case 504:
                return make_error_condition(Cause::timed_out);
            // The wrong connection, and too early on this one: a server refuses neither for ever.
            case 421:
            case 425:
                return make_error_condition(Cause::refused);
            case 429:
            case 503:
            case 529:
                return make_error_condition(Cause::overloaded);
            default:
                // A redirection that was not followed would be repeated. Status 0 means that no
                // server answered.
                return make_error_condition(status >= 100 && status < 500 ? Cause::permanent
                                                                          : Cause::lost);
        }
    }
    // Status 0 means that no server answered. A proxy of this side asks for credentials by 407, and
    // a network that this side has to log in to by 511.
    bool equivalent(int status, const std::error_condition& condition) const noexcept override {
        const bool is_ours = status == 407 || status == 511;
        if (condition == Failure::Origin::answered) return status >= 100 && !is_ours;
        if (condition == Failure::Origin::local) return is_ours;
        return std::error_category::equivalent(status, condition);
    }
};

}  // namespace detail

/// Returns the category of HTTP status codes (RFC 9110, section 15).
[[nodiscard]] inline const std::error_category& http_category() noexcept {
    static const detail::HttpCategory category;
    return category;
}

/// Returns the failure that an HTTP status describes.
///
/// - 200 to 299: no failure
/// - 401: unauthorized
/// - 403, 421, 425: refused
/// - 408, 504: timed out
/// - 429, 503, 529: overloaded
/// - others from 100 to 499: permanent
/// - all others: lost
///
/// 407 and 511 are failures of this side: those of its proxy, and of its network.
///
/// `retry_after` is the value of the header with that name, or 0ns without one.
[[nodiscard]] inline Failure http_failure(int status, Duration retry_after = {}) noexcept {
    if (status >= 200 && status < 300) return {};
    Failure failure = Failure::from({status, http_category()}, retry_after);
    // An error code of 0 would mean no error, but a missing answer is an error.
    if (status == 0) failure.cause = Cause::lost;
    return failure;
}

}}  // namespace belay
