// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_errc.hpp
/// YjsErrc: the errors of Yjs updates, state vectors and documents.
#pragma once

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
