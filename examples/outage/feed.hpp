// SPDX-License-Identifier: MIT
/// \file outage/feed.hpp
/// Feed: reads the lines of a file at a given rate, and gives them to a session.
#pragma once

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include <belay/core/machine_like.hpp>
#include <belay/queue/queue_errc.hpp>

#include "lines.hpp"
#include "options.hpp"

namespace outage {

/// Gives line n to the session as operation n.
///
/// Only the session's journal stores how far the feed has read. Its next line is the one after the
/// last line in the journal, also after a crash. When the queue is full it stops reading, until
/// go_on().
///
/// Models: belay::MachineLike.
template <class Session>
class Feed {
public:
    Feed(Session& session, const Lines& lines, Rate rate, std::uint64_t upto)
        : session_{session},
          lines_{lines},
          upto_{upto},
          step_{rate == 0 ? belay::Duration::zero()
                          : belay::Duration{static_cast<belay::Duration::rep>(1e9 / rate)}} {}

    void attach(belay::Waker waker) {
        waker_ = std::move(waker);
        due_ = waker_.now();
    }

    [[nodiscard]] belay::Instant deadline() const noexcept {
        return full_ || error_ || next() > std::min(upto_, lines_.count()) ? belay::never : due_;
    }

    void advance(belay::Instant now) {
        // After an outage it makes up for the lines that it missed, for a second of them at most.
        due_ = std::max(due_, now - std::chrono::seconds{1});
        for (unsigned left = lines_per_turn_max; left != 0 && deadline() <= now; --left) {
            const auto taken = session_.send(belay::as_bytes(lines_.at(next())));
            full_ = taken.error() == belay::QueueErrc::queue_full;
            if (!full_) error_ = taken.error();
            if (!taken) return;
            due_ = belay::after(due_, step_);
        }
    }

    /// There is room in the queue again.
    void go_on() {
        full_ = false;
        waker_.touch();
    }
    /// Lines above `number` are not read yet.
    void set_upto(std::uint64_t number) {
        upto_ = number;
        waker_.touch();
    }
    /// Why it will never go on; none if it will.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

private:
    static constexpr unsigned lines_per_turn_max = 64;

    [[nodiscard]] std::uint64_t next() const noexcept {
        return session_.queue().storage().last() + 1;
    }

    Session& session_;
    const Lines& lines_;
    std::uint64_t upto_;
    belay::Duration step_;
    belay::Waker waker_;
    belay::Instant due_ = belay::always;
    bool full_ = false;
    std::error_code error_;
};

}  // namespace outage
