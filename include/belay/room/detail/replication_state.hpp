// SPDX-License-Identifier: MIT
/// \file belay/room/detail/replication_state.hpp
/// ReplicationState: the progress of a room in the changes of other servers.
#pragma once

#include <algorithm>  // std::find
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The delay after a failure. It doubles from RoomOptions::save_retry_min to save_retry_max, and
/// starts again after save_retry_max without a failure.
struct RoomPause {
    [[nodiscard]] Duration next(Instant now, const RoomOptions& options) noexcept {
        if (after(until, options.save_retry_max) < now) times = 0;
        const Duration wait =
            smaller(part::saturating_multiply(options.save_retry_min, std::uint64_t{1} << times),
                    options.save_retry_max);
        if (times < 32) ++times;
        until = after(now, wait);
        return wait;
    }
    Instant until = always;
    unsigned times = 0;
};

/// Thread safety: the manager's home thread.
struct ReplicationState {
    [[nodiscard]] Instant deadline() const noexcept {
        return smaller(subscription.deadline(), again_at);
    }

    /// A change of this server is in the document, and its echo has not arrived yet.
    void expect_echo(std::uint64_t own) {
        // Above the limit, an echo is sent to clients a second time, which changes nothing for
        // them.
        if (echoes.size() >= echoes_max) {
            echoes.erase(echoes.begin(), echoes.begin() + std::ptrdiff_t{echoes_max / 2});
        }
        echoes.push_back(own);
    }
    /// Takes an echo.   Returns: false if it was not expected.
    [[nodiscard]] bool take_echo(std::uint64_t own) {
        const auto found = std::find(echoes.begin(), echoes.end(), own);
        if (found == echoes.end()) return false;
        echoes.erase(found);
        return true;
    }

    static constexpr std::size_t echoes_max = 65'536;

    driver::Question<Result<part::FanoutNews, PersistenceError>> subscription;
    Instant again_at = never;      ///< the next subscription, or load
    Instant recovers_at = always;  ///< the earliest next load after a gap
    RoomPause failed{};            ///< the delay after a failure
    std::uint64_t read = 0;        ///< position of the last entry that was read
    std::vector<std::uint64_t> echoes{};
    bool needs_load = false;         ///< the storage has lost changes of the document: load it
    bool must_begin = false;         ///< its history must be begun again, under its epoch
    bool begin_unconfirmed = false;  ///< the storage has not confirmed the history
    bool frozen = false;             ///< an entry is not in the document: no snapshot covers it
    bool restoring = false;          ///< lost changes are being stored again
    bool awaits_restore = false;     ///< the storage has another history, which waits for that
    bool adopts_stored = false;      ///< they are stored: the room adopts the stored history
};

}}}  // namespace belay::detail
