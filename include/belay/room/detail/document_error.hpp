// SPDX-License-Identifier: MIT
/// \file belay/room/detail/document_error.hpp
/// Which errors of a document mean that an update is damaged, or that the document is full.
#pragma once

#include <system_error>  // std::error_code

#include <belay/room/room_errc.hpp>
#include <belay/yjs/yjs_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether the bytes of an update are damaged.
[[nodiscard]] inline bool is_malformed_update(const std::error_code& error) noexcept {
    return error == RoomErrc::malformed_update || error == YjsErrc::malformed_update;
}

/// Whether the document would exceed its limit.
[[nodiscard]] inline bool is_document_full(const std::error_code& error) noexcept {
    return error == RoomErrc::document_full || error == YjsErrc::document_full;
}

}}}  // namespace belay::detail
