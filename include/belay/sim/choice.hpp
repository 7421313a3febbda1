// SPDX-License-Identifier: MIT
/// \file belay/sim/choice.hpp
/// sim::Choice: the choices of one step of a state machine that sim::exhaust explores.
#pragma once

#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint32_t
#include <initializer_list>  // std::initializer_list
#include <optional>          // std::optional
#include <span>              // std::span
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <utility>           // std::move
#include <vector>            // std::vector

#include <belay/core/assert.hpp>
#include <belay/sim/digest.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Gives a step its choices, and takes its results. sim::exhaust calls the step again with each
/// other choice.
///
/// Choices must depend on the model and on earlier choices of the step only.
///
/// Thread safety: used on the thread of the exploration only.
class Choice {
public:
    /// Returns a number from 0 to `n` - 1: each, in one call of the step.   Pre: n > 0.
    [[nodiscard]] std::size_t choose(std::string_view tag, std::size_t n) {
        const std::size_t taken = next(n);
        note_text(tag, std::to_string(taken));
        return taken;
    }
    /// Returns the index of one of the names.   Pre: there is one.
    [[nodiscard]] std::size_t choose(std::span<const char* const> names) {
        const std::size_t taken = next(names.size());
        note_text({}, names[taken]);
        return taken;
    }
    /// Returns the index of one of the names.   Pre: there is one.
    [[nodiscard]] std::size_t choose(std::initializer_list<const char*> names) {
        return choose(std::span{names.begin(), names.size()});
    }
    /// The step cannot happen in this state. Return from the step without a change.
    void impossible() noexcept { possible_ = false; }
    /// Marks a step that need not ever happen: a fault, or the act of a user. Liveness does not
    /// rely on it.
    void unfair() noexcept { unfair_ = true; }
    /// Ends the exploration if `holds` is false.
    void require(bool holds, std::string_view property) {
        if (!holds && !broken_) broken_ = std::string{property};
    }
    /// Adds a result of the step, such as the actions of a core, to what equal states must have in
    /// common.
    template <class T>
    void result(T value) noexcept {
        results_(value);
    }
    /// Counts a step that reaches a place. The report has the counts.
    void reach(std::string name) { marks_.push_back(std::move(name)); }

    // ---- for sim::exhaust ----------------------------------------------------------------------

    /// Begins a call of the step.
    void restart() noexcept {
        made_ = 0;
        possible_ = true;
        unfair_ = false;
        broken_.reset();
        marks_.clear();
        text_.clear();
        results_ = {};
    }
    /// Changes the last choice that can be another one.   Returns: false if there is none.
    [[nodiscard]] bool advance() noexcept {
        path_.resize(made_);
        while (!path_.empty() && path_.back().taken + 1 == path_.back().count) path_.pop_back();
        if (path_.empty()) return false;
        ++path_.back().taken;
        return true;
    }
    /// Adds all that the step reported.
    void add_to(Digest& digest) const noexcept {
        for (std::size_t i = 0; i < made_; ++i) {
            digest(path_[i].taken);
            digest(path_[i].count);
        }
        digest(possible_);
        digest(unfair_);
        digest(broken_.has_value());
        digest(results_.value());
    }
    /// Returns whether the step can happen in this state.
    [[nodiscard]] bool is_possible() const noexcept { return possible_; }
    /// Returns whether the step need not ever happen.
    [[nodiscard]] bool is_unfair() const noexcept { return unfair_; }
    /// Returns the first property that the step broke; nothing if it broke none.
    [[nodiscard]] const std::optional<std::string>& broken() const noexcept { return broken_; }
    /// Returns the places that the step has reached.
    [[nodiscard]] const std::vector<std::string>& marks() const noexcept { return marks_; }
    /// Returns the description of the choices; empty unless steps are described.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    /// Whether the steps are described. It takes most of the time of a small step.
    void describe(bool on) noexcept { describes_ = on; }

private:
    struct Node {
        std::uint32_t taken;
        std::uint32_t count;
    };

    std::size_t next(std::size_t n) {
        BELAY_PRECONDITION(n > 0, "sim::Choice::choose: there must be at least one alternative");
        if (made_ == path_.size()) path_.push_back({0, static_cast<std::uint32_t>(n)});
        const Node& node = path_[made_++];
        // Otherwise the step is not a function of the model and its choices.
        require(node.count == n, "the step chose among another number when it was repeated");
        return node.taken < n ? node.taken : 0;
    }
    void note_text(std::string_view tag, std::string_view value) {
        if (!describes_) return;
        if (!text_.empty()) text_ += ", ";
        if (!tag.empty()) (text_ += tag) += ' ';
        text_ += value;
    }

    std::vector<Node> path_;
    std::size_t made_ = 0;
    std::optional<std::string> broken_;
    std::vector<std::string> marks_;
    std::string text_;
    Digest results_;
    bool possible_ = true;
    bool unfair_ = false;
    bool describes_ = false;
};

}}}  // namespace belay::sim
