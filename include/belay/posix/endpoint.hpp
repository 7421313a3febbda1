// SPDX-License-Identifier: MIT
/// \file belay/posix/endpoint.hpp
/// posix::Endpoint: the host and port of a TCP server, with its text form.
/// posix::UnixPath: the path of a Unix domain socket, and its errors. Neither needs POSIX.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace posix {

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

/// The path of a Unix domain socket: "/run/app.sock".
///
/// On Linux, "@app" is the name "app" in the abstract namespace, which has no file and ends with
/// its socket. For a file whose name begins with '@', write "./@app".
///
/// Thread safety: a plain value.
struct UnixPath {
    /// At most as long as the system permits: 107 bytes on Linux, 103 on macOS and BSD.
    std::string path;

    /// Returns whether it is a name of the abstract namespace.
    [[nodiscard]] bool is_abstract() const noexcept { return path.size() > 1 && path[0] == '@'; }

    friend bool operator==(const UnixPath&, const UnixPath&) = default;
};

/// Errors of the path of a Unix domain socket; category "belay.unix".
///
/// All others are errors of the system. A missing file is ENOENT, and a file that no server listens
/// at is ECONNREFUSED; both have Cause::refused.
enum class UnixErrc {
    path_too_long = 1,       ///< nothing is cut off: a shorter path would be another one
    path_invalid = 2,        ///< is empty, contains a NUL, or is abstract on a system without these
    not_a_stream_socket = 3  ///< the file at the path is of another kind, and is left as it is
};

}  // namespace posix

namespace detail {

inline constexpr ErrorText unix_error_texts[] = {
    {"the path of the Unix socket has more bytes than the system permits (107 on Linux, 103 on "
     "macOS and BSD): use a shorter path",
     Cause::permanent, FailureOrigin::local},
    {"the path of the Unix socket is empty, contains a NUL, or is abstract on a system that has "
     "no such names: use the path of a file",
     Cause::permanent, FailureOrigin::local},
    {"the file at the path is not a Unix socket for streams: remove it, or use another path",
     Cause::refused},
};

/// Returns the category of posix::UnixErrc.
[[nodiscard]] inline const std::error_category& unix_error_category() noexcept {
    static const TableCategory category{"belay.unix", unix_error_texts};
    return category;
}

}  // namespace detail

namespace posix {

/// Makes a std::error_code of a UnixErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(UnixErrc e) noexcept {
    return {static_cast<int>(e), belay::detail::unix_error_category()};
}

}  // namespace posix

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::posix::UnixErrc> : std::true_type {};
