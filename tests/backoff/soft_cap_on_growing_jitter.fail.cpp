// SPDX-License-Identifier: MIT
// expect-error: Backoff: this jitter grows by itself: only a hard cap bounds it
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/pre_jitter_cap.hpp>
#include <belay/backoff/smooth_jitter.hpp>

#if defined(BELAY_CONTROL)
using Limit = belay::Cap;
#else
using Limit = belay::PreJitterCap;
#endif

belay::Backoff backoff{belay::SmoothJitter{}, Limit{belay::forever}, belay::Duration{1}};
