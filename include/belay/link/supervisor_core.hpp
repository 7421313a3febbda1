// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor_core.hpp
/// SupervisorCore: everything a supervisor decides, as a value without clock, transport or
/// allocation.
#pragma once

#include <utility>  // std::move

#include <belay/link/detail/basic_supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace timeline {

/// The brain of a Supervisor.
///
/// A plain value: copy it to ask "what if", prove a timeline by static_assert, explore its states.
/// Every `begin` of the policy is followed by exactly one of failed, succeeded, abandoned; every
/// plan (a failed or lost that did not stop) and every `wanted` by exactly one begin or abandoned.
///
/// Its members are in detail/basic_supervisor_core.hpp.
///
/// Models:        std::copyable if the policy is.
/// Thread safety: distinct objects safe.
template <RuleLike Policy>
class SupervisorCore : public detail::BasicSupervisorCore<Policy> {
public:
    constexpr explicit SupervisorCore(Policy policy, SupervisorCoreOptions options = {})
        : detail::BasicSupervisorCore<Policy>{std::move(policy), options} {}
};

template <class Policy>
SupervisorCore(Policy) -> SupervisorCore<Policy>;
template <class Policy>
SupervisorCore(Policy, SupervisorCoreOptions) -> SupervisorCore<Policy>;

}}}  // namespace belay::timeline
