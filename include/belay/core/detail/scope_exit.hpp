// SPDX-License-Identifier: MIT
/// \file belay/core/detail/scope_exit.hpp
/// ScopeExit: calls a function at the end of a scope. FlagScope: sets a flag for a scope.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Calls a function at the end of its scope, also if an exception passes, unless it was released.
///
/// Source: std::experimental::scope_exit (Library Fundamentals TS v3).
template <class F>
class [[nodiscard]] ScopeExit {
public:
    explicit ScopeExit(F function) noexcept : function_{std::move(function)} {}
    ScopeExit(const ScopeExit&) = delete;
    ScopeExit& operator=(const ScopeExit&) = delete;
    ~ScopeExit() {
        if (armed_) function_();
    }

    /// The function is not called.
    void release() noexcept { armed_ = false; }

private:
    F function_;
    bool armed_ = true;
};

/// Sets a flag, and restores its value at the end of the scope.
class [[nodiscard]] FlagScope {
public:
    explicit FlagScope(bool& flag) noexcept : flag_{flag}, before_{std::exchange(flag, true)} {}
    FlagScope(const FlagScope&) = delete;
    FlagScope& operator=(const FlagScope&) = delete;
    ~FlagScope() { flag_ = before_; }

private:
    bool& flag_;
    bool before_;
};

}}}  // namespace belay::detail
