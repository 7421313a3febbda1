// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_close.hpp
/// room_close: the WebSocket code with which a client learns why it is closed.
#pragma once

#include <system_error>  // std::error_code

#include <belay/link/close_code.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The close code for an error; 1000 for none.
[[nodiscard]] inline int room_close_code(const std::error_code& why,
                                         const RoomCloseCodes& codes) noexcept {
    if (!why || why == RoomErrc::client_removed) return 1000;
    if (why == RoomErrc::unauthorized) return codes.unauthorized;
    if (why == RoomErrc::forbidden || why == RoomErrc::bad_room_id) return codes.forbidden;
    if (why == RoomErrc::history_reset) return 4409;
    if (why == RoomErrc::room_erased) return 4410;
    // The client may try again later: another tab of its user may have nothing too large.
    if (why == RoomErrc::retried_too_soon) return 1013;
    if (why == RoomErrc::unknown_message) return 1003;
    if (why == RoomErrc::manager_stopped) return 1001;
    switch (cause_of(why)) {
        case Cause::protocol:
            return 1007;
        case Cause::permanent:
            return codes.too_large;
        default:
            return 1013;
    }
}

[[nodiscard]] inline Failure room_close(const std::error_code& why,
                                        const RoomCloseCodes& codes) noexcept {
    return websocket_failure(room_close_code(why, codes));
}

}}}  // namespace belay::detail
