// SPDX-License-Identifier: MIT
/// \file tests/support/no_plain_arithmetic.hpp
/// Removes + and - of Instants for declarations in namespace belay after this header, because
/// belay's headers saturate (after, before, elapsed). The standard library, and code outside of
/// the namespace, keep them.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

// These are no templates, so they are preferred to those of std::chrono.
Instant operator+(Instant, Duration) = delete;
Instant operator+(Duration, Instant) = delete;
Instant operator-(Instant, Duration) = delete;
Duration operator-(Instant, Instant) = delete;
Instant& operator+=(Instant&, Duration) = delete;
Instant& operator-=(Instant&, Duration) = delete;

}}  // namespace belay
