// SPDX-License-Identifier: MIT
// Goal: each error has a text, and the cause by which policies decide. Method: all values.
#include <belay/openssl/jwt_verifier.hpp>

#include <string_view>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("jwt::Errc has a cause for every value", "[openssl][jwt_error][unit]") {
    for (int value = 1; value <= 14; ++value) {
        const std::error_code error = static_cast<jwt::Errc>(value);
        const bool of_verifier = error == jwt::Errc::bad_key || error == jwt::Errc::bad_options;
        const bool of_machine = error == jwt::Errc::not_verified;
        CHECK(cause_of(error) == (of_verifier  ? Cause::permanent
                                  : of_machine ? Cause::overloaded
                                               : Cause::unauthorized));
        CHECK_FALSE(error.message().empty());
    }
    CHECK(std::string_view{std::error_code{jwt::Errc::expired}.category().name()} == "belay.jwt");
}
