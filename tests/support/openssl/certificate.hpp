// SPDX-License-Identifier: MIT
/// \file tests/support/openssl/certificate.hpp
/// Certificate: a certificate that a test makes with openssl.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

namespace belay_test {

/// A self-signed certificate for a name alone.
struct Certificate {
    explicit Certificate(const std::string& name) {
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            "-subj /CN=test -addext 'subjectAltName=" +
            name + "' -keyout " + key() + " -out " + file() + " 2>/dev/null";
        REQUIRE(std::system(command.c_str()) == 0);
    }
    [[nodiscard]] std::string file() const { return directory / "certificate.pem"; }
    [[nodiscard]] std::string key() const { return directory / "key.pem"; }
    [[nodiscard]] std::vector<std::string> arguments() const { return {file(), key()}; }
    TemporaryDirectory directory;
};

}  // namespace belay_test
