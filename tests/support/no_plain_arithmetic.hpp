// SPDX-License-Identifier: MIT
/// \file tests/support/no_plain_arithmetic.hpp
/// Takes + and - of Instants from what namespace belay declares after this: its headers saturate
/// (after, before, elapsed). The standard library, and what is not in the namespace, keep them.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

// Not templates: they win over those of std::chrono.
Instant operator+(Instant, Duration) = delete;
Instant operator+(Duration, Instant) = delete;
Instant operator-(Instant, Duration) = delete;
Duration operator-(Instant, Instant) = delete;
Instant& operator+=(Instant&, Duration) = delete;
Instant& operator-=(Instant&, Duration) = delete;

}}  // namespace belay
