// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/file_advice.hpp
/// file_advice and error_message: the message for a file that could not be opened, with advice.
#pragma once

#include <cerrno>        // ENOSPC
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

[[nodiscard]] inline bool is_lack_of_space(const std::error_code& code) noexcept {
    if (code.category() != std::generic_category() && code.category() != std::system_category()) {
        return false;
    }
#if defined(EDQUOT)
    if (code.value() == EDQUOT) return true;
#endif
    return code.value() == ENOSPC || code.value() == EFBIG;
}

/// Returns whether an open failed because the process, or the system, has no more descriptors.
[[nodiscard]] inline bool is_lack_of_descriptors(const std::error_code& code) noexcept {
    return code == std::errc::too_many_files_open ||
           code == std::errc::too_many_files_open_in_system;
}

/// Returns whether a file or directory could not be opened for a while: without descriptors,
/// permission or memory. A sync does not end so.   Source: open(2) and fsync(2) of Linux.
[[nodiscard]] inline bool is_refused_open(const std::error_code& code) noexcept {
    return is_lack_of_descriptors(code) || code == std::errc::permission_denied ||
           code == std::errc::not_enough_memory;
}

/// Returns advice that applies to every kind of queue, as a sentence without its full stop.
/// Complexity: O(1).
[[nodiscard]] inline const char* file_advice(const std::error_code& code) noexcept {
    if (is_lack_of_space(code)) {
        return "free some space on the disk, or raise the limit of file sizes, and open again; "
               "nothing is lost";
    }
    if (code == QueueErrc::already_locked) {
        return "end the other program that has it open, or open it only once in this program; the "
               "lock ends with its process";
    }
    if (code == QueueErrc::foreign_file) return "choose a file that only this queue uses";
    if (code == QueueErrc::other_version) {
        return "open it with the version of belay that wrote it, or move it away to begin a new "
               "one";
    }
    if (code == std::errc::permission_denied || code == std::errc::operation_not_permitted ||
        code == std::errc::read_only_file_system) {
        return "allow this user to write the file and its directory, or choose another path";
    }
    if (is_lack_of_descriptors(code)) {
        return "close some files, or raise the limit of open files, and open again";
    }
    if (code == std::errc::not_enough_memory) {
        return "free some memory, or raise its limit, and open again";
    }
    if (code == std::errc::no_such_file_or_directory) return "create the parent directory first";
    if (code == std::errc::not_a_directory) {
        return "choose another path: a component of this path is a file and not a directory";
    }
    if (code == std::errc::too_many_symbolic_link_levels) {
        return "replace the link by the file: belay does not follow a link there";
    }
    if (code == std::errc::is_a_directory) {
        return "choose the path of a file, for example in that directory";
    }
    return "check the disk, and open again";
}

/// Returns the text of a version of a format that cannot be read, for the words in the parentheses
/// of an error_message.   Throws: std::bad_alloc.
template <class Number>
[[nodiscard]] std::string version_text(Number found, Number readable) {
    return "it has version " + std::to_string(found) + ", and this program reads only version " +
           std::to_string(readable);
}

/// Returns why `path` cannot name a file, or what `options` say is wrong with them; empty if
/// nothing is wrong.
template <class Options>
[[nodiscard]] constexpr std::string_view why_not_opened(std::string_view path,
                                                        const Options& options) noexcept {
    if (path.empty()) return "the path is empty";
    if (path.find('\0') != path.npos) return "the path contains a zero byte";
    return options.check();
}

/// Returns "<where>: <reason> (<what>): <advice>."; without the parentheses if `what` is empty.
///
/// Allocates; throws std::bad_alloc.
[[nodiscard]] inline std::string error_message(std::string where, const std::string& reason,
                                               const std::string& what, const char* advice) {
    if (where.empty()) where = "an empty path";
    where += ": " + reason;
    if (!what.empty()) where += " (" + what + ")";
    return where + ": " + advice + ".";
}
[[nodiscard]] inline std::string error_message(std::string where, const std::error_code& code,
                                               const std::string& what, const char* advice) {
    return error_message(std::move(where), code.message(), what, advice);
}

}}}  // namespace belay::detail
