// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_answers.hpp
/// RoomAnswers: the room that there is for answers to state vectors, and who waits for it.
#pragma once

#include <algorithm>  // std::sort
#include <array>      // std::array
#include <chrono>     // std::chrono::seconds
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <deque>      // std::deque
#include <utility>    // std::exchange
#include <vector>     // std::erase_if, std::vector

#include <belay/room/detail/room_state.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Shares `answers_bytes_max` among all clients: who finds no room waits in line. An answer keeps
/// its room however slowly it is taken, while nobody needs it. For who is first in line those who
/// have had one under way for `heartbeat.dead_after` are closed: they dial again, and go on from
/// what they have.
///
/// Answers that are cut as they are sent have a line and as much room for themselves: nobody who
/// joins a small document waits for them.
///
/// `Owner` has `seat(id)`, `all()` and `fail_peer(RoomPeer&, std::error_code)`.
///
/// Thread safety: the manager's home thread.
template <class Owner>
class RoomAnswers {
public:
    RoomAnswers(Owner& owner, const RoomOptions& options) noexcept
        : owner_{&owner}, options_{&options} {}
    RoomAnswers(const RoomAnswers&) = delete;
    RoomAnswers& operator=(const RoomAnswers&) = delete;

    /// Whether an answer of so many bytes is begun now; if not its client has a place in line.
    ///
    /// Pre: its client has no answer under way.   Complexity: O(1); where there is no room
    /// O(clients), once a second, and for each client that has to go.
    [[nodiscard]] bool has_space(RoomSeat& seat, std::size_t bytes, AnswerLine which, Instant now) {
        std::deque<std::uint64_t>& line = lines_[index(which)];
        while (!line.empty() && !waits(line.front(), seat, which)) leave(line, which);
        const bool first = line.empty() || line.front() == seat.id;
        if (first && !fits(bytes, which)) make_space(bytes, which, now);
        if (first && fits(bytes, which)) {
            if (!line.empty()) leave(line, which);
            return true;
        }
        if (std::exchange(seat.line, which) != which) line.push_back(seat.id);
        return false;
    }

    /// Whether others are before it in line.
    [[nodiscard]] bool is_behind(const RoomSeat& seat) const noexcept {
        if (seat.line == AnswerLine::none) return false;
        const std::deque<std::uint64_t>& line = lines_[index(seat.line)];
        return !line.empty() && line.front() != seat.id;
    }

    std::size_t waiting = 0;  ///< bytes that were cut, and wait to be sent
    std::size_t uncut = 0;    ///< of answers that are cut as they are sent, the whole

private:
    [[nodiscard]] static constexpr std::size_t index(AnswerLine which) noexcept {
        return which == AnswerLine::parts ? 1 : 0;
    }
    [[nodiscard]] bool fits(std::size_t bytes, AnswerLine which) const noexcept {
        const std::size_t held = which == AnswerLine::parts ? uncut : waiting;
        const std::size_t most = options_->answers_bytes_max;
        return held == 0 || (held <= most && bytes <= most - held);
    }
    /// Whether that one could have its answer now. Who has first to take something else loses its
    /// place: all others would wait for that.
    [[nodiscard]] bool waits(std::uint64_t id, const RoomSeat& asks, AnswerLine which) const {
        const RoomSeat* const seat = owner_->seat(id);
        if (seat == nullptr || seat->line != which) return false;
        if (seat == &asks) return true;
        return seat->stage == SeatStage::member && seat->asked && seat->retry_at != never &&
               seat->peer->output.empty() && !seat->peer->answer && seat->room->core.live();
    }
    void leave(std::deque<std::uint64_t>& line, AnswerLine which) {
        RoomSeat* const seat = owner_->seat(line.front());
        if (seat != nullptr && seat->line == which) seat->line = AnswerLine::none;
        line.pop_front();
    }
    /// Ends whose answers are overdue, the oldest first, and no more than it takes.
    void make_space(std::size_t bytes, AnswerLine which, Instant now) {
        Instant& look_at = look_at_[index(which)];
        if (look_at > now) return;
        std::vector<RoomSeat*> seats = owner_->all();
        const auto due = [&](const RoomSeat* seat) {
            const RoomPeer& peer = *seat->peer;
            const bool holds = which == AnswerLine::parts ? static_cast<bool>(peer.answer)
                                                          : peer.output.answers() != 0;
            return holds ? after(peer.answers_from, options_->heartbeat.dead_after) : never;
        };
        std::erase_if(seats, [&](const RoomSeat* seat) { return due(seat) > now; });
        std::sort(seats.begin(), seats.end(), [](const RoomSeat* a, const RoomSeat* b) {
            return a->peer->answers_from < b->peer->answers_from;
        });
        for (const RoomSeat* const seat : seats) {
            if (fits(bytes, which)) return;
            // Its connection may have ended with another of its documents.
            if (due(seat) <= now)
                owner_->fail_peer(*seat->peer, make_error_code(RoomErrc::too_slow));
        }
        // To look for them costs time.
        if (!fits(bytes, which)) look_at = after(now, std::chrono::seconds{1});
    }

    Owner* owner_;
    const RoomOptions* options_;
    std::array<std::deque<std::uint64_t>, 2> lines_{};
    std::array<Instant, 2> look_at_{always, always};
};

}}}  // namespace belay::detail
