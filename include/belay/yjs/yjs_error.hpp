// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_error.hpp
/// UpdateError: why a Yjs update is rejected, where, and what to do.
/// YjsErrc: the errors of Yjs updates, state vectors and documents.
#pragma once

#include <cstddef>       // std::size_t
#include <string>        // std::string, std::to_string
#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/yjs, in the category "belay.yjs".
///
/// Values are appended, never renumbered.
enum class YjsErrc {
    malformed_update = 1,        ///< the bytes do not follow the format of updates
    unknown_content = 2,         ///< a kind of content that this version does not know
    version_2_update = 3,        ///< an update of version 2; only version 1 is read
    malformed_state_vector = 4,  ///< the bytes do not follow the format of state vectors
    update_too_large = 5,        ///< an update that exceeds one of yjs::Limits
    document_full = 6            ///< the document would exceed a limit of YjsDocumentOptions
};

namespace detail {

inline constexpr ErrorText yjs_error_texts[] = {
    {"the update is malformed", Cause::protocol},
    {"the update has content of an unknown kind", Cause::protocol},
    {"the update is of version 2", Cause::protocol},
    {"the state vector is malformed", Cause::protocol},
    {"the update is beyond a limit", Cause::permanent},
    {"the document is full", Cause::permanent},
};

/// The category "belay.yjs".
[[nodiscard]] inline const std::error_category& yjs_category() noexcept {
    static const TableCategory category{"belay.yjs", yjs_error_texts};
    return category;
}

}  // namespace detail

/// Makes a std::error_code from a YjsErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(YjsErrc error) noexcept {
    return {static_cast<int>(error), detail::yjs_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::YjsErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI { namespace yjs {

/// The reason why an update or a state vector is rejected, with its place and with advice.
///
/// Thread safety: a plain value.
struct UpdateError {
    /// The error.
    std::error_code code;
    /// The index of the update among several, from 0.
    std::size_t update = 0;
    /// The offset in the bytes of that update.
    std::size_t offset = 0;
    /// A description of this case; a literal, "" for no error.
    const char* what = "";

    /// Returns what the reader can do, as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        if (code == YjsErrc::unknown_content) {
            return "reject the update, and use a newer belay that can read the peer's Yjs";
        }
        if (code == YjsErrc::version_2_update) {
            return "let the peer send the updates of doc.on('update') and encodeStateAsUpdate, and "
                   "not of 'updateV2' and encodeStateAsUpdateV2";
        }
        if (code == YjsErrc::malformed_state_vector) {
            return "reject the message; the peer can start again with the empty state vector, 00";
        }
        if (code == YjsErrc::update_too_large) {
            return "reject the update, or raise the exceeded member of yjs::Limits if you trust "
                   "the peer";
        }
        if (code == YjsErrc::document_full) {
            return "raise the exceeded member of YjsDocumentOptions, or let the users start "
                   "another "
                   "document";
        }
        return "reject the update, and neither store it nor send it to others: Yjs would stop "
               "reading it here or lose later parts";
    }

    /// Returns the error as a sentence, such as "update 0 at byte 17: the update is malformed (a
    /// text is not UTF-8): reject the …".
    ///
    /// Allocates: the text.   Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text = "update " + std::to_string(update);
        text += " at byte " + std::to_string(offset) + ": " + code.message();
        if (*what != '\0') text += std::string{" ("} + what + ")";
        return text + ": " + advice();
    }

    /// Returns `code`.
    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}}}  // namespace belay::yjs
