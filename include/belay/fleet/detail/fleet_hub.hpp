// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/fleet_hub.hpp
/// FleetHub: who may dial, and whether it is the network that failed.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::exchange, std::move

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/equal_jitter.hpp>
#include <belay/fleet/detail/fleet_seat.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/network_suspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What the services of a fleet share; outlives it while there are services.
///
/// Thread safety: the fleet's home thread.
struct FleetHub : Counted {
    explicit FleetHub(const FleetOptions& o)
        : options{o}, waits{EqualJitter{}, Cap{o.suspect_wait_max}, o.suspect_wait} {}

    // ---- a connection's way --------------------------------------------------------------------

    /// A service wants to dial.   Throws: std::bad_alloc.
    void enter_line(FleetSeat& seat) {
        leave(seat);
        // Not a rank above all lower ones: whoever waits gets ahead of those that ask later.
        const auto steps = static_cast<std::uint64_t>(seat.priority);
        seat.at = before(seat.asked_at, part::saturating_multiply(options.head_start, steps));
        line.push(seat);
        seat.phase = SeatPhase::in_line;
        touch();
    }
    void connected(FleetSeat& seat, Instant now) noexcept {
        if (seat.phase != SeatPhase::dialling) return;
        leave(seat);
        seat.phase = SeatPhase::connected;
        ++up;
        prove(now);
    }
    /// A connection failed in a way that the network may be the cause of: it waits for judge().
    void hold(FleetSeat& seat, const Failure& failure, Instant now) noexcept {
        leave(seat);
        seat.phase = SeatPhase::held;
        seat.at = now;
        seat.was_held = true;
        seat.told_at = always;
        seat.failure = failure;
        held.push(seat);
        touch();
    }
    /// Its connection is no more.
    void leave(FleetSeat& seat) noexcept {
        switch (seat.phase) {
            case SeatPhase::in_line:
                line.remove(seat);
                break;
            case SeatPhase::dialling:
                dialling.remove(seat);
                if (!line.empty()) touch();
                break;
            case SeatPhase::connected:
                --up;
                break;
            case SeatPhase::held:
                held.remove(seat);
                break;
            default:
                break;
        }
        seat.phase = SeatPhase::idle;
    }
    /// Something was heard from beyond: the network works.
    void prove(Instant now) noexcept {
        proven_at = larger(proven_at, now);
        suspect = false;
        wait_until = always;
        waits.reset();
    }
    /// A service has gone from one state to another.
    void moved(FleetSeat& seat, LinkState to) noexcept {
        --count(seat.counted);
        seat.counted = to;
        ++count(to);
    }
    [[nodiscard]] std::size_t& count(LinkState state) noexcept {
        return counts[static_cast<std::size_t>(state)];
    }
    /// Those that are connected, or want to be.
    [[nodiscard]] std::size_t seeking() noexcept {
        return count(LinkState::connecting) + count(LinkState::connected) +
               count(LinkState::cooldown) + count(LinkState::suspended);
    }

    // ---- a fleet's turn ------------------------------------------------------------------------

    [[nodiscard]] Instant deadline() const noexcept {
        Instant due = never;
        if (!line.empty() && dialling.size() < options.dials_max) due = next_dial;
        if (held.size() != 0) due = smaller(due, after(held.front()->at, options.hold));
        return due;
    }
    /// Lets dial whose turn it is.
    void let_dial(Instant now) {
        while (!line.empty() && dialling.size() < options.dials_max && next_dial <= now) {
            FleetSeat& seat = line.front();
            // First: without memory it stays in line.
            seat.ops->dial(seat);
            line.remove(seat);
            seat.phase = SeatPhase::dialling;
            seat.passes = false;
            seat.at = now;
            dialling.push(seat);
            next_dial = after(now, options.dial_gap);
        }
    }
    /// Judges the failures that were held long enough.
    /// Returns: what to tell, if the network is suspect.
    std::optional<NetworkSuspect> judge(Instant now, Random& bits) {
        std::optional<NetworkSuspect> found;
        while (held.size() != 0 && after(held.front()->at, options.hold) <= now) {
            if (all_failed()) {
                if (auto what = condemn(now, bits)) found = what;
            } else {
                FleetSeat& seat = *held.front();
                pass_on(seat, seat.failure);
            }
        }
        return found;
    }

    const FleetOptions options;
    const Waker* waker = nullptr;  ///< the fleet's; null without one
    DialLine line;
    SeatList dialling;  ///< in the order of their dials
    SeatList held;      ///< in the order of their failures
    std::size_t up = 0;
    std::array<std::size_t, link_states> counts{};
    Instant next_dial = always;
    Instant proven_at = always;   ///< when something was last heard from beyond
    Instant wait_until = always;  ///< no attempt before this, while the network is suspect
    bool suspect = false;

private:
    using Waits = decltype(Backoff{EqualJitter{}, Cap{forever}, Duration{1}});

    /// Whether all that were alive when the first of the held failed have failed by now.
    [[nodiscard]] bool all_failed() noexcept {
        const Instant first = held.front()->at;
        if (up != 0 || proven_at >= first) return false;
        // In an outage that is known they fail one by one, and who still dials is no witness.
        if (suspect && seeking() >= options.suspects_min) return true;
        return held.size() >= options.suspects_min &&
               (dialling.size() == 0 || dialling.front()->at >= first);
    }
    /// It was the network: nobody's failure, one common wait.
    std::optional<NetworkSuspect> condemn(Instant now, Random& bits) {
        NetworkSuspect what{held.front()->at, never, held.size(), 0, held.front()->failure};
        while (held.size() != 0) {
            Failure planned = held.front()->failure;
            planned.cause = Cause::planned;
            // Nothing of what a server asked for came through a network that is down.
            planned.retry_after = {};
            pass_on(*held.front(), planned);
        }
        while (!line.empty()) {
            // Or those that hang in each dial, and ask first whenever all do, had all dials.
            line.front().keeps_rank = true;
            pass_on(line.front(), {.cause = Cause::planned});
        }
        // Latecomers join the wait that the others are in.
        if (std::exchange(suspect, true) && wait_until > now) return std::nullopt;
        what.retry_at = wait_until = after(now, waits.next(bits));
        what.times = static_cast<std::size_t>(waits.attempts());
        return what;
    }
    void pass_on(FleetSeat& seat, const Failure& failure) {
        leave(seat);
        seat.phase = SeatPhase::judged;
        seat.ops->close(seat, failure);
    }
    void touch() const noexcept {
        if (waker != nullptr) waker->touch();
    }

    Waits waits;
};

inline FleetSeat::FleetSeat(const FleetOps& o, Ref<FleetHub> h, std::string n) noexcept
    : ops{&o}, hub{std::move(h)}, name{std::move(n)} {}
inline FleetSeat::~FleetSeat() = default;

}}}  // namespace belay::detail
