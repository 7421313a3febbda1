// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_news.hpp
/// RoomNews: how far a room of a manager is with what other servers do to it.
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

/// Between what failed and its next try: doubles from RoomOptions::save_retry_min to
/// save_retry_max, and begins anew when nothing has failed for that long.
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
struct RoomNews {
    [[nodiscard]] Instant deadline() const noexcept { return smaller(asked.deadline(), again_at); }

    /// A change of this server's is in the document, and has not come back yet.
    void expect(std::uint64_t own) {
        // Beyond it one that comes back is sent to clients twice, which changes nothing for them.
        if (echoes.size() >= echoes_max) {
            echoes.erase(echoes.begin(), echoes.begin() + std::ptrdiff_t{echoes_max / 2});
        }
        echoes.push_back(own);
    }
    /// It comes back.   Returns: false if it was not expected.
    [[nodiscard]] bool comes_back(std::uint64_t own) {
        const auto found = std::find(echoes.begin(), echoes.end(), own);
        if (found == echoes.end()) return false;
        echoes.erase(found);
        return true;
    }

    static constexpr std::size_t echoes_max = 65'536;

    driver::Question<Result<part::FanoutNews, PersistenceError>> asked;
    Instant again_at = never;      ///< it is asked, or loaded, again
    Instant recovers_at = always;  ///< a gap is looked at not before
    RoomPause failed{};            ///< how long what failed waits
    std::uint64_t read = 0;        ///< position of the last entry that was read
    std::vector<std::uint64_t> echoes{};
    bool lacks = false;     ///< the storage has lost what the document has: it is loaded
    bool begins = false;    ///< its history must be begun again, under its epoch
    bool unproven = false;  ///< nobody has said yet that its history is begun
    bool frozen = false;    ///< an entry is not in the document: no snapshot covers it
    bool gives = false;     ///< what it had is given back, and the storage has not said yet: taken
    bool waits = false;     ///< for that: another history is there, which is not touched before
    bool joins = false;     ///< it was taken: the room is what is there
};

}}}  // namespace belay::detail
