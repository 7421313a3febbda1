// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/state_graph.hpp
/// StateGraph: the states that an exploration has found, and the steps between unsettled ones.
#pragma once

#include <algorithm>  // std::reverse
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint32_t
#include <optional>   // std::optional
#include <utility>    // std::pair
#include <vector>     // std::vector

#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// The states by their digests, each with the step that found it.
///
/// Thread safety: distinct objects safe.   Complexity: O(1) for each call, unless stated otherwise.
class StateGraph {
public:
    using Index = std::uint32_t;
    /// A state from which a sequence of steps continues for ever without a settled state.
    struct Unsettled {
        Index state;               ///< where it begins
        std::vector<Index> cycle;  ///< the states that repeat; empty: nothing happens any more
    };

    /// Returns the state with this digest, and whether it is new. The first one is the root.
    std::pair<Index, bool> find_or_add(std::uint64_t digest, Index parent, std::uint32_t ordinal,
                                       bool settled) {
        if (states_.size() * 2 >= slots_.size()) grow();
        Index& slot = slot_of(digest);
        if (slot != none) return {slot, false};
        slot = static_cast<Index>(states_.size());
        states_.push_back({digest, 0, parent, ordinal, settled});
        ++size_;
        return {slot, true};
    }
    /// Returns how often a state was added again.
    [[nodiscard]] std::uint32_t repeats(Index state) const noexcept {
        return states_[state].repeats;
    }
    /// Adds a state that was found again, by another step, to compare what it does.
    Index repeat(Index state, Index parent, std::uint32_t ordinal) {
        if (states_[state].repeats != 0xFFFF) ++states_[state].repeats;
        State copy{states_[state].digest, 0, parent, ordinal, true};
        copy.first = false;
        states_.push_back(copy);
        return static_cast<Index>(states_.size() - 1);
    }
    [[nodiscard]] bool is_first(Index state) const noexcept { return states_[state].first; }
    /// Returns nothing if there is no such state.
    [[nodiscard]] std::optional<Index> find(std::uint64_t digest) noexcept {
        const Index found = slot_of(digest);
        return found == none ? std::nullopt : std::optional{found};
    }
    /// Adds a step that happens if it stays possible.
    void add_fair_step(Index from, Index to) {
        if (from == to || states_[from].settled) return;
        states_[from].leaves = true;
        edges_.emplace_back(from, to);
    }
    /// The state was explored: all its steps were added.
    void set_signature(Index state, std::uint64_t signature) noexcept {
        states_[state].signature = signature == 0 ? 1 : signature;
    }
    /// Returns 0 if the state was not explored.
    [[nodiscard]] std::uint64_t signature(Index state) const noexcept {
        return states_[state].signature;
    }
    [[nodiscard]] std::uint64_t digest(Index state) const noexcept { return states_[state].digest; }
    /// Returns the numbers of the steps from the root.   Complexity: O(steps).
    [[nodiscard]] std::vector<std::uint32_t> path(Index state) const {
        std::vector<std::uint32_t> steps;
        for (; state != 0; state = states_[state].parent) steps.push_back(states_[state].ordinal);
        std::reverse(steps.begin(), steps.end());
        return steps;
    }
    /// Returns the number of states that differ.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t bytes() const noexcept {
        return states_.capacity() * sizeof(State) + slots_.capacity() * sizeof(Index) +
               // As many again to check them.
               2 * edges_.capacity() * sizeof(edges_[0]);
    }

    /// Returns the first state, in the order in which they were found, from which a settled state
    /// need not be reached. `every_cycle`: by some sequence; otherwise by no sequence.
    /// Complexity: O(states + steps).
    [[nodiscard]] std::optional<Unsettled> unsettled(bool every_cycle) const {
        for (Index i = 0; i < states_.size(); ++i) {
            if (is_checked(i) && !states_[i].leaves) return Unsettled{i, {}};
        }
        const std::vector<bool> good = every_cycle ? not_before_a_cycle() : before_a_settled();
        for (Index i = 0; i < states_.size(); ++i) {
            if (!good[i]) return Unsettled{i, cycle_from(i, good)};
        }
        return std::nullopt;
    }

