// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_pace.hpp
/// HttpPace: when the next request to a host may be sent, after the host has asked for a wait.
#pragma once

#include <cstdint>      // std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::swap

#include <belay/core/http_failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rate that a host accepts, learned from the times between two answers of 429.
///
/// The first rate is the mean of the last such cycle, its wait included. The host can sustain it.
/// It grows by a fifth each second. The next 429 shows by how much it was too high: by the excess
/// that has used up the burst which the host allows. From then on, it grows by 0.5 % each second.
/// After a minute without a 429 it grows fast again, until it limits nothing.
///
/// The model is a host that rejects all requests for 2 s after one too many, and restarts that time
/// at each request. There a CubicRate gets 60 to 80 % of what the host accepts. This rate gets 83
/// to 89 % in the first minute, and 92 to 94 % in five.
///
/// Rates are in thousandths per second, and computed with integers.
///
/// Thread safety: a plain value.
class HttpRate {
public:
    /// Returns the time between two requests; 0ns if nothing is limited.
    [[nodiscard]] Duration gap() const noexcept {
        constexpr std::uint64_t ns_milli = 1'000'000'000'000;
        return Duration{rate_ == 0 ? 0 : static_cast<Duration::rep>(ns_milli / rate_)};
    }
    /// The host has accepted a request.
    void accepted(Instant now) noexcept {
        constexpr Duration window = std::chrono::seconds{10};
        if (count_ == 0 && rate_ == 0) began_ = now;
        ++count_;
        if (rate_ != 0) return grow(now);
        // Without a limit, the mean is that of the last requests.
        if (elapsed(began_, now) > window) {
            count_ /= 2;
            began_ = after(began_, elapsed(began_, now) / 2);
        }
    }
    /// The host has had too many requests, and accepts none until an instant.
    void rejected(Instant now, Instant until) noexcept {
        if (count_ == 0 && rate_ != 0) {  // the wait was too short, and the rate is not known
            began_ = step_began_ = until;
            return;
        }
        if (count_ == 0 && rate_ == 0) began_ = now;
        const std::uint64_t mean = larger(rate_over(elapsed(began_, until)), rate_min);
        if (rate_ == 0 || mean < base_ / 2) {
            const std::uint64_t active = microseconds(elapsed(began_, now));
            const std::uint64_t sustained = mean * active / 1'000'000'000;
            burst_ = count_ > sustained + 1 ? count_ - sustained : 1;
            rate_ = mean;
            growth_ = fast;
        } else {
            // The burst is the excess over the host's rate r. A rate of q, reached by a growth of
            // g, has an excess of about x^2 / (2 g (r + 2 x / 3)), with x = q - r.
            const std::uint64_t gb = growth_ * burst_;
            const std::uint64_t excess = root(gb / 3 * (gb / 3) + 2 * gb * rate_) - gb / 3;
            const std::uint64_t host = rate_ > excess ? rate_ - excess : 0;
            rate_ = larger(mean, host * 98 / 100);
            growth_ = slow;
        }
        base_ = rate_;
        count_ = 0;
        began_ = step_began_ = until;
    }

private:
    static constexpr std::uint64_t fast = 200, slow = 5;  // thousandths per second
    static constexpr std::uint64_t rate_min = 1'000;
    static constexpr std::uint64_t rate_max = 10'000'000;
    static constexpr Duration step = std::chrono::milliseconds{500};
    static constexpr Duration calm = std::chrono::seconds{60};

    void grow(Instant now) noexcept {
        if (elapsed(began_, now) > calm) growth_ = fast;
        for (; elapsed(step_began_, now) >= step && rate_ != 0;
             step_began_ = after(step_began_, step)) {
            rate_ += larger(rate_ * growth_ / 2000, std::uint64_t{1});
            if (rate_ > rate_max) rate_ = count_ = 0;
        }
    }
    [[nodiscard]] static std::uint64_t microseconds(Duration time) noexcept {
        return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) / 1000 : 0;
    }
    [[nodiscard]] std::uint64_t rate_over(Duration time) const noexcept {
        return count_ * 1'000'000'000 / larger(microseconds(time), std::uint64_t{1});
    }
    [[nodiscard]] static std::uint64_t root(std::uint64_t value) noexcept {
        std::uint64_t low = 0, high = std::uint64_t{1} << 32U;
        while (high - low > 1) {
            const std::uint64_t middle = low + (high - low) / 2;
            (middle * middle <= value ? low : high) = middle;
        }
        return low;
    }

    Instant began_ = always;       // the cycle
    Instant step_began_ = always;  // of the growth
    std::uint64_t count_ = 0;      // accepted in this cycle
    std::uint64_t rate_ = 0;       // 0: no limit
    std::uint64_t base_ = 0;       // the rate at the begin of this cycle
    std::uint64_t burst_ = 1;      // what the host accepts above its rate
    std::uint64_t growth_ = fast;
};

/// The pace of one host. It limits nothing until the host asks for a wait by a Retry-After.
///
/// No request is sent during the wait. Then one goes first, and the others follow when it has its
/// answer, at the rate of an HttpRate.
///
/// Thread safety: a plain value.
class HttpPace {
public:
    /// Returns when the last wait that the host has asked for ends.
    [[nodiscard]] Instant resumes_at() const noexcept { return resumes_at_; }
    /// Returns when the next request may be sent.
    [[nodiscard]] Instant next(Instant now) const noexcept {
        const Instant at = larger(larger(next_, resumes_at_), now);
        // The first request after a wait has no answer yet.
        return is_probing_ ? larger(at, after(now, std::chrono::milliseconds{50})) : at;
    }
    /// Returns when the next request may be sent for a caller with this number in the line. It is
    /// an estimate, because the rate changes, and callers leave.
    [[nodiscard]] Instant next(Instant now, std::uint64_t number) const noexcept {
        const std::uint64_t ahead = number > left_ ? number - left_ : 0;
        return after(next(now), part::saturating_multiply(rate_.gap(), ahead));
    }
    /// Returns the number of a caller that begins to wait; leave() ends the wait.
    [[nodiscard]] std::uint64_t join() noexcept { return joined_++; }
    void leave() noexcept { ++left_; }
    [[nodiscard]] std::uint64_t last_number() const noexcept { return joined_; }

