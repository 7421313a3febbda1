// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/stage.hpp
/// Stage: the scenario of one world, and the faults that hold at present.
#pragma once

#include <deque>     // std::deque
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/sim/scenario.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// One step of a scenario in a world.
struct PlannedStep {
    Scenario::Step step;
    bool waits = true;       // has not begun, and no heal() has cancelled it
    bool holds = false;      // has begun, lasts, and has not ended
    std::uint64_t seen = 0;  // messages that match its key
};

/// Returns whether two faults have the same effect. A link is hit from either end alike; except its
/// latency, which has a direction.
[[nodiscard]] inline bool same_effect(const Fault& a, const Fault& b) noexcept {
    if (a.kind != b.kind) return false;
    if (a.host == b.host && a.peer == b.peer) return true;
    return a.kind == Fault::Kind::partition && a.host == b.peer && a.peer == b.host;
}

/// The steps of the scenarios that a world plays. Their addresses are stable.
class Stage {
public:
    [[nodiscard]] PlannedStep& plan(const Scenario::Step& step) {
        played_.add(step);
        steps_.push_back({.step = step});
        return steps_.back();
    }
    void take_times(const Scenario& from) {
        if (from.heals()) played_.heal_at(*from.heals());
        if (from.clocks()) played_.start_clocks(from.clocks()->wall, from.clocks()->uptime);
    }
    /// Remembers the scenario of the options, as distinct from those that the test plays.
    void give(const Scenario& scenario) { given_ = scenario; }
    /// Ends everything: nothing holds, and nothing begins any more. `work` counts what the hosts
    /// have sent and stored. To dial and to answer pings is not counted.
    void heal(Instant now, std::uint64_t work) noexcept {
        for (PlannedStep& p : steps_) p.waits = p.holds = false;
        if (!healed_at_) was_idle_ = begun_ != 0 && work_before_ != 0 && work == work_before_;
        healed_at_ = now;
    }
    /// Ends the lasting faults of a kind at a host.
    void end_all(Fault::Kind kind, const std::string& host) noexcept {
        for (PlannedStep& p : steps_) {
            if (p.step.fault.kind == kind && p.step.fault.host == host) p.holds = false;
        }
    }
    /// Returns whether a fault holds that has the same effect.
    [[nodiscard]] bool holds(const Fault& f) const noexcept {
        for (const PlannedStep& p : steps_) {
            if (p.holds && same_effect(p.step.fault, f)) return true;
        }
        return false;
    }
    void begin(PlannedStep& p, std::uint64_t work) noexcept {
        p.waits = false;
        p.holds = p.step.fault.lasts();
        // The message at which a fault begins is work under faults.
        if (begun_++ == 0) work_before_ = work - (p.step.message ? 1 : 0);
    }
    /// Calls `f` for each step that begins at this message.
    template <class F>
    void on_message(const std::string& from, const std::string& to, const Bytes& message, F&& f) {
        std::string kind;
        bool named = false;
        for (PlannedStep& p : steps_) {
            if (!p.waits || !p.step.message) continue;
            const MessageKey& key = *p.step.message;
            if (key.from != from || key.to != to) continue;
            if (!key.kind.empty()) {
                if (!std::exchange(named, true) && name_) kind = name_(message);
                if (key.kind != kind) continue;
            }
            if (++p.seen == key.number) f(p);
        }
    }
    void name_messages(belay::detail::Function<std::string(const Bytes&)> f) {
        name_ = std::move(f);
    }

    [[nodiscard]] const std::deque<PlannedStep>& steps() const noexcept { return steps_; }
    [[nodiscard]] const Scenario& played() const noexcept { return played_; }
    [[nodiscard]] const Scenario& given() const noexcept { return given_; }
    [[nodiscard]] std::uint64_t begun() const noexcept { return begun_; }
    /// Returns whether the hosts sent or stored something before the first fault, and nothing from
    /// then to the first heal().
    [[nodiscard]] bool was_idle() const noexcept { return was_idle_; }
    [[nodiscard]] std::optional<Instant> healed_at() const noexcept { return healed_at_; }

private:
    std::deque<PlannedStep> steps_;
    Scenario played_;
    Scenario given_;
    belay::detail::Function<std::string(const Bytes&)> name_;
    std::optional<Instant> healed_at_;
    std::uint64_t begun_ = 0;
    std::uint64_t work_before_ = 0;  // the first fault
    bool was_idle_ = false;
};

}}}  // namespace belay::sim::detail
