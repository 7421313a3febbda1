// SPDX-License-Identifier: MIT
/// \file belay/sim/crash_points.hpp
/// sim::crash_points: plays a loss of power at each operation of a disk, in many of its outcomes.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <string>   // std::string, std::to_string
#include <vector>   // std::vector

#include <belay/core/random.hpp>
#include <belay/sim/disk.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

namespace detail {

/// A source of bits for Disk::crash that enumerates all outcomes, one for each pass. A torn sector
/// is cut in its middle.
class CrashChoices {
public:
    /// Returns the choice of this pass, in [0, options).
    [[nodiscard]] std::uint64_t choose(std::uint64_t options) noexcept {
        if (at_ == path_.size()) path_.push_back({0, options});
        return path_[at_++].chosen;
    }
    [[nodiscard]] std::uint64_t operator()() noexcept { return choose(2); }

    /// Begins the next pass.   Returns: false if there is none.
    [[nodiscard]] bool next() {
        path_.resize(at_);
        at_ = 0;
        while (!path_.empty() && path_.back().chosen + 1 == path_.back().options) path_.pop_back();
        if (path_.empty()) return false;
        ++path_.back().chosen;
        return true;
    }

private:
    struct Choice {
        std::uint64_t chosen;
        std::uint64_t options;
    };
    std::vector<Choice> path_{};
    std::size_t at_ = 0;
};

}  // namespace detail

/// Options of crash_points.   Thread safety: a plain value.
struct CrashPointsOptions {
    /// The outcomes that are played for each operation. Half of them are enumerated. If there are
    /// more, the other half are drawn.
    std::uint64_t states_max = 64;
    /// For the outcomes that are drawn.
    Seed seed{1};
};

/// The states that a run of `crash_points` played.   Thread safety: a plain value.
struct CrashPointsReport {
    /// The operations of the disk in a body that is not interrupted.
    std::uint64_t operations = 0;
    /// The states that `recover` has judged.
    std::uint64_t states = 0;
    /// Whether these were all outcomes of all losses of power.
    bool complete = true;
    /// The first state that `recover` rejected; empty if it accepted all.
    std::string failure{};

    /// Returns whether there were states, and `recover` accepted all of them.
    [[nodiscard]] explicit operator bool() const noexcept { return states != 0 && failure.empty(); }
};

/// Plays a body with a loss of power during each operation of its disk, and after the last one. It
/// does so once for each outcome: names, sizes and sectors that are kept, lost, torn or noise.
///
///     const auto report = sim::crash_points(
///         [](sim::Disk& disk) { return write_a_file(disk); },             // what it has confirmed
///         [](sim::Disk& disk, int confirmed) { return read_it(disk) >= confirmed; });
///     CHECK(report);
///
/// `body(Disk&)` runs on an empty disk, and returns what it has confirmed. From the loss of power
/// on, each operation returns an error. `recover(Disk&, confirmed)` runs on the same disk, and
/// returns whether what it finds is right. Both run once for each state, so they must do the same
/// on each call.
///
/// Complexity: states_max calls of both for each operation.   Allocates: yes.
/// Source:     CrashMonkey and ACE (Mohan et al., OSDI 2018), at the level of sectors.
template <class Body, class Recover>
[[nodiscard]] CrashPointsReport crash_points(Body body, Recover recover,
                                             CrashPointsOptions options = {}) {
    BELAY_PRECONDITION(options.states_max >= 2, "sim::crash_points: states_max must be >= 2");
    CrashPointsReport report;
    Random drawn{options.seed};
    const auto play = [&](std::uint64_t halt, auto& bits) {
        Disk disk;
        disk.halt_at(halt);
        auto confirmed = body(disk);
        if (halt == 0) report.operations = disk.operations();
        disk.crash(bits);
        ++report.states;
        const bool is_right = recover(disk, confirmed);
        if (is_right || !report.failure.empty()) return;
        report.failure = "operation " + std::to_string(halt) + " of " +
                         std::to_string(report.operations) + ", state " +
                         std::to_string(report.states);
    };
    // Operation 0 is the loss of power after the last one, and it counts them.
    for (std::uint64_t halt = 0; halt <= report.operations; ++halt) {
        detail::CrashChoices choices;
        std::uint64_t played = 0;
        bool has_more = true;
        for (; has_more && played < options.states_max / 2; ++played) {
            play(halt, choices);
            has_more = choices.next();
        }
        report.complete = report.complete && !has_more;
        for (; has_more && played < options.states_max; ++played) play(halt, drawn);
    }
    return report;
}

}}}  // namespace belay::sim