private:
    struct State {
        std::uint64_t digest;
        std::uint64_t signature;
        Index parent;
        std::uint32_t ordinal;
        bool settled;
        bool leaves = false;  // a fair step leads to another state
        bool first = true;
        std::uint16_t repeats = 0;
    };
    static constexpr Index none = ~Index{0};

    [[nodiscard]] bool is_checked(Index i) const noexcept {
        return !states_[i].settled && states_[i].signature != 0;
    }
    Index& slot_of(std::uint64_t digest) noexcept {
        auto i = static_cast<std::size_t>(belay::detail::mix64(digest) & (slots_.size() - 1));
        while (slots_[i] != none && states_[slots_[i]].digest != digest) {
            i = (i + 1) & (slots_.size() - 1);
        }
        return slots_[i];
    }
    void grow() {
        slots_.assign(slots_.empty() ? 1024 : slots_.size() * 2, none);
        for (Index i = 0; i < states_.size(); ++i) {
            if (states_[i].first) slot_of(states_[i].digest) = i;
        }
    }

    /// The steps of `edges_`, grouped by the state to which they lead.
    struct Incoming {
        explicit Incoming(const StateGraph& graph)
            : begin(graph.states_.size() + 1), from(graph.edges_.size()) {
            for (const auto& [source, target] : graph.edges_) ++begin[target + 1];
            for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
            std::vector<std::size_t> at(begin.begin(), begin.end() - 1);
            for (const auto& [source, target] : graph.edges_) from[at[target]++] = source;
        }
        std::vector<std::size_t> begin;
        std::vector<Index> from;
    };
    /// All states from which every sequence ends. The others lead to a cycle.
    [[nodiscard]] std::vector<bool> not_before_a_cycle() const {
        const Incoming incoming{*this};
        std::vector<std::uint32_t> open(states_.size());
        for (const auto& [source, target] : edges_) ++open[source];
        return spread(
            incoming, [&](Index i) { return open[i] == 0; },
            [&](Index i) { return --open[i] == 0; });
    }
    /// All states from which some sequence reaches one that is settled, or was not explored.
    [[nodiscard]] std::vector<bool> before_a_settled() const {
        const Incoming incoming{*this};
        std::vector<bool> seen(states_.size());
        return spread(
            incoming, [&](Index i) { return seen[i] = !is_checked(i), seen[i]; },
            [&](Index i) { return !seen[i] && (seen[i] = true, true); });
    }
    /// Goes back from the states that `begins`, to those that `joins`.
    template <class Begins, class Joins>
    [[nodiscard]] std::vector<bool> spread(const Incoming& incoming, Begins&& begins,
                                           Joins&& joins) const {
        std::vector<bool> good(states_.size());
        std::vector<Index> todo;
        for (Index i = 0; i < states_.size(); ++i) {
            if (begins(i)) todo.push_back(i);
        }
        while (!todo.empty()) {
            const Index i = todo.back();
            todo.pop_back();
            good[i] = true;
            for (std::size_t k = incoming.begin[i]; k < incoming.begin[i + 1]; ++k) {
                if (joins(incoming.from[k])) todo.push_back(incoming.from[k]);
            }
        }
        return good;
    }
    /// Follows states that are not good until one repeats.
    [[nodiscard]] std::vector<Index> cycle_from(Index state, const std::vector<bool>& good) const {
        std::vector<Index> next(states_.size(), none);
        for (const auto& [source, target] : edges_) {
            if (!good[source] && !good[target]) next[source] = target;
        }
        std::vector<bool> seen(states_.size());
        while (!seen[state]) {
            seen[state] = true;
            state = next[state];
        }
        std::vector<Index> cycle{state};
        for (Index i = next[state]; i != state; i = next[i]) cycle.push_back(i);
        return cycle;
    }

    std::vector<State> states_;
    std::size_t size_ = 0;
    std::vector<Index> slots_;  // a power of two; linear probing
    std::vector<std::pair<Index, Index>> edges_;
};

}}}  // namespace belay::sim::detail
