// SPDX-License-Identifier: MIT
// Goal: each error of TLS has a text with advice, and is tried again. Method: all values.
#include <belay/openssl/tls_error.hpp>

#include <set>
#include <string>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("tls::Errc has a cause and its own text for every value", "[openssl][tls_error][unit]") {
    using enum tls::Errc;
    std::set<std::string> sentences;
    for (const tls::Errc e :
         {handshake_failed, certificate_rejected, certificate_expired, certificate_not_yet_valid,
          certificate_other_name, certificate_unknown_issuer, certificate_self_signed,
          certificate_revoked}) {
        const std::error_code error = e;
        CHECK(cause_of(e) == Cause::refused);
        CHECK(error.message().find(": ") != std::string::npos);  // what happened, and what to do
        sentences.insert(error.message());
    }
    CHECK(sentences.size() == 8);
    const std::error_code other_name = certificate_other_name;
    CHECK(other_name.message() ==
          "the server's certificate has another name: dial a name that it contains");
    CHECK(std::string_view{other_name.category().name()} == "belay.tls");
}
