// SPDX-License-Identifier: MIT
/// \file belay/sim/exhaust.hpp
/// sim::exhaust: every sequence of choice of a state machine, to a depth.
#pragma once

#include <algorithm>  // std::max
#include <concepts>   // std::copy_constructible
#include <cstdio>     // std::fputs
#include <exception>  // std::exception
#include <map>        // std::map
#include <memory>     // std::construct_at, std::destroy_at
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::exchange, std::move, std::pair
#include <vector>     // std::vector

#include <belay/sim/choice.hpp>
#include <belay/sim/detail/state_graph.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Which sequences of steps ExhaustOptions::liveness checks. Steps after Choice::unfair are in
/// none of them.
enum class Liveness : std::uint8_t {
    every_schedule,  ///< all sequences: a cycle or an end without a settled state is a failure
    fair_schedule    ///< a step that is possible again and again happens: a cycle may have an exit
};

/// The options of sim::exhaust.
struct ExhaustOptions {
    /// The number of steps of the longest sequence. Zero is a failure.
    std::uint32_t depth = 0;
    /// The memory of all states, after which no further step is explored.
    std::size_t memory_bytes_max = std::size_t{1} << 30;
    /// An exploration that the memory ends passes only if so many steps are complete; 0: `depth`.
    std::uint32_t depth_min = 0;
    /// The part of the equal states that are explored, too, to check the digest: what they do is
    /// compared.
    std::uint32_t recheck_percent = 5;
    /// How often one state is explored again at most.
    std::uint32_t recheck_max = 3;
    /// The requirement for a model with settled().
    Liveness liveness = Liveness::every_schedule;
    /// Prints the summary to stderr, and all of it if it is a failure.
    bool print = true;
};

/// The result of sim::exhaust. It converts to true if nothing was found.
///
/// Thread safety: distinct objects safe.
struct ExhaustReport {
    std::uint64_t states = 0;      ///< that differ
    std::uint64_t steps = 0;       ///< that were possible
    std::uint64_t rechecks = 0;    ///< steps of equal states, to check the digest
    std::uint32_t depth = 0;       ///< so many steps are complete
    bool complete = false;         ///< no sequence, of any length, reaches another state
    bool out_of_memory = false;    ///< the memory ended the exploration
    std::size_t memory_bytes = 0;  ///< at most
    std::map<std::string, std::uint64_t, std::less<>> marks;  ///< steps that reached each
    std::string problem;                                      ///< empty if nothing was found
    std::vector<std::string> path;        ///< the shortest sequence of steps that shows the problem
    std::vector<std::string> other_path;  ///< another one, to a state that should be equal
    std::vector<std::string> cycle;       ///< the steps after `path` that repeat for ever

    [[nodiscard]] explicit operator bool() const noexcept { return problem.empty(); }

    /// Returns one line.
    [[nodiscard]] std::string summary() const {
        std::string out = std::to_string(states) + " states, " + std::to_string(steps) +
                          " steps, " + std::to_string(memory_bytes >> 20U) + " MiB, ";
        if (complete) {
            out += "complete: all sequences of any length";
        } else {
            out += "all sequences of " + std::to_string(depth) + " steps";
        }
        if (out_of_memory) out += ", ended by the limit of memory";
        return problem.empty() ? out : problem + " (" + out + ")";
    }
    /// Returns the summary, and the steps of a failure.
    [[nodiscard]] std::string text() const {
        std::string out = summary() + '\n';
        for (const auto& [name, count] : marks) {
            out += "  " + name + ": reached by " + std::to_string(count) + " steps\n";
        }
        append(out, "", path);
        append(out, "the same from the state with the same digest, with another result:\n",
               other_path);
        append(out, "then for ever:\n", cycle);
        return out;
    }
    template <class Stream>
    friend auto operator<<(Stream& stream, const ExhaustReport& report)
        -> decltype(stream << std::string{}) {
        return stream << report.text();
    }

private:
    static void append(std::string& out, const char* title, const std::vector<std::string>& steps) {
        if (!steps.empty()) out += title;
        for (std::size_t i = 0; i < steps.size(); ++i) {
            out += "  " + std::to_string(i + 1) + ". " + steps[i] + '\n';
        }
    }
};

