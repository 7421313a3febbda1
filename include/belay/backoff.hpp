// SPDX-License-Identifier: MIT
/// \file belay/backoff.hpp
/// Includes all of the component backoff: Backoff, jitters, caps and growths. They decide how long
/// to wait.
#pragma once

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
