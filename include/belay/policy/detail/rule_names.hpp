// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/rule_names.hpp
/// RuleProbe: whether a rule has a name at all, be it private, overloaded or a template.
#pragma once

#include <type_traits>  // std::is_class_v, std::is_final_v

#include <belay/core/assert.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What a rule does or wishes, and what it says of its type.
struct RuleNames {
    int wanted, admit, begin, failed, lost, review, succeeded, abandoned, reset;
    int stable_window, attempt_limit;
    int listens, is_shared;
};

/// A name that R has, too, is ambiguous in it, however R declares it: `&RuleProbe<R>::failed` is an
/// error then. Never an object.
template <class R>
struct RuleProbe : R, RuleNames {};

// Of what is final or no class only what can be used can be seen.
template <class R>
concept Probed = std::is_class_v<R> && !std::is_final_v<R>;

}  // namespace belay::inline BELAY_ABI::detail
