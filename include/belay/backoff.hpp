// SPDX-License-Identifier: MIT
/// \file belay/backoff.hpp
/// Includes the component backoff except any_jitter.hpp: Backoff, jitters, caps and growths. They
/// decide how long to wait.
#pragma once

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/backoff_errc.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/cap_like.hpp>
#include <belay/backoff/constant.hpp>
#include <belay/backoff/decorrelated_jitter.hpp>
#include <belay/backoff/delays.hpp>
#include <belay/backoff/equal_jitter.hpp>
#include <belay/backoff/exponential.hpp>
#include <belay/backoff/fibonacci.hpp>
#include <belay/backoff/floor.hpp>
#include <belay/backoff/full_jitter.hpp>
#include <belay/backoff/growth_like.hpp>
#include <belay/backoff/jitter_like.hpp>
#include <belay/backoff/linear.hpp>
#include <belay/backoff/make_backoff.hpp>
#include <belay/backoff/no_cap.hpp>
#include <belay/backoff/no_jitter.hpp>
#include <belay/backoff/pre_jitter_cap.hpp>
#include <belay/backoff/proportional_jitter.hpp>
#include <belay/backoff/smooth_jitter.hpp>
#include <belay/backoff/wait_range.hpp>
