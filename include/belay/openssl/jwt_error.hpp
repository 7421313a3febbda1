// SPDX-License-Identifier: MIT
/// \file belay/openssl/jwt_error.hpp
/// jwt::Errc: the reasons why a token is not valid, or a key is rejected.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Errors of a Verifier; category "belay.jwt".
enum class Errc {
    /// Not three parts of base64url with JSON objects, or too long, or nested too deep (128).
    malformed = 1,
    wrong_algorithm = 2,     ///< signed by another algorithm than the fixed one, or by none
    critical_extension = 3,  ///< it requires an extension, by `crit`
    unknown_key = 4,         ///< no key has its `kid`
    bad_signature = 5,       ///< it was not signed with the key
    expired = 6,             ///< its `exp` has passed, or there is none
    not_yet_valid = 7,       ///< its `nbf` is in the future
    wrong_issuer = 8,        ///< its `iss` is another
    wrong_audience = 9,      ///< its `aud` is another
    bad_subject = 10,        ///< its `sub` is missing, or has another form
    bad_key = 11,      ///< of the verifier: a key is too weak or unreadable, or two have one name
    bad_options = 12,  ///< of the verifier: a leeway below 0 or above 10 minutes
    missing = 13,      ///< there is no token
    not_verified = 14  ///< the verification itself failed, for example for lack of memory
};

}}}  // namespace belay::jwt

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText jwt_error_texts[] = {
    {"the token is malformed or too long", Cause::unauthorized},
    {"the token is not signed by the configured algorithm", Cause::unauthorized},
    {"the token requires an extension that belay does not support", Cause::unauthorized},
    {"the token's key is unknown", Cause::unauthorized},
    {"the token's signature is wrong", Cause::unauthorized},
    {"the token has expired, or has no expiry", Cause::unauthorized},
    {"the token is not valid yet", Cause::unauthorized},
    {"the token has another issuer", Cause::unauthorized},
    {"the token has another audience", Cause::unauthorized},
    {"the token's subject is missing or malformed", Cause::unauthorized},
    {"a key is too weak, unreadable, or configured twice", Cause::permanent},
    {"jwt::Options::leeway must be from 0 to 10 minutes", Cause::permanent},
    {"there is no token", Cause::unauthorized},
    {"the token could not be verified", Cause::overloaded},
};

/// Returns the category of jwt::Errc.
[[nodiscard]] inline const std::error_category& jwt_error_category() noexcept {
    static const TableCategory category{"belay.jwt", jwt_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc e) noexcept {
    return {static_cast<int>(e), detail::jwt_error_category()};
}

}}}  // namespace belay::jwt

template <>
struct std::is_error_code_enum<belay::jwt::Errc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The reason why a verifier was not made, with more detail than the code has.
///
/// Thread safety: a plain value.
struct JwtSetupError : std::error_code {
    JwtSetupError() noexcept = default;
    JwtSetupError(jwt::Errc error, std::string text)
        : std::error_code{error}, what{std::move(text)} {}

    /// Returns what is wrong, and what to do.   Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        return what.empty() ? std::error_code::message() : what;
    }

    std::string what;
};

}}}  // namespace belay::detail
