// SPDX-License-Identifier: MIT
/// \file belay/room/detail/limited_error.hpp
/// LimitedError, is_document_full: why a message of a client is rejected.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/room/room_errc.hpp>
#include <belay/yjs/yjs_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Why a message of a client is rejected.
struct LimitedError {
    LimitedError() = default;
    LimitedError(std::error_code error, std::string_view option = {}) noexcept
        : code{error}, limit{option} {}
    LimitedError(RoomErrc error, std::string_view option = {}) noexcept
        : code{error}, limit{option} {}

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }

    std::error_code code{};
    std::string_view limit{};  ///< a member of RoomOptions, as a text that stays valid; or empty
};

/// Whether the bytes of an update are damaged.
[[nodiscard]] inline bool is_malformed_update(const std::error_code& error) noexcept {
    return error == RoomErrc::malformed_update || error == YjsErrc::malformed_update;
}

/// Whether the document would exceed its limit.
[[nodiscard]] inline bool is_document_full(const std::error_code& error) noexcept {
    return error == RoomErrc::document_full || error == YjsErrc::document_full;
}

}}}  // namespace belay::detail
