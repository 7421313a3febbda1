// SPDX-License-Identifier: MIT
// Goal: every error of an HTTP request has a text, and the cause by which policies decide.
#include <belay/http/http_errc.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("HttpErrc has a text and a cause for each value", "[link][http_errc][golden]") {
    CHECK(cause_of(HttpErrc::bad_url) == Cause::permanent);
    CHECK(cause_of(HttpErrc::bad_text) == Cause::permanent);
    CHECK(cause_of(HttpErrc::name_not_found) == Cause::refused);
    CHECK(cause_of(HttpErrc::not_connected) == Cause::refused);
    CHECK(cause_of(HttpErrc::certificate_rejected) == Cause::refused);
    CHECK(cause_of(HttpErrc::tls_failed) == Cause::refused);
    CHECK(cause_of(HttpErrc::timed_out) == Cause::timed_out);
    CHECK(cause_of(HttpErrc::lost) == Cause::lost);
    CHECK(cause_of(HttpErrc::not_http) == Cause::protocol);
    CHECK(cause_of(HttpErrc::too_long) == Cause::permanent);
    CHECK(cause_of(HttpErrc::client_failed) == Cause::overloaded);
    CHECK(cause_of(HttpErrc::client_certificate) == Cause::permanent);
    CHECK(cause_of(HttpErrc::proxy_rejected) == Cause::permanent);
    CHECK(cause_of(HttpErrc::proxy_not_connected) == Cause::refused);
    CHECK((make_error_code(HttpErrc::proxy_not_connected) == detail::FailureOrigin::local));
    CHECK(cause_of(HttpErrc::no_token) == Cause::timed_out);
    CHECK((make_error_code(HttpErrc::no_token) == detail::FailureOrigin::local));
    const std::error_category& category = make_error_code(HttpErrc::lost).category();
    CHECK(std::string{category.name()} == "belay.http");
    for (int i = 1; i <= 15; ++i) CHECK(category.message(i) != "unknown error");
    CHECK(category.message(16) == "unknown error");
}