namespace detail {

template <class M>
concept HasStep = requires(M& m, Choice& c) { m.step(c); };
template <class M>
concept HasDigest = requires(const M& m, Digest& d) { m.digest(d); };
template <class M>
concept HasSettled = requires(const M& m) {
    { m.settled() } -> std::convertible_to<bool>;
};
template <class M>
concept HasBytes = requires(const M& m) {
    { m.bytes() } -> std::convertible_to<std::size_t>;
};

/// Explores breadth-first, so that the first failure has the shortest path.
template <class Model>
class Exhaustion {
public:
    Exhaustion(const ExhaustOptions& options, const Model& initial)
        : options_{options}, root_{initial} {
        static_cast<void>(graph_.find_or_add(digest_of(initial), 0, 0, settled(initial)));
        level_.push_back({0, initial});
    }

    [[nodiscard]] ExhaustReport run() {
        while (report_.depth < options_.depth && !level_.empty()) {
            for (const Open& open : level_) {
                explore(open);
                if (!go_on()) break;
            }
            if (!go_on()) break;
            level_ = std::move(next_);
            next_.clear();
            level_bytes_ = std::exchange(next_bytes_, 0);
            compare();
            ++report_.depth;
        }
        report_.complete = level_.empty() && go_on();
        if (report_.problem.empty()) check_report();
        report_.states = graph_.size();
        return std::move(report_);
    }

private:
    using Index = StateGraph::Index;
    struct Open {
        Index index;
        Model model;
    };
    [[nodiscard]] bool go_on() const noexcept {
        return report_.problem.empty() && !report_.out_of_memory;
    }
    [[nodiscard]] static std::uint64_t digest_of(const Model& model) {
        Digest digest;
        model.digest(digest);
        return digest.value();
    }
    [[nodiscard]] static bool settled(const Model& model) {
        if constexpr (HasSettled<Model>) return model.settled();
        return true;
    }
    [[nodiscard]] static std::size_t bytes_of(const Model& model) {
        if constexpr (HasBytes<Model>) return sizeof(Open) + model.bytes();
        return sizeof(Open);
    }

    // ---- the steps of a state ------------------------------------------------------------------

    static void call(Model& model, Choice& choice) {
#if defined(__cpp_exceptions)
        try {
            model.step(choice);
        } catch (const std::exception& error) {
            choice.require(false, std::string{"the step threw: "} + error.what());
        } catch (...) {
            choice.require(false, "the step threw");
        }
#else
        model.step(choice);
#endif
    }
    /// Calls `f(choice, reached, ordinal)` for each step, until it returns false.
    template <class F>
    static void each_step(const Model& model, bool describe, F&& f) {
        Choice choice;
        choice.describe(describe);
        std::uint32_t ordinal = 0;
        do {
            Model reached = model;
            choice.restart();
            call(reached, choice);
            if (!f(choice, reached, ordinal++)) return;
        } while (choice.advance());
    }
    /// Adds a step to what a state does. Equal states do the same.
    static void add_to(Digest& signature, const Choice& choice, const Model& reached) {
        choice.add_to(signature);
        if (!choice.is_possible() || choice.broken()) return;
        signature(digest_of(reached));
        signature(settled(reached));
    }
    void explore(const Open& open) {
        Digest signature;
        signature(settled(open.model));
        each_step(open.model, false, [&](Choice& choice, Model& reached, std::uint32_t ordinal) {
            add_to(signature, choice, reached);
            if (choice.broken()) {
                report_.problem = *choice.broken();
                auto [before, path] = replay(open.index);
                path.push_back(step(before, ordinal));
                report_.path = std::move(path);
            } else if (choice.is_possible()) {
                enter(open.index, choice, std::move(reached), ordinal);
            }
            return go_on();
        });
        // A state whose steps were not all taken has no signature to compare.
        if (!go_on()) return;
        graph_.set_signature(open.index, signature.value());
        if (!graph_.is_first(open.index)) again_.push_back(open.index);
    }
    void open(Index index, Model model) {
        next_bytes_ += bytes_of(model);
        next_.push_back({index, std::move(model)});
    }
    void enter(Index from, const Choice& choice, Model reached, std::uint32_t ordinal) {
        const bool is_recheck = !graph_.is_first(from);
        ++(is_recheck ? report_.rechecks : report_.steps);
        for (const std::string& mark : choice.marks()) report_.marks[mark] += is_recheck ? 0U : 1U;
        const std::uint64_t digest = digest_of(reached);
        const auto [index, is_new] = graph_.find_or_add(digest, from, ordinal, settled(reached));
        if (HasSettled<Model> && !choice.is_unfair() && !is_recheck) {
            graph_.add_fair_step(from, index);
        }
        const std::uint64_t draw = report_.steps + report_.rechecks;
        if (is_new) {
            open(index, std::move(reached));
        } else if (belay::detail::mix64(draw) % 100 < options_.recheck_percent &&
                   graph_.repeats(index) < options_.recheck_max) {
            open(graph_.repeat(index, from, ordinal), std::move(reached));
        }
        const std::size_t bytes =
            graph_.bytes() + level_bytes_ + next_bytes_ + again_.capacity() * sizeof(Index);
        report_.memory_bytes = std::max(report_.memory_bytes, bytes);
        report_.out_of_memory = bytes > options_.memory_bytes_max;
    }

