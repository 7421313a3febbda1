// SPDX-License-Identifier: MIT
/// \file belay/link/detail/dial_race.hpp
/// DialRace: decides which addresses of a name are dialled, and when.
#pragma once

#include <array>         // std::array
#include <chrono>        // std::chrono::milliseconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <system_error>  // std::make_error_code

#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The attempts of one dial, to addresses in a given order. It has no clock, sockets or allocation.
///
/// The next attempt starts `gap` after the last one, or at once when an attempt fails. The first
/// that connects wins; of several in one call, the first in the order. The losers are closed before
/// the win is reported. If `open_max` attempts are open when the next is due, the oldest is closed
/// after 1 s at the earliest. So silent addresses cannot keep a dial from the others. The last
/// `open_max` addresses are never given up. A DialMemory puts the silent ones there at the next
/// dial.
///
/// Call next() until it returns `wait`, then again at deadline() and after connected() or failed().
///
/// Thread safety: distinct objects safe.
/// Source:        RFC 8305, sections 5 and 8, whose recommended delay is 250 ms.
class DialRace {
public:
    static constexpr std::size_t attempts_max = 16;
    static constexpr std::size_t open_max = 4;
    static constexpr Duration gap = std::chrono::milliseconds{250};

    enum class Kind : std::uint8_t {
        wait,   ///< nothing to do until deadline()
        start,  ///< start the attempt; it is open from now on
        close,  ///< close the attempt, which may already have ended; ignore its result
        won,    ///< the dial has succeeded with this attempt; final
        failed  ///< the dial has failed with failure(); final
    };
    struct Step {
        Kind kind = Kind::wait;
        std::size_t attempt = 0;
        friend constexpr bool operator==(const Step&, const Step&) noexcept = default;
    };

    /// Dials the first `attempts_max` of so many addresses.
    explicit DialRace(std::size_t addresses) noexcept : count_{smaller(addresses, attempts_max)} {}

    /// Returns what the caller must do now.   Complexity: O(attempts_max).
    [[nodiscard]] Step next(Instant now) noexcept {
        now_ = larger(now_, now);
        if (winner_ != none) return finish();
        if (started_ < count_ && next_start() <= now_) {
            return open_ == open_max ? give_up_oldest() : start();
        }
        return {open_ == 0 && started_ == count_ ? Kind::failed : Kind::wait};
    }
    /// Reports that an open attempt has connected. Attempts that are not open are ignored.
    void connected(std::size_t attempt) noexcept {
        if (is_open(attempt)) winner_ = smaller(winner_, attempt);
    }
    /// Reports that an open attempt has failed. Attempts that are not open are ignored.
    void failed(std::size_t attempt, const Failure& failure) noexcept {
        if (!is_open(attempt)) return;
        end(attempt, failure);
        due_ = true;
    }
    /// Returns the time of the next call of next(), unless an attempt ends before.
    [[nodiscard]] Instant deadline() const noexcept {
        if (winner_ != none) return always;
        if (started_ < count_) return next_start();
        // One more call finds out whether the last attempt is silent.
        return open_ != 0 && now_ < gap_ends_ ? gap_ends_ : never;
    }

    /// Returns the number of attempts so far.
    [[nodiscard]] std::size_t started() const noexcept { return started_; }
    [[nodiscard]] std::size_t open() const noexcept { return open_; }
    [[nodiscard]] bool is_open(std::size_t attempt) const noexcept {
        return attempt < started_ && attempts_[attempt].state == State::open;
    }
    [[nodiscard]] bool has_won() const noexcept { return winner_ != none; }
    /// Pre: has_won().
    [[nodiscard]] std::size_t winner() const noexcept { return winner_; }
    /// Returns the time of the last call of next().
    [[nodiscard]] Instant now() const noexcept { return now_; }
    /// Returns whether the attempt did not answer.
    /// - It was given up, or it timed out.
    /// - A later attempt won that began at least `gap` after it.
    /// - It has been open for `gap`.
    [[nodiscard]] bool was_silent(std::size_t attempt) const noexcept {
        const Attempt& a = attempts_[attempt];
        if (a.state == State::open && attempt != winner_) return gap <= elapsed(a.began, now_);
        return a.failure.cause == Cause::timed_out;
    }
    /// Returns why a closed attempt failed; empty for a loser that had time left.
    [[nodiscard]] const Failure& failure_of(std::size_t attempt) const noexcept {
        return attempts_[attempt].failure;
    }
    /// Returns the most severe failure of all attempts; of equal ones, the first. One of this side
    /// counts only if all are: often, it has no route to one family of addresses.
    [[nodiscard]] Failure failure() const noexcept {
        Failure theirs, ours;
        for (std::size_t i = 0; i < started_; ++i) {
            const Failure& one = attempts_[i].failure;
            Failure& worst = one.origin == Failure::Origin::local ? ours : theirs;
            worst = more_severe(worst, one);
        }
        return theirs.cause != Cause::none ? theirs : ours;
    }

private:
    static constexpr std::size_t none = attempts_max;
    /// The least time of an attempt before it is given up for another address.
    static constexpr Duration time_min = open_max * gap;

    enum class State : std::uint8_t { open, ended };
    struct Attempt {
        State state = State::ended;
        Instant began = never;
        Failure failure{};
    };

    [[nodiscard]] static Failure silence() noexcept {
        return Failure::from(std::make_error_code(std::errc::timed_out));
    }
    /// Returns when the next attempt may start.   Pre: one is left.
    [[nodiscard]] Instant next_start() const noexcept {
        const Instant due = due_ ? always : gap_ends_;
        return open_ < open_max ? due : larger(due, after(attempts_[oldest()].began, time_min));
    }
    [[nodiscard]] std::size_t oldest() const noexcept {
        std::size_t i = 0;
        while (!is_open(i)) ++i;
        BELAY_INVARIANT(i < started_, "DialRace: an attempt must be open");
        return i;
    }
    [[nodiscard]] Step start() noexcept {
        const std::size_t i = started_++;
        attempts_[i] = {State::open, now_, {}};
        ++open_;
        due_ = false;
        gap_ends_ = after(now_, gap);
        return {Kind::start, i};
    }
    [[nodiscard]] Step give_up_oldest() noexcept {
        const std::size_t i = oldest();
        end(i, silence());
        return {Kind::close, i};
    }
    /// Closes the losers, one in each call.
    [[nodiscard]] Step finish() noexcept {
        for (std::size_t i = 0; i < started_; ++i) {
            if (i == winner_ || !is_open(i)) continue;
            const bool silent = gap <= elapsed(attempts_[i].began, attempts_[winner_].began);
            end(i, silent ? silence() : Failure{});
            return {Kind::close, i};
        }
        return {Kind::won, winner_};
    }
    void end(std::size_t i, const Failure& failure) noexcept {
        attempts_[i].state = State::ended;
        attempts_[i].failure = failure;
        --open_;
    }

    std::array<Attempt, attempts_max> attempts_{};
    std::size_t count_;
    std::size_t started_ = 0;
    std::size_t open_ = 0;
    std::size_t winner_ = none;
    bool due_ = true;  // the next attempt need not wait for the end of the gap
    Instant gap_ends_ = never;
    Instant now_ = always;
};

}}}  // namespace belay::detail
