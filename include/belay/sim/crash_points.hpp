// SPDX-License-Identifier: MIT
/// \file belay/sim/crash_points.hpp
/// sim::crash_points: plays a loss of power at each operation of a disk, in many of its outcomes.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <set>      // std::set
#include <string>   // std::string, std::to_string
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/core/random.hpp>
#include <belay/sim/digest.hpp>
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
    /// The outcomes that are drawn for each operation, at most. They tear a sector at any place.
    std::uint64_t drawn_max = 32;
    /// Drawing ends after so many outcomes of an operation that were drawn before. Set it below
    /// drawn_max if time matters more than rare outcomes.
    std::uint64_t repeats_max = 32;
    /// The outcomes that are enumerated for each operation, at most. They cut a sector that is torn
    /// in its middle.
    std::uint64_t enumerated_max = 32;
    /// For the outcomes that are drawn: number n of each operation, from 0, is drawn from this
    /// seed + n.
    Seed seed{1};
    /// The power does not fail during the operations before this one, such as those that prepare a
    /// disk. The first operation is 1.
    std::uint64_t first_operation = 1;
};

/// The states that a run of `crash_points` played.   Thread safety: a plain value.
struct CrashPointsReport {
    /// The operations of the disk in a body that is not interrupted.
    std::uint64_t operations = 0;
    /// The states that `recover` has checked. The states of one operation differ from each other.
    std::uint64_t states = 0;
    /// Whether all outcomes of all losses of power from first_operation on were enumerated.
    bool complete = true;
    /// The first state that `recover` rejected; empty if it accepted all.
    std::string failure{};

    /// Returns whether there were states, and `recover` accepted all of them.
    [[nodiscard]] explicit operator bool() const noexcept { return states != 0 && failure.empty(); }
};

namespace detail {

/// Plays the outcomes of crash_points one by one.
template <class Body, class Recover>
class CrashPlayer {
public:
    CrashPlayer(Body& body, Recover& recover, const CrashPointsOptions& options)
        : body_{body}, recover_{recover}, options_{options} {}

    /// Plays all outcomes of a loss of power during an operation; 0: after the last one.
    void play_all(std::uint64_t halt) {
        known_.clear();
        bool has_choice = true;
        std::uint64_t repeated = 0;
        const auto goes_on = [&](std::uint64_t n) {
            return has_choice && n < options_.drawn_max && repeated < options_.repeats_max;
        };
        for (std::uint64_t n = 0; goes_on(n); ++n) {
            Random bits{Seed{options_.seed.value + n}};
            has_choice = false;
            const auto drawn = [&]() noexcept {
                has_choice = true;
                return bits();
            };
            if (!play(halt, drawn, "drawn " + std::to_string(n))) ++repeated;
        }
        // Equal disks are checked once, but an outcome that was drawn counts as enumerated, too.
        CrashChoices choices;
        bool has_more = has_choice;
        for (std::uint64_t n = 0; has_more && n < options_.enumerated_max; ++n) {
            play(halt, choices, "enumerated " + std::to_string(n));
            has_more = choices.next();
        }
        report.complete = report.complete && !has_more;
    }

    CrashPointsReport report;

private:
    /// Returns whether the outcome was new.
    template <class Bits>
    bool play(std::uint64_t halt, Bits& bits, const std::string& outcome) {
        Disk disk;
        disk.halt_at(halt);
        auto confirmed = body_(disk);
        if (halt == 0) report.operations = disk.operations();
        disk.crash(bits);
        Digest digest;
        disk.digest(digest);
        if (!known_.insert(digest.value()).second) return false;
        ++report.states;
        const bool is_right = recover_(disk, confirmed);
        if (!is_right && report.failure.empty()) {
            report.failure = "operation " + std::to_string(halt) + " of " +
                             std::to_string(report.operations) + ", outcome " + outcome;
        }
        return true;
    }

    Body& body_;
    Recover& recover_;
    const CrashPointsOptions& options_;
    std::set<std::uint64_t> known_{};  // the disks of this operation
};

}  // namespace detail

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
/// returns whether what it finds is right.
///
/// Each outcome is one call of `body`. Each disk that differs from the others of its operation is
/// one call of `recover`. Both must do the same on each call.
///
/// Operation 0 in `failure` is the loss of power after the last operation.
///
/// Complexity: drawn_max + enumerated_max calls of `body` for each operation, at most.
/// Allocates:  yes.
/// Source:     CrashMonkey and ACE (Mohan et al., OSDI 2018), at the level of sectors.
template <class Body, class Recover>
[[nodiscard]] CrashPointsReport crash_points(Body body, Recover recover,
                                             CrashPointsOptions options = {}) {
    BELAY_OPTION(options.enumerated_max != 0, "sim::crash_points: enumerated_max must be >= 1");
    BELAY_OPTION(options.first_operation != 0,
                 "sim::crash_points: first_operation must be >= 1; the first one is 1");
    detail::CrashPlayer<Body, Recover> player{body, recover, options};
    player.play_all(0);  // this counts the operations
    BELAY_OPTION(options.first_operation <= player.report.operations + 1,
                 "sim::crash_points: first_operation must not be behind the last operation");
    for (std::uint64_t n = options.first_operation; n <= player.report.operations; ++n) {
        player.play_all(n);
    }
    return std::move(player.report);
}

}}}  // namespace belay::sim
