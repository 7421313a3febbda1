// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/stability_model.hpp
/// StabilityModel: plays the calls of check::stability in virtual time.
#pragma once

#include <algorithm>  // std::push_heap, std::pop_heap, std::max
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/random.hpp>
#include <belay/policy/detail/stability_caller.hpp>
#include <belay/policy/detail/stability_server.hpp>
#include <belay/policy/stability_report.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The coming events of the calls or connections of a run, the earliest first.
class StabilityEvents {
public:
    struct Event {
        Instant at;
        std::uint64_t order;  // its number, so that ties end as they began, and the call's index

        [[nodiscard]] std::uint32_t index() const noexcept {
            return static_cast<std::uint32_t>(order);
        }
        [[nodiscard]] bool operator<(const Event& other) const noexcept {
            return at != other.at ? at > other.at : order > other.order;
        }
    };

    void push(Instant at, std::uint32_t index) {
        events_.push_back(Event{at, numbers_++ << 32 | index});
        std::push_heap(events_.begin(), events_.end());
    }
    [[nodiscard]] bool due(Instant now) const noexcept {
        return !events_.empty() && events_.front().at <= now;
    }
    /// Pre: an event is due.
    [[nodiscard]] Event pop() {
        std::pop_heap(events_.begin(), events_.end());
        const Event event = events_.back();
        events_.pop_back();
        return event;
    }

private:
    std::vector<Event> events_;
    std::uint64_t numbers_ = 0;
};

/// Returns the number of the second that holds `t`.
[[nodiscard]] inline std::int64_t second_of(Instant t) noexcept {
    return t.time_since_epoch() / std::chrono::seconds{1};
}

/// Plays one run: the calls arrive, are sent, wait and end, in the order of time.
///
/// Each call that is under way has exactly one event: its verdict, or the end of its wait.
template <class P>
class StabilityModel {
public:
    StabilityModel(const check::StabilityLoad& load, const std::vector<const P*>& policies)
        : policies_{policies},
          times_{load.phases},
          server_{load, times_},
          arrivals_{Seed{mix64(load.seed.value ^ 0xA221)}},
          draws_{Seed{mix64(load.seed.value ^ 0xD2A3)}} {
        report_.load = load;
        const auto seconds = static_cast<std::size_t>(second_of(end()));
        report_.sent_by_second.resize(seconds);
        report_.good_by_second.resize(seconds);
    }

    [[nodiscard]] check::StabilityReport play() {
        Instant arrival{};
        while (!report_.ended_early) {
            arrival = after(arrival, gap());
            while (events_.due(arrival) && !report_.ended_early) handle(events_.pop());
            if (report_.ended_early) break;
            if (arrival >= end()) break;
            begin(arrival);
        }
        finish();
        return std::move(report_);
    }

private:
    struct Call {
        StabilityCaller<P> caller;
        Cause verdict = Cause::none;
        bool sent = false;
        bool over = false;
    };

    [[nodiscard]] Instant end() const noexcept { return times_.start(StabilityPhase::over); }
    // Gaps are uniform and not exponential, because that needs no logarithm.
    [[nodiscard]] Duration gap() noexcept {
        const std::uint64_t twice = 2'000'000'000U / report_.load.calls_per_second;
        return Duration{static_cast<std::int64_t>(uniform_upto(arrivals_, twice))};
    }

