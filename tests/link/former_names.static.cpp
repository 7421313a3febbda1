// SPDX-License-Identifier: MIT
// Goal: a program with a former name of this version's types and rules compiles.
// Method: each former name is the present type or value.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <type_traits>

#include <belay/core/machine_like.hpp>
#include <belay/link/transport_rule.hpp>
#include <belay/link/validated.hpp>

using namespace belay;

static_assert(std::is_same_v<driver::Lifeline, driver::LifetimeFlag>);
static_assert(std::is_same_v<part::Say<int, int>, part::CheckSender<int, int>>);
static_assert(check::TransportRule::keeps_what_was_refused ==
              check::TransportRule::keeps_what_was_rejected);
