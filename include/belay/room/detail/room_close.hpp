// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_close.hpp
/// room_close: the WebSocket code with which a client learns why it is closed.
#pragma once

#include <system_error>  // std::error_code

#include <belay/link/link_errc.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The close code for an error that has no code of its own.
[[nodiscard]] inline int room_close_code_of_cause(Cause cause,
                                                  const RoomCloseCodes& codes) noexcept {
    if (cause == Cause::protocol) return 1007;
    return cause == Cause::permanent ? codes.too_large : 1013;
}

/// The close code for an error; 1000 for none.
[[nodiscard]] inline int room_close_code(const std::error_code& why,
                                         const RoomCloseCodes& codes) noexcept {
    using Close = RoomReason::Close;
    if (!why) return 1000;
    const RoomReason* const reason = RoomReasons::find(why);
    switch (reason != nullptr ? reason->close : Close::none) {
        case Close::normal:
            return 1000;
        case Close::going_away:
            return 1001;
        case Close::unsupported:
            return 1003;
        case Close::invalid:
            return 1007;
        case Close::try_later:
            return 1013;
        case Close::history_reset:
            return 4409;
        case Close::room_erased:
            return 4410;
        case Close::unauthorized:
            return codes.unauthorized;
        case Close::forbidden:
            return codes.forbidden;
        case Close::too_large:
            return codes.too_large;
        case Close::none:
            break;
    }
    return room_close_code_of_cause(cause_of(why), codes);
}

[[nodiscard]] inline Failure room_close(const std::error_code& why,
                                        const RoomCloseCodes& codes) noexcept {
    return websocket_failure(room_close_code(why, codes));
}

}}}  // namespace belay::detail