    /// A request is sent. Returns whether it is the first one after a wait.
    [[nodiscard]] bool begin(Instant now) noexcept {
        next_ = after(now, rate_.gap());
        if (!std::exchange(is_first_, false)) return false;
        return is_probing_ = true;
    }
    void probe_ended() noexcept { is_probing_ = false; }

    /// The host has accepted a request.
    void accepted(Instant now) noexcept { rate_.accepted(now); }
    /// The host asks for a wait. `learns`: because it has had too many requests.
    void asked(Duration wait, bool learns, Instant now) noexcept {
        const Instant until = after(now, wait);
        const bool is_new = now >= resumes_at_;  // not the answer to a request under way
        if (is_new && learns) rate_.rejected(now, until);
        resumes_at_ = larger(resumes_at_, until);
        spread_ = wait / 8;
        is_first_ = true;
        is_probing_ = false;
    }
    /// Draws the delay of the first request after a wait, so that not all processes send theirs at
    /// the same instant.
    void spread(Turn& turn) noexcept {
        const auto most = static_cast<std::uint64_t>(std::exchange(spread_, Duration{}).count());
        if (most == 0) return;
        const Duration drawn{static_cast<Duration::rep>(uniform_upto(turn.bits, most))};
        next_ = larger(next_, after(resumes_at_, drawn));
    }

private:
    HttpRate rate_{};
    Instant resumes_at_ = always;
    Duration spread_{};      // the longest delay of the first request after it; 0: it is drawn
    Instant next_ = always;  // the next request, by the rate
    std::uint64_t joined_ = 0, left_ = 0;  // callers that have begun, and ended, to wait
    bool is_first_ = false;                // no request was sent since the wait
    bool is_probing_ = false;
};

/// Holds the requests of one call back until the pace of its host allows them. It rejects a call
/// that would wait beyond its deadline, or longer than for a Retry-After of its own.
///
/// Thread safety: a plain value.
class HttpPaced {
public:
    static constexpr std::string_view name = "HttpPace";

    HttpPaced(HttpPace& pace, Instant deadline, Duration wait_max) noexcept
        : pace_{&pace}, deadline_{deadline}, wait_max_{wait_max} {}

    // A copy is the rule of another run.
    HttpPaced(const HttpPaced& other) noexcept
        : HttpPaced{*other.pace_, other.deadline_, other.wait_max_} {}
    HttpPaced(HttpPaced&& other) noexcept
        : pace_{other.pace_},
          deadline_{other.deadline_},
          wait_max_{other.wait_max_},
          number_{std::exchange(other.number_, std::nullopt)},
          is_probe_{std::exchange(other.is_probe_, false)} {}
    HttpPaced& operator=(HttpPaced other) noexcept {
        std::swap(pace_, other.pace_);
        std::swap(deadline_, other.deadline_);
        std::swap(wait_max_, other.wait_max_);
        std::swap(number_, other.number_);
        std::swap(is_probe_, other.is_probe_);
        return *this;
    }
    ~HttpPaced() { leave(); }

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        // Without a number, begin() takes one.
        return number_ || now < pace_->resumes_at() ? waits(now) : Advice::go();
    }
    [[nodiscard]] Advice begin(Turn& turn) noexcept {
        if (turn.now >= pace_->resumes_at()) pace_->spread(turn);
        if (pace_->next(turn.now) > turn.now) {
            const Advice advice = waits(turn.now);
            if (!number_ && advice.verb != Advice::Verb::stop) number_ = pace_->join();
            return advice;
        }
        leave();
        is_probe_ = pace_->begin(turn.now);
        return Advice::go();
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        abandoned(turn);
        if (failure.category != &http_category()) return Advice::go();
        constexpr int too_many_requests = 429, unavailable = 503;
        const bool learns = failure.code == too_many_requests;
        if (failure.retry_after > Duration::zero() && (learns || failure.code == unavailable)) {
            constexpr Duration most = std::chrono::hours{1};
            pace_->asked(smaller(failure.retry_after, most), learns, turn.now);
        } else {
            pace_->accepted(turn.now);
        }
        return Advice::go();
    }
    void succeeded(Turn& turn) noexcept {
        abandoned(turn);
        pace_->accepted(turn.now);
    }
    void abandoned(Turn&) noexcept {
        leave();
        if (std::exchange(is_probe_, false)) pace_->probe_ended();
    }

private:
    void leave() noexcept {
        if (std::exchange(number_, std::nullopt)) pace_->leave();
    }
    [[nodiscard]] Advice waits(Instant now) const noexcept {
        if (pace_->next(now) <= now) return Advice::go();
        const Instant at = pace_->next(now, number_ ? *number_ : pace_->last_number());
        if (at > deadline_ || elapsed(now, at) > wait_max_) return {Advice::Verb::stop, at, name};
        // Earlier than the estimate, because the line may be faster.
        return Advice::suspend(larger(pace_->next(now), after(now, elapsed(now, at) / 2)));
    }

    HttpPace* pace_;
    Instant deadline_;
    Duration wait_max_;
    std::optional<std::uint64_t> number_{};  // while it waits
    bool is_probe_ = false;
};

}}}  // namespace belay::detail
