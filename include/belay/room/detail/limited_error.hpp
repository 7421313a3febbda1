// SPDX-License-Identifier: MIT
/// \file belay/room/detail/limited_error.hpp
/// LimitedError: an error of a client, with the option that limits the client.
#pragma once

#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/room/room_errc.hpp>

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

}}}  // namespace belay::detail
