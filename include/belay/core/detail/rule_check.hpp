// SPDX-License-Identifier: MIT
/// \file belay/core/detail/rule_check.hpp
/// RuleCheck: what the checks of users' own parts have in common.
#pragma once

#include <cstddef>   // std::size_t
#include <optional>  // std::optional

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the sentence of a rule, from those of all rules in their order.
template <class Rule, std::size_t count>
[[nodiscard]] constexpr const char* sentence_of(Rule rule,
                                                const char* const (&sentences)[count]) noexcept {
    const auto i = static_cast<std::size_t>(rule);
    return i < count ? sentences[i] : "unknown";
}

/// The base class of a check. Only the first rule that was broken counts: the others may follow
/// from it.
template <class R>
class RuleCheck {
public:
    using Rule = R;

    [[nodiscard]] const std::optional<Rule>& broken() const noexcept { return broken_; }

protected:
    void expect(bool kept, Rule rule) noexcept {
        if (!kept && !broken_) broken_ = rule;
    }
    [[nodiscard]] bool right() const noexcept { return !broken_; }

    std::optional<Rule> broken_;
};

}}}  // namespace belay::detail
