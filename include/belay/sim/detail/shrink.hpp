// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/shrink.hpp
/// Shrink: searches the smallest scenario that still fails.
#pragma once

#include <algorithm>         // std::max, std::min
#include <initializer_list>  // std::initializer_list
#include <set>               // std::set
#include <string>            // std::string
#include <utility>           // std::exchange, std::move
#include <vector>            // std::vector

#include <belay/sim/scenario.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// Leaves out faults, then hosts, and then makes times and wall clocks rounder and shorter.
///
/// `Fails` is called with a scenario, and returns whether it fails in the same property. No
/// scenario is tried twice. In the end no single fault can be left out, unless the tries ran out.
///
/// Complexity: about k (log2(n / k) + 2) tries to find k needed faults of n; then at most 4 tries
///             for each of their times. The algorithm ddmin takes about twice as many for n = 20.
/// Source:     U. Junker, "QuickXplain: Preferred Explanations and Relaxations for
///             Over-Constrained Problems" (2004), which searches each needed part by bisection;
///             A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
///             (2002), for the end condition.
template <class Fails>
class Shrink {
    using Steps = std::vector<Scenario::Step>;

public:
    Shrink(const Scenario& scenario, std::uint32_t tries_max, Fails fails)
        : best_{scenario.steps()},
          heals_{scenario.heals()},
          clocks_{scenario.clocks()},
          tries_max_{tries_max},
          fails_{std::move(fails)} {
        tried_.insert(to_cpp(scenario));
    }

    [[nodiscard]] Scenario run() {
        leave_out_clocks();
        // Many bugs need no fault at all.
        if (!best_.empty() && !improve({})) {
            find_needed_faults();
            leave_out_single_faults();
            leave_out_hosts();
            // Rounder times may make other faults superfluous, and smaller numbers duplicates.
            for (std::size_t before = 0; before != best_.size();) {
                before = best_.size();
                simplify_times();
                simplify_clocks();
                simplify_messages();
                leave_out_single_faults();
            }
            leave_out_clocks();
        }
        return with(best_);
    }
    [[nodiscard]] std::uint32_t tries() const noexcept { return tries_; }
    /// Returns whether the limit of tries has ended the search: a smaller scenario may fail, too.
    [[nodiscard]] bool out_of_tries() const noexcept { return out_of_tries_; }

private:
    [[nodiscard]] Scenario with(const Steps& steps) const {
        Scenario s;
        for (const Scenario::Step& step : steps) s.add(step);
        if (heals_) s.heal_at(*heals_);
        if (clocks_) s.start_clocks(clocks_->wall, clocks_->uptime);
        return s;
    }
    /// Takes the steps if they fail, too.
    bool improve(Steps steps) {
        const Scenario candidate = with(steps);
        if (!tried_.insert(to_cpp(candidate)).second) return false;
        out_of_tries_ = tries_ >= tries_max_;
        if (out_of_tries_) return false;
        ++tries_;
        if (!fails_(candidate)) return false;
        best_ = std::move(steps);
        return true;
    }

    void leave_out_clocks() {
        const auto clocks = std::exchange(clocks_, {});
        if (clocks && !improve(best_)) clocks_ = clocks;
    }
    /// Finds the faults that are needed, the last one first. Each is the end of the shortest front
    /// that fails together with the needed faults behind it.
    void find_needed_faults() {
        for (std::size_t needed = 0; needed < best_.size(); ++needed) {
            if (improve(with_front(0, needed))) return;
            std::size_t enough = best_.size() - needed;
            for (std::size_t too_few = 0; too_few + 1 < enough;) {
                const std::size_t middle = (too_few + enough) / 2;
                if (improve(with_front(middle, needed))) {
                    enough = middle;
                } else {
                    too_few = middle;
                }
            }
        }
    }
    /// Returns the first `front` steps and the last `back` ones.
    [[nodiscard]] Steps with_front(std::size_t front, std::size_t back) const {
        Steps steps;
        for (std::size_t i = 0; i < best_.size(); ++i) {
            if (i < front || i >= best_.size() - back) steps.push_back(best_[i]);
        }
        return steps;
    }
    /// Leaves out faults until no single one can be left out.
    void leave_out_single_faults() {
        for (std::size_t i = best_.size(); i != 0; --i) {
            Steps rest = best_;
            rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i - 1));
            if (improve(std::move(rest))) i = best_.size() + 1;
        }
    }
    void leave_out_hosts() {
        std::set<std::string> hosts;
        for (const Scenario::Step& s : best_) hosts.insert({s.fault.host, s.fault.peer});
        for (const std::string& host : hosts) {
            Steps rest;
            for (const Scenario::Step& s : best_) {
                if (s.fault.host != host && s.fault.peer != host) rest.push_back(s);
            }
            if (!rest.empty() && rest.size() != best_.size()) improve(std::move(rest));
        }
    }
    /// Changes one number of one step, from the roundest value to the finest.
    template <class Get, class Set>
    void simplify(std::size_t i, std::initializer_list<std::int64_t> units, Get&& get, Set&& set) {
        for (const std::int64_t unit : units) {
            const std::int64_t old = get(best_[i]);
            const std::int64_t round = old / unit * unit;
            if (round == old) return;
            Steps steps = best_;
            set(steps[i], round);
            if (improve(std::move(steps))) return;
        }
    }
    void simplify_times() {
        constexpr std::int64_t ms = 1'000'000;
        for (std::size_t i = 0; i < best_.size(); ++i) {
            if (!best_[i].message) {
                simplify(
                    i, {10'000 * ms, 1'000 * ms, 100 * ms, 10 * ms},
                    [](const Scenario::Step& s) { return s.from.count(); },
                    [](Scenario::Step& s, std::int64_t v) { s.from = Duration{v}; });
            }
            if (best_[i].lasts == forever) continue;
            // A fault that lasts for 0 s reads as if it had no effect.
            simplify(
                i, {10'000 * ms, 1'000 * ms, 100 * ms, 10 * ms},
                [](const Scenario::Step& s) { return s.lasts.count(); },
                [](Scenario::Step& s, std::int64_t v) {
                    s.lasts =
                        Duration{std::max(v, std::min<std::int64_t>(s.lasts.count(), 10 * ms))};
                });
        }
    }
    void simplify_clocks() {
        constexpr std::int64_t s = 1'000'000'000;
        for (std::size_t i = 0; i < best_.size(); ++i) {
            if (best_[i].fault.kind != Fault::Kind::set_wall_clock) continue;
            Steps steps = best_;
            steps[i].fault.drift_ppm = 0;
            improve(std::move(steps));
            simplify(
                i, {3'600 * s, 60 * s, s, s / 10},
                [](const Scenario::Step& step) { return step.fault.min.count(); },
                [](Scenario::Step& step, std::int64_t v) { step.fault.min = Duration{v}; });
        }
    }
    void simplify_messages() {
        for (std::size_t i = 0; i < best_.size(); ++i) {
            if (!best_[i].message || best_[i].message->number == 1) continue;
            Steps steps = best_;
            steps[i].message->number = 1;
            if (improve(std::move(steps))) continue;
            steps = best_;
            steps[i].message->number /= 2;
            improve(std::move(steps));
        }
    }

    Steps best_;
    const std::optional<Duration> heals_;
    std::optional<Scenario::Clocks> clocks_;
    const std::uint32_t tries_max_;
    std::uint32_t tries_ = 0;
    bool out_of_tries_ = false;
    std::set<std::string> tried_;
    Fails fails_;
};

}}}  // namespace belay::sim::detail
