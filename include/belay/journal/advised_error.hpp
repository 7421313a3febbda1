// SPDX-License-Identifier: MIT
/// \file belay/journal/advised_error.hpp
/// part::AdvisedError: an error of something that is stored, with its place and with advice.
#pragma once

#include <cerrno>            // ENOSPC
#include <initializer_list>  // std::initializer_list
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <system_error>      // std::error_code, std::error_condition
#include <utility>           // std::move

#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

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

/// A sentence of advice, without its full stop, for a code, or for a condition such as a Cause.
struct ErrorAdvice {
    template <class E>
    ErrorAdvice(E error, const char* words) noexcept : text{words} {
        if constexpr (std::is_error_code_enum_v<E>) {
            code = error;
        } else {
            condition = error;
        }
    }
    [[nodiscard]] bool is_for(const std::error_code& error) const noexcept {
        return code ? error == code : error == condition;
    }

    std::error_code code{};
    std::error_condition condition{};
    const char* text;
};

/// Returns the first sentence of a table for `code`; `otherwise` if it has none.
/// Complexity: O(rows).
[[nodiscard]] inline const char* advice_in(std::initializer_list<ErrorAdvice> table,
                                           const std::error_code& code,
                                           const char* otherwise) noexcept {
    for (const ErrorAdvice& row : table)
        if (row.is_for(code)) return row.text;
    return otherwise;
}

/// Returns advice that applies to every kind of queue, as a sentence without its full stop.
[[nodiscard]] inline const char* file_advice(const std::error_code& code) noexcept {
    constexpr const char* no_right =
        "allow this user to write the file and its directory, or choose another path";
    constexpr const char* no_descriptors =
        "close some files, or raise the limit of open files, and open again";
    if (is_lack_of_space(code)) {
        return "free some space on the disk, or raise the limit of file sizes, and open again; "
               "nothing is lost";
    }
    return advice_in(
        {{QueueErrc::already_locked,
          "end the other program that has it open, or open it only once in this program; the lock "
          "ends with its process"},
         {QueueErrc::foreign_file, "choose a file that only this queue uses"},
         {QueueErrc::other_version,
          "open it with the version of belay that wrote it, or move it away to begin a new one"},
         {std::errc::permission_denied, no_right},
         {std::errc::operation_not_permitted, no_right},
         {std::errc::read_only_file_system, no_right},
         {std::errc::too_many_files_open, no_descriptors},
         {std::errc::too_many_files_open_in_system, no_descriptors},
         {std::errc::not_enough_memory, "free some memory, or raise its limit, and open again"},
         {std::errc::no_such_file_or_directory, "create the parent directory first"},
         {std::errc::not_a_directory,
          "choose another path: a component of this path is a file and not a directory"},
         {std::errc::too_many_symbolic_link_levels,
          "replace the link by the file: belay does not follow a link there"},
         {std::errc::is_a_directory, "choose the path of a file, for example in that directory"}},
        code, "check the disk, and open again");
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
    where += ": " + reason;
    if (!what.empty()) where += " (" + what + ")";
    return where + ": " + advice + ".";
}

}  // namespace detail

namespace part {

/// An error of something that is stored: its code, its place, a description and advice.
///
/// `Kind` has the words: `advice(error)`, which returns a sentence for an error without its own,
/// and `nowhere`, the place of an error that has none. Your own storage uses any std::error_code,
/// and sets `cure`.
///
/// Thread safety: a plain value.
template <class Kind>
struct AdvisedError {
    AdvisedError() = default;
    /// Makes an error of a code alone.
    explicit AdvisedError(std::error_code error) noexcept : code{error} {}
    /// Makes an error of a code, a place, a description, and your own advice (see `cure`).
    AdvisedError(std::error_code error, std::string place, std::string words = {},
                 const char* todo = nullptr) noexcept
        : code{error}, where{std::move(place)}, what{std::move(words)}, cure{todo} {}

    /// The error.
    std::error_code code{};
    /// The file, server, table or key that the error concerns; may be empty.
    std::string where{};
    /// A description of this case, in the words of belay or of the storage; may be empty.
    std::string what{};
    /// The storage's own advice, a text that stays valid; null: `advice()` depends on the code.
    const char* cure = nullptr;

    /// Returns what the reader can do, as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        return cure != nullptr ? cure : Kind::advice(*this);
    }
    /// Returns the error as a sentence, such as "notes.db: the store is already open (database is
    /// locked): end the other …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        return detail::error_message(where.empty() ? Kind::nowhere : where, code.message(), what,
                                     advice());
    }

    /// Returns the code alone.
    operator std::error_code() const noexcept { return code; }
    /// Returns whether there is an error.
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}  // namespace part

}}  // namespace belay