    // ---- the digest ----------------------------------------------------------------------------

    /// Compares the states that were found again with the first ones, as far as those were
    /// explored.
    void compare() {
        std::erase_if(again_, [&](Index again) {
            const std::optional<Index> first = graph_.find(graph_.digest(again));
            const std::uint64_t expected = graph_.signature(*first);
            if (expected == 0) return false;
            if (expected != graph_.signature(again) && report_.problem.empty()) {
                report_.problem =
                    "two states have one digest and differ in a step: a field is missing";
                explain(*first, again);
            }
            return true;
        });
    }
    /// Adds both paths, and the step that shows the difference.
    void explain(Index original, Index again) {
        auto [first, first_steps] = replay(original);
        auto [model, steps] = replay(again);
        const auto behaviour = [](const Model& m) {
            std::vector<std::pair<std::string, std::uint64_t>> out;
            each_step(m, true, [&](Choice& choice, Model& reached, std::uint32_t) {
                Digest digest;
                add_to(digest, choice, reached);
                out.emplace_back(choice.text(), digest.value());
                return true;
            });
            return out;
        };
        const auto one = behaviour(first);
        const auto two = behaviour(model);
        std::size_t i = 0;
        while (i < one.size() && i < two.size() && one[i] == two[i]) ++i;
        if (i < one.size()) first_steps.push_back(one[i].first);
        if (i < two.size()) steps.push_back(two[i].first);
        report_.path = std::move(steps);
        report_.other_path = std::move(first_steps);
    }

    // ---- the end -------------------------------------------------------------------------------

