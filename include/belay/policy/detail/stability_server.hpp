// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/stability_server.hpp
/// StabilityServer: the server of check::stability, as a function of time.
#pragma once

#include <algorithm>  // std::max
#include <cstdint>    // std::uint8_t

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/stability_load.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The phases of a run, in order.
enum class StabilityPhase : std::uint8_t {
    steady,
    outage,
    recovery,
    errors,
    slow,
    brown_out,
    over
};

/// The instant at which each phase begins.
class StabilityTimes {
public:
    explicit StabilityTimes(const check::StabilityLoad::Phases& phases) noexcept {
        const Duration lengths[] = {phases.steady, phases.outage, phases.recovery,
                                    phases.errors, phases.slow,   phases.brown_out};
        Instant t{};
        for (int i = 0; i < 6; ++i) t = starts_[i + 1] = after(t, lengths[i]);
    }
    [[nodiscard]] Instant start(StabilityPhase phase) const noexcept {
        return starts_[static_cast<int>(phase)];
    }
    [[nodiscard]] Instant end(StabilityPhase phase) const noexcept {
        return starts_[static_cast<int>(phase) + 1];
    }
    /// Returns the phase at `now`.   Pre: before the end.
    [[nodiscard]] StabilityPhase at(Instant now) const noexcept {
        int phase = 0;
        while (phase < 6 && starts_[phase + 1] <= now) ++phase;
        return static_cast<StabilityPhase>(phase);
    }

private:
    Instant starts_[7]{};
};

/// When an attempt ends for its caller, and how.
struct StabilityVerdict {
    Instant at;
    Cause cause;  // none: it succeeded
};

/// Answers calls one after the other, and goes on working for callers that gave up.
///
/// The fate of a call is certain when it arrives, so the server needs no events of its own.
class StabilityServer {
public:
    StabilityServer(const check::StabilityLoad& load, const StabilityTimes& times) noexcept
        : server_{load.server}, times_{times}, bits_{Seed{mix64(load.seed.value ^ 0x5E27)}} {}

    /// Takes a call at `now` whose caller waits for at most `limit`.
    [[nodiscard]] StabilityVerdict take(Instant now, Duration limit) noexcept {
        const StabilityVerdict verdict = answer(now);
        const Instant patience = after(now, limit);
        return verdict.at <= patience ? verdict : StabilityVerdict{patience, Cause::timed_out};
    }

private:
    [[nodiscard]] StabilityVerdict answer(Instant now) noexcept {
        const StabilityPhase phase = times_.at(now);
        if (phase == StabilityPhase::outage) {
            free_at_ = times_.end(StabilityPhase::outage);  // what was queued is gone
            if (server_.outage_cause == Cause::timed_out) return {never, Cause::timed_out};
            return {after(now, server_.latency), server_.outage_cause};
        }
        const Instant begins = std::max(now, free_at_);
        if (elapsed(now, begins) > server_.queue_wait_max) {
            return {after(now, server_.latency), Cause::overloaded};
        }
        free_at_ = after(begins, service_time(phase));
        const Instant done =
            after(free_at_, phase == StabilityPhase::slow ? server_.slow_latency : server_.latency);
        const Instant death = times_.start(StabilityPhase::outage);
        if (now < death && done >= death && times_.end(StabilityPhase::outage) > death) {
            return {death, Cause::lost};
        }
        const bool fails = phase == StabilityPhase::errors &&
                           uniform_below(bits_, 1000) < server_.errors_per_thousand;
        return {done, fails ? Cause::lost : Cause::none};
    }
    [[nodiscard]] Duration service_time(StabilityPhase phase) const noexcept {
        constexpr std::int64_t second = Duration{std::chrono::seconds{1}}.count();
        if (phase != StabilityPhase::brown_out) {
            return Duration{second / server_.capacity_per_second};
        }
        return Duration{
            second * 1000 /
            (std::int64_t{server_.capacity_per_second} * server_.brown_out_per_thousand)};
    }

    const check::StabilityLoad::Server server_;
    const StabilityTimes times_;
    Instant free_at_{};
    Random bits_;
};

}}}  // namespace belay::detail
