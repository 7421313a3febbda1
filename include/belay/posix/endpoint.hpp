// SPDX-License-Identifier: MIT
/// \file belay/posix/endpoint.hpp
/// posix::Endpoint: the host and port of a TCP server, with its text form.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// A host and a port: "127.0.0.1:9000", "[::1]:9000", "localhost:9000".
///
/// Thread safety: a plain value.
struct Endpoint {
    /// A numeric address, or a name. A name is looked up at every use, and the lookup blocks.
    std::string host;
    /// The port; 0 only for listening, where the system chooses one.
    std::uint16_t port = 0;

    /// Reads "host:port"; an IPv6 address must be in brackets.
    ///
    /// Errors: std::errc::invalid_argument for anything else, an empty host or port included.
    /// Throws: std::bad_alloc.
    [[nodiscard]] static Result<Endpoint> parse(std::string_view text) {
        const std::error_code wrong = std::make_error_code(std::errc::invalid_argument);
        const std::size_t colon = text.rfind(':');
        if (colon == text.npos) return wrong;
        std::string_view name = text.substr(0, colon);
        if (name.size() >= 2 && name.front() == '[' && name.back() == ']') {
            name = name.substr(1, name.size() - 2);
            if (name.find(':') == name.npos) return wrong;
        } else if (name.find(':') != name.npos) {
            return wrong;  // the last colon could be a part of the address
        }
        if (name.empty() || name.find_first_of("[] \t\r\n/@") != name.npos) return wrong;
        if (name.find('\0') != name.npos) return wrong;
        unsigned number = 0;
        const std::string_view digits = text.substr(colon + 1);
        if (digits.empty() || digits.size() > 5) return wrong;
        for (const char digit : digits) {
            if (digit < '0' || digit > '9') return wrong;
            number = number * 10 + static_cast<unsigned>(digit - '0');
        }
        if (number > 65535) return wrong;
        return Endpoint{std::string{name}, static_cast<std::uint16_t>(number)};
    }

    /// Returns the form that parse() reads.   Throws: std::bad_alloc.
    [[nodiscard]] std::string to_string() const {
        const bool brackets = host.find(':') != host.npos;
        return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
    }

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}}}  // namespace belay::posix