    void check_report() {
        const std::uint32_t least = options_.depth_min != 0 ? options_.depth_min : options_.depth;
        compare();
        if (!report_.problem.empty()) return;
        if (options_.depth == 0) {
            report_.problem = "the depth is zero";
        } else if (report_.steps == 0) {
            report_.problem = "no step is possible";
        } else if (report_.out_of_memory && report_.depth < least) {
            report_.problem = "the limit of memory (memory_bytes_max) ended the exploration early";
        } else if constexpr (HasSettled<Model>) {
            check_liveness();
        }
    }
    void check_liveness() {
        const auto found = graph_.unsettled(options_.liveness == Liveness::every_schedule);
        if (!found) return;
        if (found->cycle.empty()) {
            report_.problem = "what is wanted never happens: nothing happens any more";
            report_.path = texts(found->state);
            return;
        }
        report_.problem = "what is wanted never happens: the steps repeat for ever";
        report_.path = texts(found->cycle.front());
        const std::size_t length = found->cycle.size();
        for (std::size_t i = 0; i < length; ++i) {
            report_.cycle.push_back(text_between(found->cycle[i], found->cycle[(i + 1) % length]));
        }
    }
    /// Returns the steps from the root to a state, as text.
    [[nodiscard]] std::vector<std::string> texts(Index state) const { return replay(state).second; }
    [[nodiscard]] std::pair<Model, std::vector<std::string>> replay(Index state) const {
        std::pair<Model, std::vector<std::string>> out{root_, {}};
        for (const std::uint32_t ordinal : graph_.path(state)) {
            out.second.push_back(step(out.first, ordinal));
        }
        return out;
    }
    /// Makes a step.   Returns: its text.
    [[nodiscard]] static std::string step(Model& model, std::uint32_t ordinal) {
        std::string text;
        std::optional<Model> next;
        each_step(model, true, [&](Choice& choice, Model& reached, std::uint32_t n) {
            if (n != ordinal) return true;
            text = choice.text();
            next.emplace(std::move(reached));
            return false;
        });
        std::destroy_at(&model);
        std::construct_at(&model, std::move(*next));
        return text;
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): a step leads from one to the other
    [[nodiscard]] std::string text_between(Index from, Index to) const {
        std::string text;
        each_step(replay(from).first, true, [&](Choice& choice, Model& reached, std::uint32_t) {
            const bool is_it = choice.is_possible() && !choice.is_unfair() &&
                               digest_of(reached) == graph_.digest(to);
            if (is_it) text = choice.text();
            return !is_it;
        });
        return text;
    }

    const ExhaustOptions options_;
    const Model root_;
    ExhaustReport report_;
    StateGraph graph_;
    std::vector<Open> level_;
    std::vector<Open> next_;
    std::vector<Index> again_;
    std::size_t level_bytes_ = 0;
    std::size_t next_bytes_ = 0;
};

}  // namespace detail

/// Runs every sequence of steps of a state machine, to a depth, and explores equal states once.
///
/// `model` is copyable and has
/// - `void step(Choice&)`: one step. It asks for its choice, and checks what must hold.
/// - `void digest(Digest&) const`: gives all that the model and its properties decide by.
/// - `bool settled() const`, if it has liveness: nothing that is wanted is still to happen.
/// - `std::size_t bytes() const`, if it has memory of its own on the heap.
///
/// The exploration fails if
/// - Choice::require does not hold, or a step throws,
/// - two states with one digest do different things (ExhaustOptions::recheck_percent),
/// - a sequence of steps without Choice::unfair never reaches a settled state: it ends, or it
///   repeats itself (Liveness),
/// - the memory ends it before ExhaustOptions::depth_min, or no step is possible.
///
/// Steps that change nothing do not count as a repetition. States at the last depth are not checked
/// for liveness, because their steps are not known.
///
/// A digest has 64 bits: of a million states, two have the same by chance with a probability of
/// 3 in 100 million.
///
/// Thread safety: `model` is copied on the calling thread only.
/// Errors:        in the report.   Complexity: O(steps), and 40 to 100 bytes for each state.
/// Source:        C. Baier, J.-P. Katoen, "Principles of Model Checking" (2008), chapter 3.
template <class Model>
[[nodiscard]] ExhaustReport exhaust(const ExhaustOptions& options, const Model& model) {
    static_assert(std::copy_constructible<Model>, "sim::exhaust: the model must be copyable");
    static_assert(detail::HasStep<Model>,
                  "sim::exhaust: the model must have void step(sim::Choice&)");
    static_assert(detail::HasDigest<Model>,
                  "sim::exhaust: the model must have void digest(sim::Digest&) const");
    ExhaustReport report = detail::Exhaustion<Model>{options, model}.run();
    if (options.print) {
        std::fputs(("sim::exhaust: " + (report ? report.summary() : report.text()) + "\n").c_str(),
                   stderr);
    }
    return report;
}

}}}  // namespace belay::sim
