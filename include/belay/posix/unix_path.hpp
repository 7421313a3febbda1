// SPDX-License-Identifier: MIT
/// \file belay/posix/unix_path.hpp
/// posix::UnixPath: the path of a Unix domain socket, and its errors. It needs no POSIX.
#pragma once

#include <string>  // std::string

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

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

}}}  // namespace belay::posix

namespace belay { inline namespace BELAY_ABI { namespace detail {
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
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Makes a std::error_code of a UnixErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(UnixErrc e) noexcept {
    return {static_cast<int>(e), belay::detail::unix_error_category()};
}

}}}  // namespace belay::posix

template <>
struct std::is_error_code_enum<belay::posix::UnixErrc> : std::true_type {};