    void begin(Instant now) {
        const P& policy = *policies_[report_.offered++ % policies_.size()];
        std::uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(calls_.size());
            calls_.push_back(Call{StabilityCaller<P>{policy, now}});
        } else {
            index = free_.back();
            free_.pop_back();
            calls_[index] = Call{StabilityCaller<P>{policy, now}};
        }
        advance(index, now);
    }
    void handle(const StabilityEvents::Event& event) {
        const std::int64_t second = second_of(event.at);
        steps_ = second == step_second_ ? steps_ + 1 : 0;
        step_second_ = second;
        if (steps_ >= std::uint64_t{report_.load.calls_per_second} * 1000) {
            report_.ended_early = true;
        }
        const std::uint32_t index = event.index();
        Call& call = calls_[index];
        if (call.sent) {
            call.sent = false;
            Turn turn{event.at, draws_};
            if (call.verdict == Cause::none) count(report_.good_by_second, event.at, report_.good);
            if (call.caller.ended(call.verdict, turn) == StabilityStep::finished) {
                return close(index, event.at);
            }
        }
        advance(index, event.at);
    }
    void advance(std::uint32_t index, Instant now) {
        Call& call = calls_[index];
        Turn turn{now, draws_};
        switch (call.caller.next(turn)) {
            case StabilityStep::finished:
                return close(index, now);
            case StabilityStep::wait:
                return push(index, call.caller.until());
            case StabilityStep::call:
                break;
        }
        const std::uint64_t most = std::uint64_t{report_.load.calls_per_second} * 100;
        if (count(report_.sent_by_second, now, report_.sent) >= most) report_.ended_early = true;
        const StabilityVerdict verdict =
            server_.take(now, call.caller.attempt_limit(report_.load.timeout));
        call.sent = true;
        call.verdict = verdict.cause;
        push(index, verdict.at);
    }
    void close(std::uint32_t index, Instant now) {
        Call& call = calls_[index];
        call.over = true;
        report_.longest_call = std::max(report_.longest_call, elapsed(call.caller.since(), now));
        report_.longest_wait = std::max(report_.longest_wait, call.caller.longest_wait());
        free_.push_back(index);
    }

    // Permits go back before their objects are destroyed.
    void finish() {
        for (std::uint32_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].over) continue;
            Turn turn{end(), draws_};
            calls_[i].caller.abandon(turn);
            close(i, end());
        }
        report_.outage_peak_per_thousand = peak(StabilityPhase::outage, StabilityPhase::recovery);
        report_.return_peak_per_thousand = peak(StabilityPhase::recovery, StabilityPhase::errors);
        report_.trouble_peak_per_thousand = peak(StabilityPhase::errors, StabilityPhase::over);
        report_.back_after = back_after();
        for (std::int64_t s = second_of(times_.start(StabilityPhase::brown_out));
             s < second_of(end()); ++s) {
            report_.brown_out_good += report_.good_by_second[static_cast<std::size_t>(s)];
        }
    }
    [[nodiscard]] std::uint64_t peak(StabilityPhase from, StabilityPhase to) const noexcept {
        std::uint64_t most = 0;
        for (std::int64_t s = second_of(times_.start(from)); s < second_of(times_.start(to)); ++s) {
            most =
                std::max<std::uint64_t>(most, report_.sent_by_second[static_cast<std::size_t>(s)]);
        }
        return most * 1000 / report_.load.calls_per_second;
    }
    [[nodiscard]] Duration back_after() const noexcept {
        if (report_.ended_early) return forever;
        constexpr std::int64_t window = 5;
        const std::uint64_t enough = std::uint64_t{report_.load.calls_per_second} * window * 9 / 10;
        const std::int64_t from = second_of(times_.start(StabilityPhase::recovery));
        const std::int64_t last = second_of(times_.end(StabilityPhase::recovery)) - window;
        for (std::int64_t s = last; s >= from; --s) {
            std::uint64_t good = 0;
            for (std::int64_t i = s; i < s + window; ++i) {
                good += report_.good_by_second[static_cast<std::size_t>(i)];
            }
            if (good < enough) {
                return s == last ? forever : Duration{std::chrono::seconds{s + 1 - from}};
            }
        }
        return {};
    }

    std::uint32_t count(std::vector<std::uint32_t>& by_second, Instant now,
                        std::uint64_t& all) noexcept {
        ++all;
        return ++by_second[static_cast<std::size_t>(second_of(now))];
    }
    void push(std::uint32_t index, Instant at) {
        if (at < end()) events_.push(at, index);
    }

    const std::vector<const P*> policies_;
    const StabilityTimes times_;
    StabilityServer server_;
    Random arrivals_;
    Random draws_;
    check::StabilityReport report_{};
    StabilityEvents events_;
    std::vector<Call> calls_;
    std::vector<std::uint32_t> free_;
    std::uint64_t steps_ = 0;  // the events of this second
    std::int64_t step_second_ = 0;
};

/// Plays the calls of policies of one type, and those of one attempt per call for comparison.
template <class P>
[[nodiscard]] check::StabilityReport play_calls(const check::StabilityLoad& load,
                                                const std::vector<const P*>& policies) {
    check::StabilityReport report = StabilityModel<P>{load, policies}.play();
    const Policy once{OneAttempt{}};
    report.brown_out_good_once =
        StabilityModel<Policy<OneAttempt>>{load, {&once}}.play().brown_out_good;
    return report;
}

}}}  // namespace belay::detail
